"""A study in one plain dict: what each arm reaches, what that is worth, and how sure it is."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from cia.catalog import metric_numbers, score_numbers
from cia.errors import UserError
from cia.evidence.arms import CHOSEN, CLAIMS, KINDS, StudyArm
from cia.evidence.correlations import rank_correlation
from cia.evidence.equivalents import Curve, equivalent_real, gap_closed
from cia.evidence.intervals import holm, interval


def summarize_study(arms: Sequence[StudyArm], images: int, metric: str) -> dict:
    """Return all numbers that a study has, as plain data in the order of study.yaml.

    Parameters
    ----------
    arms : sequence of StudyArm
        In the order in which to show them; exactly one of kind duplicated.
    images : int
        Number of test images.
    metric : str
        What the scores are, such as `mAP50-95`.

    Returns
    -------
    dict
        steps, metric, seeds, test_images, draws, control, gap, families, arms, curve,
        correlations.

    Raises
    ------
    UserError
        If there is no control or more than one, a name comes twice, or arms differ in their
        numbers of seeds, draws or optimizer steps.
    """
    control = _check(arms)
    seeds, draws = control.resampled.shape
    curve = _curve(arms)
    real, twice = _first(arms, "real"), _first(arms, "twice")
    gap = _difference(twice, real, images) if real and twice else None
    rows = [_row(arm, arms, control, curve, images) for arm in arms]
    families = {"difference": _correct(rows, "difference", CLAIMS)}
    for kind in CHOSEN:
        families[f"{kind}_against_random"] = _correct(rows, "against_random", (kind,))
    return {
        "steps": control.steps[0],
        "metric": metric,
        "seeds": seeds,
        "test_images": images,
        "draws": draws,
        "control": control.name,
        "gap": gap and {"from": real.name, "to": twice.name, **gap},
        "families": families,
        "arms": rows,
        "curve": _curve_points(curve, images),
        "correlations": _metric_correlations(arms),
    }


def _check(arms: Sequence[StudyArm]) -> StudyArm:
    controls = [arm for arm in arms if arm.kind == "duplicated"]
    if len(controls) != 1:
        raise UserError(
            f"a study needs one arm of duplicated real images as its control, not {len(controls)}"
        )
    names = [arm.name for arm in arms]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"two arms of the study are named {twice[0]}")
    for arm in arms:
        if arm.kind not in KINDS:
            raise UserError(f"{arm.name}: no kind of arm {arm.kind}; there are {', '.join(KINDS)}")
        expected = controls[0].resampled.shape
        if arm.resampled.shape != expected or arm.scores.shape != expected[:1]:
            raise UserError(
                f"{arm.name}: {len(arm.scores)} seeds, where {controls[0].name} has {expected[0]}; "
                "every arm needs the same seeds and draws"
            )
    steps = sorted({step for arm in arms for step in arm.steps})
    if len(steps) > 1:
        raise UserError(
            f"the study's arms were trained for {steps} optimizer steps; they can be compared "
            "after as many only"
        )
    return controls[0]


def _first(arms: Sequence[StudyArm], kind: str) -> StudyArm | None:
    return next((arm for arm in arms if arm.kind == kind), None)


def _row(
    arm: StudyArm, arms: Sequence[StudyArm], control: StudyArm, curve: Curve | None, images: int
) -> dict[str, object]:
    level = interval(arm.scores, arm.resampled, images)
    real, twice = _first(arms, "real"), _first(arms, "twice")
    worth = arm.kind not in ("real", "twice", "curve")
    equivalent = share = None
    if worth and curve is not None and not curve.flat:
        equivalent = asdict(equivalent_real(curve, arm.scores, arm.resampled, images))
    if worth and real and twice:
        share = asdict(gap_closed(*((x.scores, x.resampled) for x in (arm, real, twice)), images))
    difference = None if arm is control else _difference(arm, control, images)
    if difference and arm.short:
        difference["p"] = None  # fewer images than the control has are another question
    random = next((other for other in arms if other.name == arm.against), None)
    if random and (arm.short or random.short):
        random = None
    return {
        "name": arm.name,
        "kind": arm.kind,
        "n_real": int(arm.n_real),
        "n_added": int(arm.n_added),
        "ratio": float(arm.ratio),
        "scores": [float(score) for score in arm.scores],
        "val": [float(score) for score in arm.val],
        "mean": level.mean,
        "low": level.low,
        "high": level.high,
        "note": level.note,
        "short": arm.short,
        "difference": difference,
        "against_random": random and {"arm": random.name, **_difference(arm, random, images)},
        "equivalent_real": equivalent,
        "gap_closed": share,
        "metrics": {name: _number(value) for name, value in arm.metrics.items()},
    }


def _difference(arm: StudyArm, other: StudyArm, images: int) -> dict:
    found = interval(arm.scores - other.scores, arm.resampled - other.resampled, images)
    return {
        "mean": found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "p_holm": None,
        "by_seed": [float(value) for value in arm.scores - other.scores],
        "note": found.note,
    }


def _correct(rows: Sequence[dict], key: str, kinds: Sequence[str]) -> list[str]:
    """Fill in `p_holm` of one family, and return the names of its arms; short ones are in none."""
    family = [row for row in rows if row["kind"] in kinds and row[key] and not row["short"]]
    adjusted = holm([row[key]["p"] for row in family])
    for row, p in zip(family, adjusted, strict=True):
        row[key]["p_holm"] = p
    return [row["name"] for row in family]


def _curve(arms: Sequence[StudyArm]) -> Curve | None:
    """Return the learning curve of all arms of real images alone, if there are two sizes."""
    by_size: dict[int, StudyArm] = {}
    for kind in ("curve", "twice", "real"):
        by_size |= {arm.n_real: arm for arm in arms if arm.kind == kind}
    if len(by_size) < 2:
        return None
    points = [by_size[size] for size in sorted(by_size)]
    return Curve(
        np.array(sorted(by_size), dtype=np.float64),
        np.array([arm.scores for arm in points]),
        np.array([arm.resampled for arm in points]),
    )


def _curve_points(curve: Curve | None, images: int) -> dict | None:
    if curve is None:
        return None
    levels = [interval(*point, images) for point in zip(curve.scores, curve.resampled, strict=True)]
    return {
        "n_real": [int(size) for size in curve.sizes],
        "mean": [level.mean for level in levels],
        "low": [level.low for level in levels],
        "high": [level.high for level in levels],
        "fit": [float(value) for value in curve.fit()],
    }


def _metric_correlations(arms: Sequence[StudyArm]) -> dict[str, dict]:
    """Return each metric's correlation with the score, over the arms with added images."""
    added = [arm for arm in arms if arm.n_added and arm.metrics]
    scores = [float(arm.scores.mean()) for arm in added]
    ratios = [arm.n_added / arm.n_real for arm in added]  # a short arm has less than it asked for
    found = {}
    for name in dict.fromkeys(name for arm in added for name in arm.metrics):
        values = [arm.metrics.get(name) for arm in added]
        found[name] = {
            "better": _better(name),
            "raw": asdict(rank_correlation(values, scores)),
            "partial": asdict(rank_correlation(values, scores, ratios)),
        }
    for kind in ("raw", "partial"):
        adjusted = holm([entry[kind]["p"] for entry in found.values()])
        for entry, p in zip(found.values(), adjusted, strict=True):
            entry[kind]["p_holm"] = p
    return found


def _better(name: str) -> str | None:
    """Return which end of a metric, or mean score, is the better one, by the name in its name."""
    numbers = metric_numbers() | score_numbers()
    words = [word.removeprefix("mean_") for word in re.split(r"\W+", name)]
    return next((numbers[word].better for word in words if word in numbers), None)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
