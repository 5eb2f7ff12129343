"""Per-image scores (PTD): how far each synthetic image is from the distribution of the real ones.

`SCORES` maps each column of the scores table to its function and its direction; adding one is a
function of real features (n, d) and synthetic ones (m, d) that returns m numbers, and an entry.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cia.errors import UserError

_BLOCK = 4096
"""Rows scored at a time, which bounds memory."""


class Score(NamedTuple):
    """A score: its function, and whether its `lower` or `higher` values are better."""

    function: Callable[[np.ndarray, np.ndarray], np.ndarray]
    direction: str


def mahalanobis(real: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """Return each synthetic image's Mahalanobis distance to the real ones.

    In float64, with the Ledoit-Wolf shrinkage of the real covariance ("A well-conditioned estimator
    for large-dimensional covariance matrices", 2004; scikit-learn's `LedoitWolf`). Shrinkage keeps
    the covariance invertible with fewer images than features, so what lies off the span of the real
    features is far, where a pseudo-inverse would not see it at all.

    The inverse is applied along the real features' singular vectors, and outside their span with
    the shrinkage alone, so no d x d matrix is built.

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
    mean = real.mean(axis=0, dtype=np.float64)
    centered = real.astype(np.float64) - mean
    shrinkage, variance = _ledoit_wolf(centered)
    ridge = shrinkage * variance
    _, singular, axes = np.linalg.svd(centered, full_matrices=False)
    spread = (1 - shrinkage) * np.square(singular) / len(real)
    if ridge <= 1e-10 * variance and len(axes) < real.shape[1]:
        raise UserError(
            f"{len(real)} real images are too few, or too alike, to measure distance by: nothing "
            "is known of how they vary in other directions; add real training images"
        )
    distances = np.empty(len(synthetic))
    for start in range(0, len(synthetic), _BLOCK):
        offset = synthetic[start : start + _BLOCK].astype(np.float64) - mean
        inside = offset @ axes.T
        outside = np.maximum(np.square(offset).sum(axis=1) - np.square(inside).sum(axis=1), 0)
        squared = (np.square(inside) / (spread + ridge)).sum(axis=1)
        if len(axes) < real.shape[1]:
            squared += outside / ridge
        distances[start : start + _BLOCK] = np.sqrt(squared)
    return distances


SCORES: dict[str, Score] = {
    "mahalanobis": Score(mahalanobis, "lower"),
}
"""The columns of a scores table."""


def score_images(real: np.ndarray, synthetic: np.ndarray) -> dict[str, np.ndarray]:
    """Return every score of every synthetic image, column name to values.

    Raises
    ------
    UserError
        If there are fewer than 3 real images, or they are all the same.
    """
    if len(real) < 3 or not np.ptp(real, axis=0).any():
        raise UserError(
            f"{len(real)} real images, or all with the same features: nothing to measure distance "
            "by; a score needs 3 real training images that differ"
        )
    return {name: score.function(real, synthetic) for name, score in SCORES.items()}


def _ledoit_wolf(centered: np.ndarray) -> tuple[float, float]:
    """Return the shrinkage, and the mean variance that is the target's diagonal."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    variance = float(np.square(centered).mean())
    return float(ledoit_wolf_shrinkage(centered, assume_centered=True)), variance
