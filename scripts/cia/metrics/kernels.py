"""Maximum mean discrepancy: Kernel Inception Distance and its kin with a Gaussian kernel."""

from collections.abc import Callable

import numpy as np

from cia.metrics.bootstrap import Draws
from cia.metrics.comparing import Comparison, Estimate
from cia.neighbors import squared_distances

SUBSETS = 100
SUBSET_SIZE = 1000
"""As in clean-fid and torch-fidelity."""

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]

_TILE = 1024


def polynomial_kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return `(x y / d + 1)^3`, the kernel of KID, shape (n, m)."""
    product = first @ second.T
    product /= first.shape[1]
    product += 1
    return product * product * product


def gaussian_kernel(bandwidth: float) -> Kernel:
    """Return the kernel `exp(-|x - y|^2 / (2 bandwidth^2))`."""

    def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        distances = squared_distances(first, second)
        distances *= -0.5 / bandwidth**2
        return np.exp(distances, out=distances)

    return kernel


def median_distance(features: np.ndarray, seed: int, most: int = 1000) -> float:
    """Return the median distance between two images, of at most `most` of them, seeded.

    The usual bandwidth of a Gaussian kernel (Gretton et al., "A Kernel Two-Sample Test", 2012).
    """
    chosen = np.random.default_rng(seed).permutation(len(features))[:most]
    sample = features[chosen] - features.mean(axis=0, dtype=np.float64)
    distances = squared_distances(sample, sample)
    return float(np.sqrt(np.median(distances[np.triu_indices(len(sample), 1)])))


def kernel_distance(
    real: np.ndarray, synthetic: np.ndarray, seed: int
) -> tuple[float, float, int, int]:
    """Return the Kernel Inception Distance's mean and spread over subsets.

    Binkowski et al., "Demystifying MMD GANs" (2018): the unbiased squared MMD with the kernel
    `(x y / d + 1)^3` of subsets of equal size, drawn without replacement. It has no bias, so it can
    be compared between sets of different sizes.

    Parameters
    ----------
    real, synthetic : numpy.ndarray
        Features, shapes (n, d) and (m, d), n and m at least 2.
    seed : int
        Decides the subsets.

    Returns
    -------
    mean, std : float
        Smaller is closer; around 0 for equal distributions, where it can be below.
    subsets, size : int
        How many subsets of how many images. Sets of at most 1000 images are taken whole, once.
    """
    size = min(len(real), len(synthetic), SUBSET_SIZE)
    if max(len(real), len(synthetic)) == size:
        return squared_mmd(real, synthetic, polynomial_kernel), 0.0, 1, size
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(SUBSETS):
        rows = generator.choice(len(real), size, replace=False)
        columns = generator.choice(len(synthetic), size, replace=False)
        found.append(squared_mmd(real[rows], synthetic[columns], polynomial_kernel))
    return float(np.mean(found)), float(np.std(found)), SUBSETS, size


def squared_mmd(real: np.ndarray, synthetic: np.ndarray, kernel: Kernel) -> float:
    """Return the unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3)."""
    # sum_{i != j} k(x_i, x_j) / (n (n - 1)) + the same of y - 2 sum_ij k(x_i, y_j) / (n m):
    # k(x_i, x_i) is left out, which would bias the sum upwards
    within_real, between = _means(real, synthetic, kernel)
    within_synthetic = _means_within(synthetic, kernel)
    return float(within_real.mean() + within_synthetic.mean() - 2 * between.mean())


def mmd_replicates(
    real: np.ndarray, synthetic: np.ndarray, kernel: Kernel, draws: Draws
) -> np.ndarray:
    """Return the squared discrepancy in each draw, to first order in the draw's shares.

    The first-order (Hajek) projection of a U-statistic: what an image adds is its mean kernel with
    its own set, less that with the other.
    """
    within_real, between = _means(real, synthetic, kernel)
    within_synthetic, between_synthetic = _means(synthetic, real, kernel)
    # With shares v_i of x and w_j of y, MMD^2 = sum v_i v_j k(x_i, x_j) + sum w_i w_j k(y_i, y_j)
    # - 2 sum v_i w_j k(x_i, y_j), so d / dv_i = 2 (mean_j k(x_i, x_j) - mean_j k(x_i, y_j)). Shares
    # sum to 1, so the mean of these derivatives changes nothing.
    own_real = 2 * (within_real - between)
    own_synthetic = 2 * (within_synthetic - between_synthetic)
    value = within_real.mean() + within_synthetic.mean() - 2 * between.mean()
    return (
        value
        + draws.real @ (own_real - own_real.mean())
        + draws.synthetic @ (own_synthetic - own_synthetic.mean())
    )


def _means(first: np.ndarray, second: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """Return each image's mean kernel with the others of its own set, and with the other set."""
    between = np.zeros(len(first))
    for rows in _slices(len(first)):
        block = first[rows].astype(np.float64)
        for columns in _slices(len(second)):
            between[rows] += kernel(block, second[columns].astype(np.float64)).sum(axis=1)
    return _means_within(first, kernel), between / len(second)


def _means_within(features: np.ndarray, kernel: Kernel) -> np.ndarray:
    totals = np.zeros(len(features))
    parts = _slices(len(features))
    for index, rows in enumerate(parts):
        block = features[rows].astype(np.float64)
        for columns in parts[index:]:  # the kernel is symmetric: half the products do
            values = kernel(block, features[columns].astype(np.float64))
            if rows == columns:
                np.fill_diagonal(values, 0)
            else:
                totals[columns] += values.sum(axis=0)
            totals[rows] += values.sum(axis=1)
    return totals / (len(features) - 1)


def _slices(n: int) -> list[slice]:
    return [slice(start, min(start + _TILE, n)) for start in range(0, n, _TILE)]


def measure(sets: Comparison) -> dict[str, Estimate]:
    """Kernel Inception Distance on any features, and the squared MMD with a Gaussian kernel."""
    return {"kid": _kid(sets), "mmd_rbf": _mmd_rbf(sets)}


def _kid(sets: Comparison) -> Estimate:
    """As a floor, where there are no draws, of all images instead of subsets."""
    if not sets.draws:
        return Estimate(squared_mmd(sets.real, sets.synthetic, polynomial_kernel))
    mean, std, subsets, size = kernel_distance(sets.real, sets.synthetic, sets.seed)
    notes = {"std": std, "subsets": subsets, "subset_size": size}
    if size < 50:
        notes["warning"] = f"{size} images: without bias, but too few to tell small differences"
    return Estimate(mean, _replicates(sets, polynomial_kernel), notes)


def _mmd_rbf(sets: Comparison) -> Estimate:
    """Squared MMD with a Gaussian kernel, after CMMD (Jayasumana et al., "Rethinking FID", 2024).

    Theirs is on CLIP's features with a bandwidth of 10 for their scale; here the bandwidth is the
    median distance of the real images, so that it serves any features.
    """
    bandwidth = median_distance(sets.real, sets.seed)
    if bandwidth == 0:
        return Estimate.missing("the real images have the same features: there is no bandwidth")
    chosen = gaussian_kernel(bandwidth)
    value = squared_mmd(sets.real, sets.synthetic, chosen)
    return Estimate(value, _replicates(sets, chosen), {"bandwidth": bandwidth})


def _replicates(sets: Comparison, chosen) -> np.ndarray | None:
    if not sets.draws:
        return None
    return mmd_replicates(sets.real, sets.synthetic, chosen, sets.draws)
