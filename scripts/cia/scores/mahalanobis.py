"""Mahalanobis distance of each synthetic image to the real ones, seen as one Gaussian."""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.linalg

from cia.errors import UserError
from cia.scores.inputs import Inputs

_BLOCK = 1024
"""Rows taken at a time, which bounds memory."""


def score(inputs: Inputs) -> dict[str, np.ndarray]:
    """Return the distances to all real images, to those of the class if asked for, and ciagen's."""
    real, synthetic = inputs.real, inputs.synthetic
    scores = {"mahalanobis": mahalanobis(real, synthetic)}
    if inputs.classes:
        scores["mahalanobis_class"] = mahalanobis_per_class(real, synthetic, *inputs.classes)
    return {**scores, "mld_pinv": mahalanobis_pinv(real, synthetic)}


def mahalanobis(real: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """Return each synthetic image's Mahalanobis distance to the real ones.

    In float64, with the Ledoit-Wolf shrinkage of the real covariance ("A well-conditioned estimator
    for large-dimensional covariance matrices", 2004; scikit-learn's `LedoitWolf`). Shrinkage keeps
    the covariance invertible with fewer images than features, so what lies off the span of the real
    features is far, where a pseudo-inverse would not see it at all.

    With more images than features the covariance is factored (Cholesky); with fewer, its inverse is
    applied along the real features' singular vectors, and outside their span with the shrinkage
    alone, so that no d x d matrix is built.

    Parameters
    ----------
    real : numpy.ndarray
        Features, shape (n, d), n at least 3.
    synthetic : numpy.ndarray
        Features, shape (m, d).

    Returns
    -------
    numpy.ndarray
        float64, shape (m,), at least 0; smaller is closer to the real images.
    """
    measure = _by_covariance if len(real) > real.shape[1] else _by_span
    return measure(real, synthetic)


def mahalanobis_per_class(
    real: np.ndarray,
    synthetic: np.ndarray,
    real_classes: Sequence[str],
    synthetic_classes: Sequence[str],
) -> np.ndarray:
    """Return each synthetic image's Mahalanobis distance to the real ones of its own class.

    Returns
    -------
    numpy.ndarray
        float64, shape (m,); NaN for a class with fewer than 3 real images, or all alike.
    """
    real_classes, synthetic_classes = np.asarray(real_classes), np.asarray(synthetic_classes)
    distances = np.full(len(synthetic), np.nan)
    for name in np.unique(synthetic_classes):
        own, theirs = real[real_classes == name], synthetic_classes == name
        if len(own) >= 3 and np.ptp(own, axis=0).any():
            distances[theirs] = mahalanobis(own, synthetic[theirs])
    return distances


def mahalanobis_pinv(real: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """Return the Mahalanobis distance with the covariance's pseudo-inverse: ciagen's, done right.

    For comparison: in float64, with a centered, unbiased covariance, so that none is negative. It
    does not see what lies off the span of the real features: with fewer images than features an
    outlier there scores like an inlier.
    """
    # S = V diag(l) V^T, S^+ = V diag(1 / l) V^T over l > 0, so the distance is
    # sqrt(x^T S^+ x) = |diag(1 / sqrt(l)) V^T x|, x less the mean
    mean, moment = _moments(real)
    values, vectors = scipy.linalg.eigh(moment * (len(real) / (len(real) - 1)))
    # what rounding alone makes of a zero eigenvalue
    known = values > values[-1] * max(real.shape) * np.finfo(np.float32).eps
    scaled = vectors[:, known] / np.sqrt(values[known])
    return np.concatenate(
        [np.linalg.norm(offsets @ scaled, axis=1) for offsets in _offsets(synthetic, mean)]
    )


def ledoit_wolf_shrinkage(
    real: np.ndarray, mean: np.ndarray, trace: float, squares: float
) -> float:
    """Return the shrinkage of Ledoit and Wolf (2004), as scikit-learn's, without its d x d sums.

    Parameters
    ----------
    real : numpy.ndarray
        Features, shape (n, d).
    mean : numpy.ndarray
        Their mean, float64, shape (d,).
    trace, squares : float
        Trace, and sum of squared entries, of their covariance (by n).
    """
    # With x_i centered, S = sum x_i x_i^T / n and mu = tr(S) / d, all norms Frobenius':
    #     shrinkage = min(noise, distance) / distance,   Sigma = (1 - shrinkage) S + shrinkage mu I
    #     distance  = |S - mu I|^2                  = |S|^2 - tr(S)^2 / d
    #     noise     = sum |x_i x_i^T - S|^2 / n^2   = (sum |x_i|^4 / n - |S|^2) / n
    images, dimensions = real.shape
    fourth = sum(
        np.square(np.square(offsets).sum(axis=1)).sum() for offsets in _offsets(real, mean)
    )
    distance = squares - trace**2 / dimensions
    noise = (fourth / images - squares) / images
    return float(min(noise, distance) / distance) if distance > 0 else 0.0


def _by_covariance(real: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    mean, covariance = _moments(real)
    trace, squares = np.trace(covariance), np.square(covariance).sum()
    shrinkage = ledoit_wolf_shrinkage(real, mean, trace, squares)
    covariance *= 1 - shrinkage
    covariance[np.diag_indices_from(covariance)] += shrinkage * trace / len(covariance)
    # Sigma = L L^T, so x^T Sigma^-1 x = |L^-1 x|^2: a triangle is solved, and nothing inverted
    try:
        lower = scipy.linalg.cholesky(covariance, lower=True, overwrite_a=True)
    except scipy.linalg.LinAlgError:
        raise _too_alike(real) from None
    return np.concatenate(
        [
            np.linalg.norm(
                scipy.linalg.solve_triangular(lower, offsets.T, lower=True, check_finite=False),
                axis=0,
            )
            for offsets in _offsets(synthetic, mean)
        ]
    )


def _by_span(real: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    mean = real.mean(axis=0, dtype=np.float64)
    # real - mean = U s A, so S = A^T diag(s^2 / n) A and Sigma = (1 - shrinkage) S + ridge I is
    # (1 - shrinkage) s_k^2 / n + ridge along axis k (`spread`) and ridge across all of them:
    # x^T Sigma^-1 x = sum_k (a_k . x)^2 / spread_k + (|x|^2 - sum_k (a_k . x)^2) / ridge
    _, singular, axes = scipy.linalg.svd(real - mean, full_matrices=False, overwrite_a=True)
    variances = np.square(singular) / len(real)
    trace = variances.sum()
    shrinkage = ledoit_wolf_shrinkage(real, mean, trace, np.square(variances).sum())
    ridge = shrinkage * trace / real.shape[1]
    if ridge <= 1e-10 * trace / real.shape[1]:
        raise _too_alike(real)
    spread = (1 - shrinkage) * variances + ridge
    distances = []
    for offsets in _offsets(synthetic, mean):
        inside = offsets @ axes.T
        outside = np.maximum(np.square(offsets).sum(axis=1) - np.square(inside).sum(axis=1), 0)
        distances.append(np.sqrt((np.square(inside) / spread).sum(axis=1) + outside / ridge))
    return np.concatenate(distances)


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance (by n), float64, shapes (d,) and (d, d)."""
    mean = features.mean(axis=0, dtype=np.float64)
    moment = np.zeros((features.shape[1],) * 2)
    for offsets in _offsets(features, mean):
        moment += offsets.T @ offsets
    return mean, moment / len(features)


def _offsets(features: np.ndarray, mean: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(features), _BLOCK):
        yield features[start : start + _BLOCK] - mean


def _too_alike(real: np.ndarray) -> UserError:
    return UserError(
        f"{len(real)} real images are too few, or too similar: the covariance of their features "
        "is singular, so it gives no distance; add real training images"
    )
