"""Frechet distance of two feature sets seen as Gaussians, and its limit for many images.

Decompositions are scipy's throughout: on a machine that does other work, too, those of numpy's own
OpenBLAS took ten times as long.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg

from cia.metrics.bootstrap import Draws
from cia.metrics.comparing import Comparison, Estimate

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
        # S = F^T F. With M = F1 F2^T, S1 S2 = F1^T (M F2) has the nonzero eigenvalues of
        # (M F2) F1^T = M M^T, the squared singular values of M: tr((S1 S2)^(1/2)) is their sum,
        # unsquared, and M is n x m where S1 S2 is d x d. tr(S) = |F|^2, the sum of all squares.
        first, second = _centered(real), _centered(synthetic)
        spread = np.square(first).sum() + np.square(second).sum()
        cross = scipy.linalg.svdvals(first @ second.T, overwrite_a=True).sum()
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
    # With F = Q R and R1 R2^T = u s v^T, F1 F2^T = (Q1 u) s (Q2 v)^T: its singular vectors, from a
    # matrix no larger than d x d. Q is None where R is F.
    (first, basis), (second, other) = _factor(real), _factor(synthetic)
    left, singular, right = scipy.linalg.svd(
        first @ second.T, full_matrices=False, overwrite_a=True, check_finite=False
    )
    difference = real.mean(axis=0, dtype=np.float64) - synthetic.mean(axis=0, dtype=np.float64)
    spread = np.square(first).sum() + np.square(second).sum()
    value = difference @ difference + spread - 2 * singular.sum()
    return Influence(
        max(0.0, float(value)),
        _influence(real, left if basis is None else basis @ left, singular, difference),
        _influence(synthetic, right.T if other is None else other @ right.T, singular, -difference),
    )


def frechet_value(real: np.ndarray, synthetic: np.ndarray) -> Influence:
    """Return the Frechet distance without influences, which costs a fraction."""
    nothing = np.zeros(len(real)), np.zeros(len(synthetic))
    return Influence(frechet_distance(real, synthetic), *nothing)


def frechet_infinity(
    real: np.ndarray,
    synthetic: np.ndarray,
    seed: int,
    measure: Callable[[np.ndarray, np.ndarray], Influence] = frechet_influence,
) -> Influence:
    """Return the Frechet distance extrapolated to endless images, with its images' influence.

    The distance is biased upwards by about `b / n`. Both sets are dealt into 1, 2, 3 and 4 parts
    of equal size (seeded), the distances of parts are averaged, and a line through the averages
    over 1/n is followed to 0: Chong and Forsyth, "Effectively Unbiased FID and Inception Score"
    (2020), with disjoint parts, which use every image, instead of random ones.

    Both sets take part with as many images as the smaller one has, drawn without replacement.
    With `measure=frechet_value` the influences are 0.
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
            found = measure(real[chosen[0]], synthetic[chosen[1]])
            value += weight / parts * found.value
            for total, index, own in zip(influences, chosen, found[1:], strict=True):
                # an image's share of its part is its share of the whole set, times their ratio
                total[index] += weight * own * len(total) / (size * parts)
    return Influence(float(value), *influences)


def _intercept_weights(x: np.ndarray) -> np.ndarray:
    """Return the weights of ordinates whose sum is the least-squares line's value at 0."""
    # mean(y) - slope mean(x), slope = sum (x - mean(x)) y / sum (x - mean(x))^2: linear in y
    centered = x - x.mean()
    return 1 / len(x) - x.mean() * centered / np.square(centered).sum()


def _from_covariances(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return tr(S1) + tr(S2) and tr((S1 S2)^(1/2)); of both, the lower triangle counts."""
    spread = np.trace(first) + np.trace(second)
    lower, failed = scipy.linalg.lapack.dpotrf(first, lower=1)
    if failed:  # not of full rank: singular values of roots need none
        return spread, scipy.linalg.svdvals(_root(first).T @ _root(second)).sum()
    # S1 S2 = L (L^T S2) has the eigenvalues of (L^T S2) L, which is symmetric: `dsygst`, itype 2
    product, _ = scipy.linalg.lapack.dsygst(second, lower, itype=2, lower=1, overwrite_a=1)
    values = scipy.linalg.eigh(
        product, lower=True, eigvals_only=True, overwrite_a=True, check_finite=False
    )
    return spread, np.sqrt(np.maximum(values, 0)).sum()


def _root(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix R with R R^T the positive semidefinite one."""
    values, vectors = scipy.linalg.eigh(matrix, lower=True)
    return vectors * np.sqrt(np.maximum(values, 0))


def _covariance(features: np.ndarray) -> np.ndarray:
    """Return the lower triangle of the unbiased covariance, zeros above it."""
    centered = features - features.mean(axis=0, dtype=np.float64)
    return scipy.linalg.blas.dsyrk(1 / (len(features) - 1), centered.T, lower=1)


def _centered(features: np.ndarray) -> np.ndarray:
    """Return a matrix F, shape (n, d), with F^T F the covariance, in float64."""
    centered = features - features.mean(axis=0, dtype=np.float64)
    centered /= np.sqrt(len(features) - 1)
    return centered


def _factor(features: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a matrix R of at most d rows with R^T R the covariance, and the basis Q of Q R = F.

    The basis is None where R is F itself.
    """
    centered = _centered(features)
    if len(features) <= features.shape[1]:
        return centered, None
    basis, triangle = scipy.linalg.qr(
        centered, mode="economic", overwrite_a=True, check_finite=False
    )
    return triangle, basis


def _influence(features, vectors, singular, difference) -> np.ndarray:
    """Return the derivative of the distance by each image's share of its own set."""
    # Derivatives by the share w_i of image i (here 1/n), c_i = x_i - m1 and F1 F2^T = U s V^T:
    #     |m1 - m2|^2                              2 c_i . (m1 - m2)
    #     tr(S1) = n / (n - 1) sum w_i |c_i|^2     n / (n - 1) |c_i|^2
    #     2 tr((S1 S2)^(1/2)) = 2 sum_k s_k        n sum_k U_ik^2 s_k
    # The last since ds_k = u_k . d(F1 F2^T) v_k, and row i of F1 F2^T goes with sqrt(w_i), so it
    # changes by n / 2 of itself. That m1 moves as well changes both sums to second order only.
    # Shares sum to 1, so a constant, and the mean is one, changes nothing.
    images = len(features)
    centered = features - features.mean(axis=0, dtype=np.float64)
    transported = images * (np.square(vectors) @ singular)
    lengths = np.square(centered).sum(axis=1) * images / (images - 1)
    own = 2 * centered @ difference + lengths - transported
    return own - own.mean()


def measure(sets: Comparison) -> dict[str, Estimate]:
    """Frechet distance, which on Inception's features is the FID, and its limit for many images."""
    return {**_of_all(sets), "frechet_infinity": _of_endless(sets)}


def _of_all(sets: Comparison) -> dict[str, Estimate]:
    name = "fid" if sets.model == "inception" else "frechet_distance"
    value = frechet_distance(sets.real, sets.synthetic)
    replicates = None
    if sets.draws:
        replicates = frechet_influence(sets.real, sets.synthetic).replicates(sets.draws)
    images, dimensions = min(len(sets.real), len(sets.synthetic)), sets.real.shape[1]
    warning = (
        f"{images} images for {dimensions} features: the distance is biased upwards by much; "
        "compare it only with others at the same numbers of images"
    )
    return {name: Estimate(value, replicates, {"warning": warning} if images <= dimensions else {})}


def _of_endless(sets: Comparison) -> Estimate:
    images, dimensions = min(len(sets.real), len(sets.synthetic)), sets.real.shape[1]
    if images < 2 * PARTS[-1]:
        return Estimate.missing(f"{images} images are too few for {PARTS[-1]} parts")
    by = frechet_influence if sets.draws else frechet_value
    found = frechet_infinity(sets.real, sets.synthetic, sets.seed, by)
    notes = {}
    if images // PARTS[-1] <= dimensions:
        notes["warning"] = (
            f"parts of {images // PARTS[-1]} images for {dimensions} features: too few for a "
            "straight line over 1/n, so bias remains"
        )
    return Estimate(found.value, found.replicates(sets.draws) if sets.draws else None, notes)
