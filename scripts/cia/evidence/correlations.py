"""Which metric foretold the result: rank correlation over arms, raw and with the ratio taken out.

More synthetic images move most metrics and most scores, so a metric seems to foretell what the
ratio did; "residualised" correlations mostly vanish (arXiv 2602.18525).
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_ARMS = 5
"""Fewest arms for which a correlation is given."""
_EXACT = 7
"""Most arms for which all orders are tried."""
_ORDERS = 5000
"""Random orders that are tried for more arms."""


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
        Two-sided p value over permuted arms.
    arms : int
        Number of arms that have the metric.
    reason : str
        Why there is no rho, or empty.
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
    rather wider. The p value is of permuted arms: all orders up to seven arms, else random ones.

    Parameters
    ----------
    metric, scores, ratios : sequence of float
        One value per arm; arms whose metric is None or not finite are left out.
    """
    columns = [metric, scores] + ([] if ratios is None else [ratios])
    values = np.array([[np.nan if x is None else x for x in column] for column in columns], float)
    values = values[:, np.isfinite(values).all(axis=0)]
    arms = values.shape[1]
    if arms < FEWEST_ARMS:
        return _undefined(arms, f"{arms} arms have it; a correlation wants {FEWEST_ARMS}")
    left = _residuals(values)
    if left is None:
        what = "the metric or the score is the same in all arms"
        if ratios is not None and _residuals(values[:2]) is not None:
            what = "the ratio explains the metric or the score to the last rank"
        return _undefined(arms, what)
    rho = float(np.clip(left[0] @ left[1], -1, 1))
    return Correlation(rho, *_bounds(rho, arms, len(values) - 2), _p_value(left), arms)


def _undefined(arms: int, reason: str) -> Correlation:
    return Correlation(None, None, None, None, arms, reason)


def _residuals(values: np.ndarray) -> np.ndarray | None:
    """Return the ranks of metric and score less their fit, each of length 1; None if one is 0."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    left, given = ranks[:2], ranks[2:]
    for other in given:
        if other.any():
            left = left - np.outer(left @ other / (other @ other), other)
    lengths = np.linalg.norm(left, axis=1, keepdims=True)
    if (lengths < 1e-9 * values.shape[1]).any():
        return None
    return left / lengths


def _bounds(rho: float, arms: int, given: int) -> tuple[float, float]:
    """Return the interval; a rho of 1 counts as half a step below, as ranks have steps."""
    step = 6 / (arms * (arms**2 - 1))
    inner = min(max(rho, -1 + step), 1 - step)
    half = 1.959964 * math.sqrt((1 + inner**2 / 2) / (arms - 3 - given))
    low, high = (math.tanh(math.atanh(inner) + sign * half) for sign in (-1, 1))
    return min(low, rho), max(high, rho)


def _p_value(left: np.ndarray) -> float:
    """Return the share of orders of arms with a correlation as far from zero."""
    arms = left.shape[1]
    observed = abs(left[0] @ left[1]) - 1e-9
    if arms <= _EXACT:
        orders = np.array(list(itertools.permutations(range(arms))))
        return float((np.abs(left[1][orders] @ left[0]) >= observed).mean())
    order = np.random.default_rng(0)
    orders = order.permuted(np.tile(np.arange(arms), (_ORDERS, 1)), axis=1)
    return float(((np.abs(left[1][orders] @ left[0]) >= observed).sum() + 1) / (_ORDERS + 1))
