"""Which metric foretold the result: rank correlation over arms, raw and with the ratio taken out.

More synthetic images move most metrics and most scores, so a metric seems to foretell what the
ratio did; "residualised" correlations mostly vanish (arXiv 2602.18525).
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_ARMS = 5
"""Fewest arms for which a correlation is given; one more where a ratio is taken out."""
_FEWEST_ORDERS = 21
"""Fewest orders with a p value: of 20 not even the farthest from zero has one below 0.05."""
_EXACT = math.factorial(7)
"""Most orders that are all tried."""
_ORDERS = 5000
"""Random orders that are tried where there are more."""


@dataclass(frozen=True)
class Correlation:
    """A rank correlation over arms.

    Attributes
    ----------
    rho : float or None
        None where it is not defined.
    low, high : float or None
        95 % interval.
    p : float or None
        Two-sided p value over permuted arms; None where they have too few orders.
    arms : int
        Number of arms that have the metric.
    reason : str
        Why there is no rho, or no p value; or empty.
    """

    rho: float | None
    low: float | None
    high: float | None
    p: float | None
    arms: int
    reason: str = ""


def rank_correlation(
    metric: Sequence[float], scores: Sequence[float], ratios: Sequence[float] | None = None
) -> Correlation:
    """Return Spearman's rho of a metric and the arms' scores.

    With `ratios`, the partial one: of what is left of both ranks after a regression on the ranks of
    the ratio. The interval is Bonett and Wright's (2000) on Fisher's scale, one arm fewer where a
    ratio was taken out: a bootstrap of ten arms repeats arms, which ties ranks, and at rho = 1 it
    has no width. Arms that share real images and seeds are not independent, so the true interval is
    rather wider.

    The p value is the share of orders of the arms' scores with a rho as far from zero. With
    `ratios`, scores change places among arms of one ratio alone: where the ratio tells nothing
    apart, so that the test is exact for every number of arms, whatever the ratio does to metric and
    score. (Residuals permuted over all arms, after Freedman and Lane, 1983, give p values below
    0.05 too often, and not with few arms alone: 11 % of the time with ten, where the ratio decides
    most.) Arms with a ratio of their own add nothing to it.

    Parameters
    ----------
    metric, scores, ratios : sequence of float
        One value per arm; arms whose metric is None or not finite are left out.
    """
    columns = [metric, scores] + ([] if ratios is None else [ratios])
    values = np.array([[np.nan if x is None else x for x in column] for column in columns], float)
    values = values[:, np.isfinite(values).all(axis=0)]
    arms = values.shape[1]
    fewest = FEWEST_ARMS + len(values) - 2
    if arms < fewest:
        return _undefined(arms, f"{arms} arms have it; a correlation wants {fewest}")
    ranks = _ranks(values)
    left = _residuals(ranks[:2], ranks[2:])
    if (np.linalg.norm(left, axis=1) < 1e-9 * arms).any():
        what = "the metric or the score is the same in all arms"
        if ranks[0].any() and ranks[1].any():
            what = "the ratio explains the metric or the score to the last rank"
        return _undefined(arms, what)
    rho = _correlations(left[0], left[1:])[0]
    alike = _alike(values[2:], arms)
    count = math.prod(math.factorial(len(group)) for group in alike)
    p, reason = None, f"{count} orders of arms of one ratio; a test wants {_FEWEST_ORDERS}"
    if count >= _FEWEST_ORDERS:
        p, reason = _p_value(left, alike, count), ""
    return Correlation(float(rho), *_bounds(rho, arms, len(values) - 2), p, arms, reason)


def _undefined(arms: int, reason: str) -> Correlation:
    return Correlation(None, None, None, None, arms, reason)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks within each row, less their mean."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=1)
    return ranks - ranks.mean(axis=1, keepdims=True)


def _residuals(rows: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return rows less their regression on the given ranks, of which there is one or none."""
    # both centered: y - (y . z / z . z) z
    for other in given:
        if other.any():
            rows = rows - np.outer(rows @ other / (other @ other), other)
    return rows


def _correlations(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the correlation of a centered row with others; 0 with a row of zeros."""
    lengths = np.linalg.norm(one) * np.linalg.norm(others, axis=1)
    found = np.divide(others @ one, lengths, out=np.zeros(len(others)), where=lengths > 1e-12)
    return np.clip(found, -1, 1)


def _bounds(rho: float, arms: int, given: int) -> tuple[float, float]:
    """Return the interval; a rho of 1 counts as half a step below, as ranks have steps."""
    # tanh(atanh(rho) +- z sqrt((1 + rho^2 / 2) / (n - 3 - given))), z = 1.96. With differences d of
    # ranks, rho = 1 - 6 sum d^2 / (n (n^2 - 1)). The least change swaps two neighbors, sum d^2 = 2:
    # a step is 12 / (n (n^2 - 1)). At 1 itself atanh is infinite, hence half a step less.
    step = 6 / (arms * (arms**2 - 1))
    inner = min(max(rho, -1 + step), 1 - step)
    half = 1.959964 * math.sqrt((1 + inner**2 / 2) / (arms - 3 - given))
    low, high = (math.tanh(math.atanh(inner) + sign * half) for sign in (-1, 1))
    return min(low, rho), max(high, rho)


def _alike(ratios: np.ndarray, arms: int) -> list[np.ndarray]:
    """Return the places of the arms that have one ratio, ratio by ratio; of all, without ratios."""
    if not len(ratios):
        return [np.arange(arms)]
    return [np.flatnonzero(ratios[0] == ratio) for ratio in np.unique(ratios[0])]


def _p_value(left: np.ndarray, alike: list[np.ndarray], count: int) -> float:
    """Return the share of orders, of arms that are alike, with a correlation as far from zero.

    What is left after a regression on the ratio is so whatever places it takes among them.
    """
    # residual = y - (y . z / z . z) z. An order p of y among arms of equal z leaves z as it is, so
    # p(y) . z = y . z and the residual of p(y) is p(residual): ordering residuals is enough.
    observed = abs(_correlations(left[0], left[1:])[0]) - 1e-9

    def as_far(orders: np.ndarray) -> np.ndarray:
        return np.abs(_correlations(left[0], left[1][orders])) >= observed

    if count <= _EXACT:
        return float(as_far(np.array(list(_all_orders(alike)))).mean())
    random = np.random.default_rng(0)
    orders = np.tile(np.arange(left.shape[1]), (_ORDERS, 1))
    for group in alike:
        orders[:, group] = random.permuted(orders[:, group], axis=1)
    # the order that was observed is one of them (Phipson and Smyth 2010): p is never 0
    return float((as_far(orders).sum() + 1) / (_ORDERS + 1))


def _all_orders(alike: list[np.ndarray]) -> Iterator[np.ndarray]:
    order = np.arange(sum(map(len, alike)))
    for places in itertools.product(*map(itertools.permutations, alike)):
        for group, place in zip(alike, places, strict=True):
            order[group] = place
        yield order.copy()
