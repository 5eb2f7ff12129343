"""Distribution metrics (DTD): how far the synthetic images are, as a set, from the real ones.

Those that there are, `METRICS` of `cia.catalog`: functions of a `Comparison` that return an
`Estimate` by the name of each number.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cia.catalog import METRICS, code, metric_numbers
from cia.errors import UserError
from cia.metrics.bootstrap import Draws, bootstrap_interval, draw

logger = logging.getLogger("cia")


@dataclass(frozen=True)
class Comparison:
    """Two image sets to compare.

    Attributes
    ----------
    real, synthetic : numpy.ndarray
        Features, shapes (n, d) and (m, d).
    model : str
        The feature model, as in config.
    seed : int
        For random subsets.
    draws : Draws or None
        For intervals; None where only values are asked for.
    probabilities : numpy.ndarray or None
        Class probabilities of the synthetic images, shape (m, k); k = 0 without classes.
    """

    real: np.ndarray
    synthetic: np.ndarray
    model: str
    seed: int
    draws: Draws | None = None
    probabilities: np.ndarray | None = None


@dataclass(frozen=True)
class Estimate:
    """A metric's value, None with a reason where it can't be had.

    Attributes
    ----------
    value : float or None
    replicates : numpy.ndarray or None
        The value in each draw, to first order.
    notes : dict
        What else belongs to it: std, subsets, warning, reason, ...
    """

    value: float | None
    replicates: np.ndarray | None = None
    notes: dict = field(default_factory=dict)

    @classmethod
    def missing(cls, reason: str) -> "Estimate":
        """Return the estimate of a metric that can't be had."""
        return cls(None, None, {"reason": reason})


def distribution_metrics(
    real: np.ndarray,
    synthetic: np.ndarray,
    model: str,
    seed: int,
    real_ids: Sequence[str],
    sources: Sequence[str],
    probabilities: np.ndarray | None = None,
    real_probabilities: np.ndarray | None = None,
) -> dict:
    """Compute every distribution metric of one feature model, with intervals and floors.

    Parameters
    ----------
    real, synthetic : numpy.ndarray
        Features, shapes (n, d) and (m, d).
    model : str
        The model's name in the config: on `inception` the Frechet distance is the FID.
    seed : int
    real_ids, sources : sequence of str
        The real images' ids, and for each synthetic image the id of the one that it varies: they
        are resampled together.
    probabilities, real_probabilities : numpy.ndarray, optional
        Class probabilities, shapes (m, k) and (n, k); k = 0 if the model has none. Without them
        there is no Inception Score.

    Returns
    -------
    dict
        Per metric `value` (None with a `reason` where it can't be had), `low` and `high` of its
        95 % interval, `direction`, `floor`, `matched`, and what else belongs to it. The floor is
        what two random halves of the real images come to: no synthetic set can be expected to do
        better. Since most metrics depend on the number of images, `matched` compares one of the
        halves with as many synthetic images: it is what to hold against the floor. For the
        Inception Score the floor is what the real images come to.

    Raises
    ------
    UserError
        If a set has fewer than 2 images, or the two differ in their number of features.
    """
    _require_comparable(real, synthetic)
    draws = draw(real_ids, sources, seed)
    sets = Comparison(real, synthetic, model, seed, draws, probabilities)
    floors, matched = _references(real, synthetic, model, seed, real_probabilities)
    entries = {}
    for name, estimate in _measure(sets).items():
        entries[name] = _entry(name, estimate)
        for key, found in (("floor", floors), ("matched", matched)):
            if name in found and found[name].value is not None:
                entries[name][key] = found[name].value
    return entries


def metric_values(
    real: np.ndarray, synthetic: np.ndarray, model: str, seed: int
) -> dict[str, float]:
    """Compute every distribution metric, without intervals and floors.

    Parameters
    ----------
    real, synthetic, model, seed
        As in `distribution_metrics`.

    Returns
    -------
    dict
        Metric to value; those that can't be had are left out.
    """
    _require_comparable(real, synthetic)
    found = _measure(Comparison(real, synthetic, model, seed))
    return {name: entry.value for name, entry in found.items() if entry.value is not None}


def _measure(sets: Comparison) -> dict[str, Estimate]:
    found = (code(metric)(sets) for metric in METRICS.values())
    return {name: estimate for estimates in found for name, estimate in estimates.items()}


def _entry(name: str, estimate: Estimate) -> dict:
    number = metric_numbers()[name]
    entry = {"value": estimate.value, "direction": number.better}
    if estimate.replicates is not None:
        ends = bootstrap_interval(estimate.value, estimate.replicates)
        ends = np.clip(ends, number.least, number.most)
        entry["low"], entry["high"] = map(float, ends)
    if warning := estimate.notes.get("warning"):
        logger.warning("%s: %s", name, warning)
    return {**entry, **estimate.notes}


def _references(
    real: np.ndarray, synthetic: np.ndarray, model: str, seed: int, probabilities
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Compare one half of the real images with the other, and with as many synthetic ones."""
    generator = np.random.default_rng(seed)
    order, half = generator.permutation(len(real)), len(real) // 2
    if half < 2:
        return {}, {}
    first, second = real[order[:half]], real[order[half : 2 * half]]
    sample = synthetic[generator.permutation(len(synthetic))[:half]]
    floors = _measure(Comparison(first, second, model, seed))
    if probabilities is not None:
        whole = Comparison(real, real, model, seed, None, probabilities)
        for metric in METRICS.values():
            floors |= code(metric)(whole) if metric.of_probabilities else {}
    return floors, _measure(Comparison(first, sample, model, seed))


def _require_comparable(real: np.ndarray, synthetic: np.ndarray) -> None:
    if min(len(real), len(synthetic)) < 2:
        raise UserError(
            f"{len(real)} real and {len(synthetic)} synthetic images: a distribution needs at "
            "least 2 of each"
        )
    if real.shape[1] != synthetic.shape[1]:
        raise UserError(
            f"the real images have {real.shape[1]} features, the synthetic ones "
            f"{synthetic.shape[1]}: delete both .npy files to make them with one model"
        )
