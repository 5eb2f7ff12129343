"""Scores by neighbors: distance to real images, realism, and near-duplicates."""

from typing import NamedTuple

import numpy as np

from cia.neighbors import nearest_points, neighbor_radii, tiles


class Neighbors(NamedTuple):
    """Per synthetic image, each of shape (m,).

    Attributes
    ----------
    distance : numpy.ndarray
        Distance to its k-th nearest real image; smaller is closer.
    realism : numpy.ndarray
        Kynkaanniemi et al. (2019), equation 3: the largest ratio, over real images, of the real
        image's k-th neighbor distance to the distance from it; above 1 is inside the real manifold.
        Real images whose k-th neighbor is farther off than the median one's do not count.
    copy_real, copy_synthetic : numpy.ndarray
        Distance to the nearest real image and to the nearest other synthetic one, over the median
        distance of a real image to its nearest other: near 0 is a copy.
    nearest_real, nearest_synthetic : numpy.ndarray
        Rows of those images; -1 where there is no other synthetic one.
    """

    distance: np.ndarray
    realism: np.ndarray
    copy_real: np.ndarray
    copy_synthetic: np.ndarray
    nearest_real: np.ndarray
    nearest_synthetic: np.ndarray


def score_neighbors(real: np.ndarray, synthetic: np.ndarray, k: int) -> Neighbors:
    """Score synthetic images by their neighbors.

    Parameters
    ----------
    real, synthetic : numpy.ndarray
        Features, shapes (n, d) and (m, d), n greater than k.
    k : int
        Which neighbor counts, for distance and realism.
    """
    distances, index = nearest_points(synthetic, real, k)
    spacing = _spacing(real)
    to_twin, twin = _twins(synthetic)
    return Neighbors(
        distance=distances[:, -1],
        realism=_realism(real, synthetic, k),
        copy_real=distances[:, 0] / spacing,
        copy_synthetic=to_twin / spacing,
        nearest_real=index[:, 0],
        nearest_synthetic=twin,
    )


def copy_synthetic(real: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """Return that score of `score_neighbors` alone, shape (m,)."""
    return _twins(synthetic)[0] / _spacing(real)


def _spacing(real: np.ndarray) -> float:
    """Return the median distance of a real image to its nearest other."""
    return np.median(neighbor_radii(real, 1)) or np.finfo(np.float64).tiny


def _twins(synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each image's distance to the nearest other one, and that one's row."""
    if len(synthetic) < 2:
        return np.full(len(synthetic), np.nan), np.full(len(synthetic), -1)
    distances, index = nearest_points(synthetic, synthetic, 1, exclude_self=True)
    return distances[:, 0], index[:, 0]


def _realism(real: np.ndarray, synthetic: np.ndarray, k: int) -> np.ndarray:
    radii = neighbor_radii(real, k)
    dense = radii <= np.median(radii) * (1 + 1e-9)  # mutual neighbors' radii differ by rounding
    ratios = np.zeros(len(synthetic))
    for rows, columns, squared in tiles(real[dense], synthetic):
        distances = np.sqrt(np.maximum(squared, np.finfo(np.float64).tiny))
        ratios[columns] = np.maximum(ratios[columns], (radii[dense][rows, None] / distances).max(0))
    return ratios
