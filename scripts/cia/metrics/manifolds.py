"""Precision and recall, density and coverage: fidelity and variety, told apart by neighbors."""

from typing import NamedTuple

import numpy as np

from cia.metrics.comparing import Comparison, Estimate
from cia.neighbors import neighbor_radii, tiles

NEIGHBORS = 5
"""As in the prdc package's examples."""


class Manifolds(NamedTuple):
    """What each image adds; a metric is the mean over its images.

    Attributes
    ----------
    precision, density : numpy.ndarray
        Per synthetic image, shape (m,): whether it lies in a real image's neighborhood, and in how
        many of them, as a share of k.
    recall, coverage : numpy.ndarray
        Per real image, shape (n,): whether it lies in a synthetic image's neighborhood, and whether
        a synthetic image lies in its own.
    """

    precision: np.ndarray
    recall: np.ndarray
    density: np.ndarray
    coverage: np.ndarray


def compare_manifolds(real: np.ndarray, synthetic: np.ndarray, k: int = NEIGHBORS) -> Manifolds:
    """Compare two sets by the neighborhoods of their images: balls up to the k-th neighbor.

    Precision and recall after Kynkaanniemi et al., "Improved Precision and Recall Metric for
    Assessing Generative Models" (2019); density and coverage after Naeem et al., "Reliable Fidelity
    and Diversity Metrics for Generative Models" (2020), whose package `prdc` gives the same numbers
    and holds all distances at once.

    Parameters
    ----------
    real, synthetic : numpy.ndarray
        Features, shapes (n, d) and (m, d), n and m greater than k.
    k : int
    """
    real_radii, synthetic_radii = neighbor_radii(real, k) ** 2, neighbor_radii(synthetic, k) ** 2
    inside = np.zeros(len(synthetic), np.int64)
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, columns, distances in tiles(real, synthetic):
        near_real = distances < real_radii[rows, None]
        inside[columns] += near_real.sum(axis=0)
        covered[rows] |= near_real.any(axis=1)
        recalled[rows] |= (distances < synthetic_radii[columns]).any(axis=1)
    return Manifolds(
        precision=(inside > 0).astype(np.float64),
        recall=recalled.astype(np.float64),
        density=inside / k,
        coverage=covered.astype(np.float64),
    )


def measure(sets: Comparison) -> dict[str, Estimate]:
    """Precision, recall, density and coverage."""
    names = ("precision", "recall", "density", "coverage")
    images = min(len(sets.real), len(sets.synthetic))
    if images <= NEIGHBORS:
        reason = f"{images} images have no {NEIGHBORS} neighbors each"
        return {name: Estimate.missing(reason) for name in names}
    found = compare_manifolds(sets.real, sets.synthetic)
    of_real = {"recall", "coverage"}
    estimates = {}
    for name in names:
        terms, replicates = getattr(found, name), None
        if sets.draws:
            replicates = (sets.draws.real if name in of_real else sets.draws.synthetic) @ terms
        notes = {"neighbors": NEIGHBORS}
        if images < 100:
            notes["warning"] = f"{images} images: neighborhoods are wide, so all of these are rough"
        estimates[name] = Estimate(float(terms.mean()), replicates, notes)
    return estimates
