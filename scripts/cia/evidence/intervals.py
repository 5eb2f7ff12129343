"""Intervals for few seeds and many test images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
"""Level of every interval."""
ONE_SEED = "one seed: the interval covers the choice of test images alone"
NO_SPREAD = "no spread among seeds or test images: no interval"


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and its 95 % interval.

    Attributes
    ----------
    mean : float
    low, high : float or None
        None where nothing varies, so nothing can be said.
    error : float
        Standard error.
    df : float or None
        Degrees of freedom of its t quantile.
    p : float or None
        Two-sided p value of the hypothesis that the mean is 0.
    seeds : int
    note : str
        What the reader must know, or empty.
    """

    mean: float
    low: float | None
    high: float | None
    error: float
    df: float | None
    p: float | None
    seeds: int
    note: str = ""

    @property
    def above_zero(self) -> bool:
        """Whether the interval is above zero."""
        return self.low is not None and self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the interval is below zero."""
        return self.high is not None and self.high < 0


def interval(by_seed: np.ndarray, resampled: np.ndarray, images: int) -> Interval:
    """Return the mean over seeds with an interval for other seeds *and* other test images.

    Both are samples: another seed is another training and another draw of real images, another
    test set is other images; all seeds are tested on the same images (crossed random effects).
    The variance of the mean is that over seeds, plus that over test images (bootstrap), less the
    part that both have in them, what one seed does with one image (Cameron, Gelbach and Miller
    2011, "Robust inference with multiway clustering"), and at least the larger of the two. The t
    quantile has Satterthwaite's degrees of freedom: seeds - 1 where seeds matter, up to images - 1
    where images do.

    A percentile bootstrap over the seeds would be far too narrow: with three of them its variance
    is a third too small, and it takes a normal quantile (1.96) where t with two degrees of freedom
    has 4.30.

    Parameters
    ----------
    by_seed : numpy.ndarray
        Scores on the test images, or differences of two arms' scores, shape (seeds,).
    resampled : numpy.ndarray
        The same on every draw of test images, shape (seeds, draws).
    images : int
        Number of test images.
    """
    from scipy.special import stdtr, stdtrit

    by_seed, resampled = np.asarray(by_seed, np.float64), np.asarray(resampled, np.float64)
    seeds, mean = len(by_seed), float(np.mean(by_seed))
    variance, df = _variance(by_seed, resampled, images)
    note = ONE_SEED if seeds == 1 else ""
    error = float(np.sqrt(variance))
    if error <= 1e-12:
        return Interval(mean, None, None, 0.0, None, None, seeds, NO_SPREAD)
    half = float(stdtrit(df, (1 + LEVEL) / 2)) * error
    p = float(2 * stdtr(df, -abs(mean) / error))
    return Interval(mean, mean - half, mean + half, error, df, p, seeds, note)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Return p values adjusted for their number (Holm 1979): step down, monotone, at most 1.

    A p value that is None counts for nothing and stays None.
    """
    known = sorted((value, index) for index, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    largest = 0.0
    for rank, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - rank)))
        adjusted[index] = largest
    return adjusted


def _variance(by_seed: np.ndarray, resampled: np.ndarray, images: int) -> tuple[float, float]:
    """Return the variance of the mean over seeds, and its degrees of freedom."""
    # score(seed s, images d) = mean + a_s + b_d + c_sd, with S seeds. The variance of the mean over
    # seeds is var(a) / S + var(b) + var(c) / S, and is put together from
    #     of_images: its variance over draws              = var(b) + var(c) / S
    #     of_seeds:  the variance over seeds, by S        = (var(a) + var(c)) / S
    #     of_both:   that over draws, less each draw's mean over seeds, by S  = var(c) / S
    # as of_seeds + of_images - of_both, else var(c) / S would count twice. Satterthwaite:
    # df = total^2 / sum(part^2 / df of the part).
    seeds = len(by_seed)
    of_images = float(resampled.mean(axis=0).var(ddof=1))
    if seeds == 1:
        return of_images, images - 1
    of_seeds = float(by_seed.var(ddof=1) / seeds)
    own = resampled - resampled.mean(axis=0)
    of_both = float(own.var(axis=1, ddof=1).sum() / (seeds - 1) / seeds)
    total = max(of_seeds + of_images - of_both, of_seeds, of_images)
    uncertain = of_seeds**2 / (seeds - 1) + of_images**2 / max(images - 1, 1)
    return total, (total**2 / uncertain if uncertain else 1.0)
