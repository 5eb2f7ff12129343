"""Scores by neighbors: distance to real images, realism, and near-duplicates."""

import numpy as np

from cia.neighbors import neighbor_radii, tiles
from cia.scores.inputs import Inputs


def score(inputs: Inputs) -> dict[str, np.ndarray]:
    """Score synthetic images by their neighbors.

    Returns
    -------
    dict
        Each of shape (m,).
        knn_distance: distance to the k-th nearest real image; smaller is closer.
        realism: Kynkaanniemi et al. (2019), equation 3: the largest ratio, over real images, of the
        real image's k-th neighbor distance to the distance from it; above 1 is inside the real
        manifold. Real images whose k-th neighbor is farther off than the median one's do not count.
        copy_real, copy_synthetic: distance to the nearest real image and to the nearest other
        synthetic one, over the median distance of a real image to its nearest other: near 0 is a
        copy.
    """
    distances, _ = inputs.nearest_real
    spacing = _spacing(inputs.real)
    return {
        "knn_distance": distances[:, -1],
        "realism": _realism(inputs.real, inputs.synthetic, inputs.neighbors),
        "copy_real": distances[:, 0] / spacing,
        "copy_synthetic": inputs.nearest_synthetic[0] / spacing,
    }


def copy_synthetic(real: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """Return that score alone, shape (m,)."""
    return Inputs(real, synthetic, 1).nearest_synthetic[0] / _spacing(real)


def _spacing(real: np.ndarray) -> float:
    """Return the median distance of a real image to its nearest other."""
    return np.median(neighbor_radii(real, 1)) or np.finfo(np.float64).tiny


def _realism(real: np.ndarray, synthetic: np.ndarray, k: int) -> np.ndarray:
    radii = neighbor_radii(real, k)
    dense = radii <= np.median(radii) * (1 + 1e-9)  # mutual neighbors' radii differ by rounding
    ratios = np.zeros(len(synthetic))
    for rows, columns, squared in tiles(real[dense], synthetic):
        distances = np.sqrt(np.maximum(squared, np.finfo(np.float64).tiny))
        ratios[columns] = np.maximum(ratios[columns], (radii[dense][rows, None] / distances).max(0))
    return ratios
