"""What a gain is worth: in real images, and as a share of what doubling them brings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cia.evidence.intervals import NO_SPREAD, Interval, interval

_STEPS = 500
"""Numbers of real images at which an arm is held against the learning curve, at most."""
_FARTHEST = 1e4
"""Where the search for the end of a share's interval stops."""


@dataclass(frozen=True)
class Curve:
    """A learning curve: models trained on more and more real images.

    Attributes
    ----------
    sizes : numpy.ndarray
        Numbers of real images, rising, shape (sizes,).
    scores : numpy.ndarray
        Scores on the test images, shape (sizes, seeds).
    resampled : numpy.ndarray
        Scores on every draw of test images, shape (sizes, seeds, draws).
    """

    sizes: np.ndarray
    scores: np.ndarray
    resampled: np.ndarray

    def fit(self) -> np.ndarray:
        """Return the rising curve that is nearest to the mean scores, shape (sizes,)."""
        return self._pooling @ self.scores.mean(axis=1)

    @property
    def flat(self) -> bool:
        """Whether more real images score no higher anywhere, so that nothing can be read off."""
        fit = self.fit()
        return bool(np.isclose(fit[0], fit[-1], rtol=0, atol=1e-9))

    def at(self, size: float) -> tuple[np.ndarray, np.ndarray]:
        """Return what the curve is at a number of real images: by seed, and by seed and draw.

        The mean over seeds of the first is the fit, with straight lines between its points.
        """
        # value = b . (P y), with P the pooling, y one seed's scores by size, and b the weights of
        # linear interpolation, found as the interpolated unit vectors: linear in y, so one row b P
        # serves every seed and draw
        between = [np.interp(size, self.sizes, row) for row in np.eye(len(self.sizes))]
        share = np.array(between) @ self._pooling
        return share @ self.scores, np.tensordot(share, self.resampled, axes=1)

    @cached_property
    def _pooling(self) -> np.ndarray:
        """Return the isotonic fit as a matrix: each size's share of each pooled neighbor."""
        from sklearn.isotonic import IsotonicRegression

        # the least-squares rising fit is the mean within each run of sizes that it pools (pool
        # adjacent violators): P_ij = 1 / (sizes in the run) where i and j share one, else 0
        means = self.scores.mean(axis=1)
        fitted = IsotonicRegression().fit_transform(self.sizes, means)
        pooled = fitted[:, None] == fitted[None, :]
        return pooled / pooled.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Equivalent:
    """How many real images alone reach an arm's score.

    Attributes
    ----------
    value : float
        Read off the isotonic fit; of a plateau its left end.
    at_least, at_most : bool
        Whether the score is above, or below, the whole curve, so that value is the curve's end.
    low, high : float or None
        95 % interval.
    low_open, high_open : bool
        Whether the interval runs beyond that end of the curve.
    note : str
        What the reader must know, or empty.
    """

    value: float
    at_least: bool
    at_most: bool
    low: float | None
    high: float | None
    low_open: bool
    high_open: bool
    note: str = ""


@dataclass(frozen=True)
class Share:
    """The share of the gap between N and 2N real images that an arm closes.

    Attributes
    ----------
    value, low, high : float or None
        None where it is not defined.
    reason : str
        Why not, or empty.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str = ""


def equivalent_real(
    curve: Curve, scores: np.ndarray, resampled: np.ndarray, images: int
) -> Equivalent:
    """Read an arm's score off the learning curve, as a number of real images.

    The interval holds every number of real images from which the arm's score can't be told apart:
    whose difference to the arm, paired by seed and test image, has an interval with zero in it
    (inversion of the test). So it agrees with the table's differences, and it is as wide as few
    seeds demand; resampling three seeds is not. Which neighbors the fit pools is taken as given.

    Parameters
    ----------
    curve : Curve
        With at least two sizes.
    scores : numpy.ndarray
        The arm's, shape (seeds,).
    resampled : numpy.ndarray
        The arm's, shape (seeds, draws).
    images : int
        Number of test images.
    """
    fit, mean = curve.fit().tolist(), float(np.mean(scores))
    first, last = float(curve.sizes[0]), float(curve.sizes[-1])
    value, at_least, at_most = _read_off(curve.sizes, fit, mean)

    def gap(size: float) -> Interval:
        by_seed, by_draw = curve.at(size)
        return interval(scores - by_seed, resampled - by_draw, images)

    grid = np.unique([*np.linspace(first, last, _STEPS).round(), *curve.sizes])
    gaps = [gap(size) for size in grid]
    known = [found for found in gaps if found.low is not None]
    note = known[0].note if known else NO_SPREAD
    same = [
        size
        for size, found in zip(grid, gaps, strict=True)
        if found.low is not None and not (found.above_zero or found.below_zero)
    ]
    if same:
        low_open, high_open = at_most or bool(same[0] == first), at_least or bool(same[-1] == last)
        low, high = min(float(same[0]), value), max(float(same[-1]), value)
        return Equivalent(value, at_least, at_most, low, high, low_open, high_open, note)
    if not known:
        return Equivalent(value, at_least, at_most, None, None, at_most, at_least, note)
    # told apart from the whole curve: the interval is beyond its end
    low, high = (value, None) if at_least else (None, value) if at_most else (value, value)
    return Equivalent(value, at_least, at_most, low, high, at_most, at_least, note)


def gap_closed(
    arm: tuple[np.ndarray, np.ndarray],
    real: tuple[np.ndarray, np.ndarray],
    twice: tuple[np.ndarray, np.ndarray],
    images: int,
) -> Share:
    """Return the share (arm - N) / (2N - N) of the gap to twice the real images, with interval.

    Fieller's (1954): the interval holds each share g for which arm - N - g (2N - N) can't be told
    from zero. The two differences share their seeds, test images and N, which this takes into
    account, and it stays right where a bootstrap of a ratio with an uncertain denominator does not.
    The share is defined only where the gap itself is clear of zero.

    Parameters
    ----------
    arm, real, twice : tuple of numpy.ndarray
        Scores, shape (seeds,), and scores on every draw of test images, shape (seeds, draws).
    images : int
        Number of test images.
    """
    gain = arm[0] - real[0], arm[1] - real[1]
    gap = twice[0] - real[0], twice[1] - real[1]
    whole = interval(*gap, images)
    if not whole.above_zero:
        return Share(
            None,
            None,
            None,
            "twice the real images are not shown to be better than once, so there is no gap to "
            f"close: {whole.mean:+.3f}"
            + (f" [{whole.low:+.3f}, {whole.high:+.3f}]" if whole.low is not None else ""),
        )
    value = float(gain[0].mean()) / whole.mean

    # {g: |mean(gain - g gap)| <= t se(gain - g gap)}: gap is clear of zero, so the value is in it
    # and both its ends are found by walking outwards
    def possible(share: float) -> bool:
        rest = interval(gain[0] - share * gap[0], gain[1] - share * gap[1], images)
        return not (rest.above_zero or rest.below_zero)

    return Share(value, _last(possible, value, -1.0), _last(possible, value, 1.0))


def _read_off(sizes: np.ndarray, fit: Sequence[float], score: float) -> tuple[float, bool, bool]:
    """Return the least size at which the fit has this score, and whether it is above or below."""
    if score > fit[-1]:
        return float(sizes[-1]), True, False
    if score < fit[0]:
        return float(sizes[0]), False, True
    right = next(index for index, level in enumerate(fit) if level >= score)
    if right == 0 or fit[right] == score:
        return float(sizes[right]), False, False
    share = (score - fit[right - 1]) / (fit[right] - fit[right - 1])
    return float(sizes[right - 1] + share * (sizes[right] - sizes[right - 1])), False, False


def _last(possible: Callable[[float], bool], start: float, step: float) -> float | None:
    """Return the last possible value on the way from a possible start; None if there is no end."""
    # steps of 1, 2, 4, ... while they stay possible, then halving: 40 times is to the last digits
    inside = start
    while possible(start + step):
        inside = start + step
        step *= 2
        if abs(step) > _FARTHEST:
            return None
    outside = start + step
    for _ in range(40):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if possible(middle) else (inside, middle)
    return inside
