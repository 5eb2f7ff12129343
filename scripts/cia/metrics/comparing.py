"""Distribution metrics (DTD): how far the synthetic images are, as a set, from the real ones.

`METRICS` lists functions of a `Comparison` that return estimates by name; adding a metric is such a
function, an entry there, and one in `cia.directions.METRICS`.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cia.directions import METRICS as DIRECTIONS
from cia.errors import UserError
from cia.metrics.bootstrap import Draws, draw, interval
from cia.metrics.frechet import (
    PARTS,
    frechet_distance,
    frechet_infinity,
    frechet_influence,
    frechet_value,
)
from cia.metrics.inception_score import SPLITS, inception_score, score_replicates
from cia.metrics.kernels import (
    gaussian_kernel,
    kernel_distance,
    median_distance,
    mmd_replicates,
    polynomial_kernel,
    squared_mmd,
)
from cia.metrics.manifolds import NEIGHBORS, compare_manifolds

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


def frechet(sets: Comparison) -> dict[str, Estimate]:
    """Frechet distance; on Inception's features its name is FID."""
    name = "fid" if sets.model == "inception" else "frechet_distance"
    value = frechet_distance(sets.real, sets.synthetic)
    replicates = None
    if sets.draws:
        replicates = frechet_influence(sets.real, sets.synthetic).replicates(sets.draws)
    images, dimensions = min(len(sets.real), len(sets.synthetic)), sets.real.shape[1]
    warning = (
        f"{images} images for {dimensions} features: the distance is biased upwards by much; "
        "compare it only with others at the same numbers of images"
    )
    return {name: Estimate(value, replicates, {"warning": warning} if images <= dimensions else {})}


def frechet_limit(sets: Comparison) -> dict[str, Estimate]:
    """Frechet distance extrapolated to endless images."""
    images, dimensions = min(len(sets.real), len(sets.synthetic)), sets.real.shape[1]
    if images < 2 * PARTS[-1]:
        return {"frechet_infinity": _none(f"{images} images are too few for {PARTS[-1]} parts")}
    measure = frechet_influence if sets.draws else frechet_value
    found = frechet_infinity(sets.real, sets.synthetic, sets.seed, measure)
    notes = {}
    if images // PARTS[-1] <= dimensions:
        notes["warning"] = (
            f"parts of {images // PARTS[-1]} images for {dimensions} features: too few for a "
            "straight line over 1/n, so bias remains"
        )
    return {
        "frechet_infinity": Estimate(
            found.value, found.replicates(sets.draws) if sets.draws else None, notes
        )
    }


def kernel(sets: Comparison) -> dict[str, Estimate]:
    """Kernel Inception Distance on any features; as a floor, of all images instead of subsets."""
    if not sets.draws:
        return {"kid": Estimate(squared_mmd(sets.real, sets.synthetic, polynomial_kernel))}
    mean, std, subsets, size = kernel_distance(sets.real, sets.synthetic, sets.seed)
    notes = {"std": std, "subsets": subsets, "subset_size": size}
    if size < 50:
        notes["warning"] = f"{size} images: without bias, but too few to tell small differences"
    return {"kid": Estimate(mean, _mmd_replicates(sets, polynomial_kernel), notes)}


def gaussian(sets: Comparison) -> dict[str, Estimate]:
    """Squared MMD with a Gaussian kernel, after CMMD (Jayasumana et al., "Rethinking FID", 2024).

    Theirs is on CLIP's features with a bandwidth of 10 for their scale; here the bandwidth is the
    median distance of the real images, so that it serves any features.
    """
    bandwidth = median_distance(sets.real, sets.seed)
    if bandwidth == 0:
        return {"mmd_rbf": _none("the real images have the same features: there is no bandwidth")}
    chosen = gaussian_kernel(bandwidth)
    value = squared_mmd(sets.real, sets.synthetic, chosen)
    return {"mmd_rbf": Estimate(value, _mmd_replicates(sets, chosen), {"bandwidth": bandwidth})}


def manifolds(sets: Comparison) -> dict[str, Estimate]:
    """Precision, recall, density and coverage."""
    names = ("precision", "recall", "density", "coverage")
    images = min(len(sets.real), len(sets.synthetic))
    if images <= NEIGHBORS:
        reason = f"{images} images have no {NEIGHBORS} neighbors each"
        return {name: _none(reason) for name in names}
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


def inception(sets: Comparison) -> dict[str, Estimate]:
    """Inception Score, on the class probabilities of a classifier."""
    if sets.probabilities is None:
        return {}
    images, classes = sets.probabilities.shape
    if not classes:
        reason = f"the model {sets.model!r} has no class probabilities"
        return {"inception_score": _none(reason)}
    if images < SPLITS:
        return {"inception_score": _none(f"{images} images are too few for {SPLITS} splits")}
    mean, std = inception_score(sets.probabilities)
    replicates = None
    if sets.draws:
        replicates = score_replicates(sets.probabilities, sets.draws.synthetic)
        replicates *= mean / replicates.mean()
    return {"inception_score": Estimate(mean, replicates, {"std": std, "splits": SPLITS})}


METRICS: Sequence[Callable[[Comparison], dict[str, Estimate]]] = (
    frechet,
    frechet_limit,
    kernel,
    gaussian,
    manifolds,
    inception,
)
"""Every distribution metric."""


RANGES = {
    "fid": (0, np.inf),
    "frechet_distance": (0, np.inf),
    "precision": (0, 1),
    "recall": (0, 1),
    "density": (0, np.inf),
    "coverage": (0, 1),
    "inception_score": (1, np.inf),
}
"""Ends that a metric's interval does not pass."""


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
    return {name: found for metric in METRICS for name, found in metric(sets).items()}


def _entry(name: str, estimate: Estimate) -> dict:
    entry = {"value": estimate.value, "direction": DIRECTIONS[name]}
    if estimate.replicates is not None:
        least, most = RANGES.get(name, (-np.inf, np.inf))
        ends = np.clip(interval(estimate.value, estimate.replicates), least, most)
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
        floors |= inception(Comparison(real, real, model, seed, None, probabilities))
    return floors, _measure(Comparison(first, sample, model, seed))


def _mmd_replicates(sets: Comparison, chosen) -> np.ndarray | None:
    if not sets.draws:
        return None
    return mmd_replicates(sets.real, sets.synthetic, chosen, sets.draws)


def _none(reason: str) -> Estimate:
    return Estimate(None, None, {"reason": reason})


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
