"""Intervals: how much a metric would move with other images from where these came from.

Every metric is resampled in the same draws. A draw takes real images with replacement, and with
each of them its synthetic variations, since those are not independent of each other: 300 variations
of 100 pictures are not 300 pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REPLICATES = 1000
"""Draws of the bootstrap."""


@dataclass(frozen=True)
class Draws:
    """How often each image is in each draw, as a share of the draw.

    Attributes
    ----------
    real, synthetic : numpy.ndarray
        float64, shapes (draws, n) and (draws, m), rows that sum to 1.
    """

    real: np.ndarray
    synthetic: np.ndarray


def draw(
    real: Sequence[str], synthetic: Sequence[str], seed: int, count: int = REPLICATES
) -> Draws:
    """Draw images for a bootstrap (Efron 1979), real images as clusters with their variations.

    Parameters
    ----------
    real : sequence of str
        The real images' ids.
    synthetic : sequence of str
        For each synthetic image, the id of the real one that it varies; one that is not among the
        real ones is a cluster of its own.
    seed : int
    count : int
        Number of draws.
    """
    # A draw takes K of the K clusters, with replacement: cluster k comes c_k times, c multinomial.
    # All its images come with it: image i of cluster k(i) has the share c_k(i) / sum_j c_k(j).
    generator = np.random.default_rng(seed)
    clusters, members = np.unique([*real, *synthetic], return_inverse=True)
    counts = generator.multinomial(
        len(clusters), np.full(len(clusters), 1 / len(clusters)), size=count
    ).astype(np.float64)
    return Draws(_shares(counts[:, members[: len(real)]]), _shares(counts[:, members[len(real) :]]))


def bootstrap_interval(
    value: float, replicates: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """Return the bootstrap interval of a value.

    The replicates' quantiles, moved so that their mean is the value: a draw repeats images, which
    shifts distribution metrics by far more than they vary (a Frechet distance of 100 images of
    64 features doubles), and the shift is no part of the uncertainty.
    """
    # [value + q_low - mean, value + q_high - mean], q the quantiles of the replicates
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2]) - replicates.mean()
    return value + float(low), value + float(high)


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=1, keepdims=True)
    # a draw without any image of a set, possible with a handful of them, counts each image once
    counts = np.where(total > 0, counts, 1.0)
    return counts / counts.sum(axis=1, keepdims=True)
