"""A study in one plain dict: what each arm reaches, what that is worth, and what is shown."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from cia.catalog import metric_numbers, score_numbers
from cia.errors import UserError
from cia.evidence.correlations import rank_correlation
from cia.evidence.equivalents import Curve, equivalent_real, gap_closed
from cia.evidence.intervals import holm, interval

CLAIMS = ("classical", "random", "selection", "all", "ratio", "variation")
"""Kinds of arms that might be better than the control; Holm's correction is across all of these."""
CHOSEN = ("selection", "variation")
"""Kinds that are also held against a random choice of the same size, one family per kind."""
KINDS = ("real", "duplicated", "twice", "curve", *CLAIMS)


@dataclass(frozen=True)
class Arm:
    """One training set of a study, and what the models trained on it reached.

    Attributes
    ----------
    name : str
    kind : str
        real: N real images alone. duplicated: these, as often as the others have images in all
        (the control). classical: with classical augmentation. all, random, selection, ratio:
        with synthetic images, all, some at random, some selected, some shares. variation: made
        from varied conditions. twice: 2N real images. curve: other numbers of real images.
    n_real, n_added : int
        Real training images, and images added to them: the fewest of all seeds.
    ratio : float
        Images asked for per real one.
    scores : numpy.ndarray
        Score on the test images, one per seed, the same seeds in every arm, shape (seeds,).
    resampled : numpy.ndarray
        Score on every draw of test images, the same draws in every arm, shape (seeds, draws).
    val : numpy.ndarray
        Score on the validation images, shape (seeds,).
    against : str or None
        The arm with as many of the same images, chosen at random.
    metrics : dict
        Name of a metric of the added images to its mean over seeds.
    short : str
        Where it has fewer images than asked for, and how many; or empty. Such an arm is shown,
        and not tested against others.
    """

    name: str
    kind: str
    n_real: int
    n_added: int
    ratio: float
    scores: np.ndarray
    resampled: np.ndarray
    val: np.ndarray
    against: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    short: str = ""


def summarize_study(arms: Sequence[Arm], images: int, metric: str) -> dict:
    """Return all that a study says, as plain data in the order of study.yaml.

    Parameters
    ----------
    arms : sequence of Arm
        In the order in which to show them; exactly one of kind duplicated.
    images : int
        Number of test images.
    metric : str
        What the scores are, such as `mAP50-95`.

    Returns
    -------
    dict
        metric, seeds, test_images, draws, control, gap, families, arms, curve, correlations,
        verdict.

    Raises
    ------
    UserError
        If there is no control or more than one, a name comes twice, or arms differ in their
        numbers of seeds or draws.
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
    study = {
        "metric": metric,
        "seeds": seeds,
        "test_images": images,
        "draws": draws,
        "control": control.name,
        "gap": gap and {"from": real.name, "to": twice.name, **gap},
        "families": families,
        "arms": rows,
        "curve": _describe_curve(curve, images),
        "correlations": _correlations(arms),
    }
    return study | {"verdict": verdict(study)}


def _check(arms: Sequence[Arm]) -> Arm:
    controls = [arm for arm in arms if arm.kind == "duplicated"]
    if len(controls) != 1:
        raise UserError(
            f"a study wants one arm of duplicated real images as its control, not {len(controls)}"
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
                "every arm wants the same seeds and draws"
            )
    return controls[0]


def _first(arms: Sequence[Arm], kind: str) -> Arm | None:
    return next((arm for arm in arms if arm.kind == kind), None)


def _row(
    arm: Arm, arms: Sequence[Arm], control: Arm, curve: Curve | None, images: int
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


def _difference(arm: Arm, other: Arm, images: int) -> dict:
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


def _curve(arms: Sequence[Arm]) -> Curve | None:
    """Return the learning curve of all arms of real images alone, if there are two sizes."""
    by_size: dict[int, Arm] = {}
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


def _describe_curve(curve: Curve | None, images: int) -> dict | None:
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


def _correlations(arms: Sequence[Arm]) -> dict[str, dict]:
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


def verdict(study: dict) -> list[str]:
    """Return in plain words what a study shows, and what it does not.

    A difference is shown where its p value after Holm's correction is below 0.05. What is not
    shown may still be there: the sentences say how large it could be.
    """
    rows = {row["name"]: row for row in study["arms"]}
    sentences = [_on_scale(study)]
    claims = [rows[name] for name in study["families"]["difference"]]
    if claims:
        sentences += _compare(claims, "difference", "arms", f"the control ({study['control']})")
        sentences += _worth(claims, study)
    for kind, words in (("selection", "selections"), ("variation", "variations")):
        family = [rows[name] for name in study["families"][f"{kind}_against_random"]]
        if family:
            sentences += _compare(family, "against_random", words, "as many taken at random")
    short = "; ".join(f"{row['name']}: {row['short']}" for row in study["arms"] if row["short"])
    if short:
        sentences.append(f"Smaller than asked for, so not compared at one size: {short}.")
    return sentences + _foretold(study)


def _on_scale(study: dict) -> str:
    control = next(row for row in study["arms"] if row["name"] == study["control"])
    seeds, images = study["seeds"], study["test_images"]
    if seeds == 1:
        tail = f"one seed, so intervals cover the choice of {images} test images alone"
    else:
        tail = f"intervals (95 %) cover other seeds ({seeds} here) and other test images ({images})"
    return (
        f"The control ({control['name']}: the same real images, more often) reaches "
        f"{study['metric']} {with_interval(control, '.3f')}; {tail}."
    )


def _compare(rows: Sequence[dict], key: str, what: str, against: str) -> list[str]:
    """Say which arms are shown to be better or worse, and which are not."""
    groups: dict[str, list[dict]] = {"better": [], "worse": [], "alone": [], "open": []}
    for row in rows:
        groups[_outcome(row[key])].append(row)

    def named(group: Sequence[dict]) -> str:
        return "; ".join(f"{row['name']} {with_interval(row[key], '+.3f')}" for row in group)

    are = "is" if len(groups["better"]) == 1 else "are"
    sentences = [
        f"{len(groups['better'])} of {len(rows)} {what} {are} shown to be better than {against}: "
        f"{named(groups['better'])}."
        if groups["better"]
        else f"None of {len(rows)} {what} is shown to be better than {against}."
    ]
    if groups["worse"]:
        sentences.append(f"Shown to be worse than {against}: {named(groups['worse'])}.")
    if groups["alone"]:
        sentences.append(
            f"Clear of zero by itself, but not after the correction for {len(rows)} comparisons: "
            f"{named(groups['alone'])}."
        )
    if groups["open"]:
        sentences.append(f"Not shown to differ from {against}: {named(groups['open'])}.")
    return sentences


def _outcome(difference: dict) -> str:
    if difference["p_holm"] is None:
        return "open"
    if difference["p_holm"] < 0.05:
        return "better" if difference["mean"] > 0 else "worse"
    return "alone" if difference["p"] < 0.05 else "open"


def _worth(claims: Sequence[dict], study: dict) -> list[str]:
    """Say what the arm with the highest mean is worth; the highest of several flatters."""
    best, of = max(claims, key=lambda row: row["mean"]), len(claims)
    if words := nothing_told([row["mean"] for row in claims]):
        return [words]
    who = f"The highest mean has {best['name']}, {with_interval(best, '.3f')}"
    if of > 1:
        who += f" (highest of {of}, so chance has helped it)"
    sentences = [f"{who}."]
    equivalent, share = best["equivalent_real"], best["gap_closed"]
    if equivalent:
        sentences.append(
            f"With {best['n_real']} real images it scores like {equivalent_words(equivalent)} real "
            "images alone."
        )
    elif study["curve"]:
        sentences.append(
            "How many real images it is worth can't be said: the learning curve is flat, so more "
            "real images alone score no higher either."
        )
    if share and share["value"] is not None:
        sentences.append(
            f"It closes {share_words(share)} of the gap from {study['gap']['from']} to "
            f"{study['gap']['to']}."
        )
    elif share:
        sentences.append(f"No share of a gap: {share['reason']}.")
    return sentences


def nothing_told(means: Sequence[float]) -> str:
    """Say what to do about arms that all score 0.000, or all the same; "" of any others."""
    who = {1: "The only arm scores", 2: "Both arms score"}
    who = who.get(len(means), f"All {len(means)} arms score")
    longer = "Train longer (the trainer's `steps` or `epochs`), or on more real images."
    if max(means) < 0.0005:
        return f"{who} 0.000: nothing was learned. {longer}"
    if len(means) == 1 or len(set(means)) > 1:
        return ""
    if means[0] > 0.9995:
        return (
            f"{who} 1.000: there is nothing left to gain. Test on more or harder real images, or "
            "train on fewer."
        )
    return f"{who} the same, {means[0]:.3f}: nothing can be learned from them. {longer}"


def _foretold(study: dict) -> list[str]:
    metrics = study["correlations"]
    tested = {name: x["partial"] for name, x in metrics.items() if x["partial"]["p"] is not None}
    if not metrics:
        return []
    if not tested:
        return ["Which metric foretold the result can't be said: too few arms of one ratio."]
    shown = [
        f"{name} (rho {with_interval({**x, 'mean': x['rho']}, '+.2f')})"
        for name, x in tested.items()
        if x["p_holm"] < 0.05
    ]
    if not shown:
        return [
            f"None of {len(tested)} metrics is shown to foretell the score once the ratio of added "
            "images is taken out."
        ]
    return [f"Foretold the score, with the ratio taken out: {'; '.join(shown)}."]


def with_interval(found: dict, form: str) -> str:
    """Write a mean with its interval, if it has one: `+0.041 [+0.012, +0.070]`."""
    return _bracket(found["mean"], found["low"], found["high"], lambda value: f"{value:{form}}")


def equivalent_words(equivalent: dict) -> str:
    """Write equivalent real images: `83 [61, over 100]`, `over 100 [100, over 100]`."""
    ends = {
        "value": (equivalent["at_most"], equivalent["at_least"]),
        "low": (equivalent["low_open"], False),
        "high": (False, equivalent["high_open"]),
    }
    texts = {}
    for key, (under, over) in ends.items():
        value = equivalent["value"] if equivalent[key] is None else equivalent[key]
        sign = "under " if under else "over " if over else ""
        texts[key] = f"{sign}{value:.0f}"
    if equivalent["low"] is None and equivalent["high"] is None:
        return texts["value"]
    if equivalent["low"] is None:
        texts["low"] = f"under {equivalent['value']:.0f}"
    return f"{texts['value']} [{texts['low']}, {texts['high']}]"


def share_words(share: dict) -> str:
    """Write the share of the gap: `64 % [31 %, 110 %]`, or a dash."""
    if share["value"] is None:
        return "-"
    return _bracket(
        share["value"], share["low"], share["high"], lambda value: f"{100 * value:.0f} %"
    )


def _bracket(
    value: float, low: float | None, high: float | None, write: Callable[[float], str]
) -> str:
    if low is None or high is None:
        return write(value)
    return f"{write(value)} [{write(low)}, {write(high)}]"
