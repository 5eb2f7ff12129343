"""Frechet distance of two feature sets seen as Gaussians, and its limit for many images."""

from typing import NamedTuple

import numpy as np
import scipy.linalg

from cia.metrics.resampling import Draws

PARTS = (1, 2, 3, 4)
"""Into how many parts the images are dealt to see how the distance grows as they get fewer."""


def frechet_distance(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Return the squared Frechet distance of two feature sets, seen as Gaussians.

    `|m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2))`, with unbiased covariances, as in Heusel
    et al., "GANs Trained by a Two Time-Scale Update Rule" (2017); on Inception's pool features it
    is the FID. No matrix root is taken: with fewer images than features, the last trace is the sum
    of the singular values of `F1 F2^T`, where F are the centered features over sqrt(n - 1); with
    more, it is that of the roots of the eigenvalues of `L^T S2 L`, where `S1 = L L^T`.

    Parameters
    ----------
    real, synthetic : numpy.ndarray
        Features, shapes (n, d) and (m, d), n and m at least 2.

    Returns
    -------
    float
        At least 0; smaller is closer.
    """
    difference = real.mean(axis=0, dtype=np.float64) - synthetic.mean(axis=0, dtype=np.float64)
    if min(len(real), len(synthetic)) > real.shape[1]:
        spread, cross = _from_covariances(_covariance(real), _covariance(synthetic))
    else:
        first, second = _factor(real), _factor(synthetic)
        spread = np.square(first).sum() + np.square(second).sum()
        cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return max(0.0, float(difference @ difference + spread - 2 * cross))


class Influence(NamedTuple):
    """A distance, and what each image adds to it: derivatives by the image's share of its set.

    Attributes
    ----------
    value : float
    real, synthetic : numpy.ndarray
        float64, shapes (n,) and (m,), means 0.
    """

    value: float
    real: np.ndarray
    synthetic: np.ndarray

    def replicates(self, draws: Draws) -> np.ndarray:
        """Return the distance in each draw, to first order in the draw's shares.

        In simulations (tests/unit/test_metrics.py) this has the distance's true spread, where
        distances computed anew in every draw spread up to twice as much: what repeats in a draw
        makes the covariances lose rank.
        """
        return self.value + draws.real @ self.real + draws.synthetic @ self.synthetic


def frechet_influence(real: np.ndarray, synthetic: np.ndarray) -> Influence:
    """Return the Frechet distance with the influence of each image.

    The derivative of `tr((S1 S2)^(1/2))` by S1 is half the optimal transport map from the first
    Gaussian to the second (Knott and Smith 1984), which is applied to each image through the
    singular vectors of `F1 F2^T`.
    """
    first, second = _factor(real), _factor(synthetic)
    left, singular, right = scipy.linalg.svd(
        first @ second.T, full_matrices=False, overwrite_a=True, check_finite=False
    )
    difference = real.mean(axis=0, dtype=np.float64) - synthetic.mean(axis=0, dtype=np.float64)
    spread = np.square(first).sum() + np.square(second).sum()
    value = difference @ difference + spread - 2 * singular.sum()
    return Influence(
        max(0.0, float(value)),
        _influence(real, first, left, singular, difference),
        _influence(synthetic, second, right.T, singular, -difference),
    )


def frechet_infinity(real: np.ndarray, synthetic: np.ndarray, seed: int) -> Influence:
    """Return the Frechet distance extrapolated to endless images, with its images' influence.

    The distance is biased upwards by about `b / n`. Both sets are dealt into 1, 2, 3 and 4 parts
    of equal size (seeded), the distances of parts are averaged, and a line through the averages
    over 1/n is followed to 0: Chong and Forsyth, "Effectively Unbiased FID and Inception Score"
    (2020), with disjoint parts, which use every image, instead of random ones.

    Both sets take part with as many images as the smaller one has, drawn without replacement.
    """
    generator = np.random.default_rng(seed)
    images = min(len(real), len(synthetic))
    rows = generator.permutation(len(real))[:images]
    columns = generator.permutation(len(synthetic))[:images]
    weights = _intercept_weights(1 / (images // np.array(PARTS)))
    value, influences = 0.0, (np.zeros(len(real)), np.zeros(len(synthetic)))
    for parts, weight in zip(PARTS, weights, strict=True):
        size = images // parts
        for part in range(parts):
            chosen = rows[part * size : (part + 1) * size], columns[part * size : (part + 1) * size]
            found = frechet_influence(real[chosen[0]], synthetic[chosen[1]])
            value += weight / parts * found.value
            for total, index, own in zip(influences, chosen, found[1:], strict=True):
                # an image's share of its part is its share of the whole set, times their ratio
                total[index] += weight * own * len(total) / (size * parts)
    return Influence(float(value), *influences)


def _intercept_weights(x: np.ndarray) -> np.ndarray:
    """Return the weights of ordinates whose sum is the least-squares line's value at 0."""
    centered = x - x.mean()
    return 1 / len(x) - x.mean() * centered / np.square(centered).sum()


def _from_covariances(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return tr(S1) + tr(S2) and tr((S1 S2)^(1/2)); both matrices are overwritten."""
    spread = np.trace(first) + np.trace(second)
    lower, failed = scipy.linalg.lapack.dpotrf(first, lower=1, overwrite_a=0)
    if failed:  # not of full rank: singular values of factors need none
        return spread, np.linalg.svd(_root(first).T @ _root(second), compute_uv=False).sum()
    product, _ = scipy.linalg.lapack.dsygst(second, lower, itype=2, lower=1, overwrite_a=1)
    values = scipy.linalg.eigh(product, lower=True, eigvals_only=True, check_finite=False)
    return spread, np.sqrt(np.maximum(values, 0)).sum()


def _root(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix R with R R^T the positive semidefinite one."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0))


def _covariance(features: np.ndarray) -> np.ndarray:
    centered = features - features.mean(axis=0, dtype=np.float64)
    return centered.T @ centered / (len(features) - 1)


def _factor(features: np.ndarray) -> np.ndarray:
    """Return a matrix F of at most d rows with F^T F the covariance, in float64."""
    centered = features - features.mean(axis=0, dtype=np.float64)
    centered /= np.sqrt(len(features) - 1)
    if len(features) <= features.shape[1]:
        return centered
    return scipy.linalg.qr(centered, mode="r", overwrite_a=True, check_finite=False)[0][
        : features.shape[1]
    ]


def _influence(features, factor, vectors, singular, difference) -> np.ndarray:
    """Return the derivative of the distance by each image's share of its own set."""
    images = len(features)
    centered = features - features.mean(axis=0, dtype=np.float64)
    if len(factor) < images:
        scaled = centered / np.sqrt(images - 1)
        vectors = scaled @ scipy.linalg.lstsq(factor, vectors, check_finite=False)[0]
    transported = images * (np.square(vectors) @ singular)
    lengths = np.square(centered).sum(axis=1) * images / (images - 1)
    own = 2 * centered @ difference + lengths - transported
    return own - own.mean()
