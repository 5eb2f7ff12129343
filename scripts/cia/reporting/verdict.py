"""What a study shows, in sentences: which arms are better, and what they are worth.

Light on purpose: rule `evidence` writes the sentences into study.yaml, without the packages that
draw figures.
"""

from collections.abc import Callable, Mapping, Sequence

SHOWN = 0.05
"""A difference is shown where its p value, after Holm's correction, is below this."""


def verdict(study: Mapping) -> list[str]:
    """Return in plain words what a study shows, and what it does not.

    A difference is shown where its p value after Holm's correction is below `SHOWN`. What is not
    shown may still be there: the sentences say how large it could be.

    Parameters
    ----------
    study : mapping
        What `cia.evidence.summary.summarize_study` gives.
    """
    rows = {row["name"]: row for row in study["arms"]}
    sentences = [_on_scale(study)]
    claims = [rows[name] for name in study["families"]["difference"]]
    if claims:
        sentences += _compare(claims, "difference", "arms", f"the control ({study['control']})")
        sentences += _worth(claims, study)
    for kind, words in (("selection", "selections"), ("generator", "other generators")):
        family = [rows[name] for name in study["families"][f"{kind}_against_random"]]
        if family:
            sentences += _compare(family, "against_random", words, "as many taken at random")
    short = "; ".join(f"{row['name']}: {row['short']}" for row in study["arms"] if row["short"])
    if short:
        sentences.append(f"Smaller than asked for, so not compared at one size: {short}.")
    return sentences + _foretold(study)


def _on_scale(study: Mapping) -> str:
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


def _compare(rows: Sequence[Mapping], key: str, what: str, against: str) -> list[str]:
    """Say which arms are shown to be better or worse, and which are not."""
    groups: dict[str, list[Mapping]] = {"better": [], "worse": [], "alone": [], "open": []}
    for row in rows:
        groups[_outcome(row[key])].append(row)

    def named(group: Sequence[Mapping]) -> str:
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


def _outcome(difference: Mapping) -> str:
    if difference["p_holm"] is None:
        return "open"
    if difference["p_holm"] < SHOWN:
        return "better" if difference["mean"] > 0 else "worse"
    return "alone" if difference["p"] < SHOWN else "open"


def _worth(claims: Sequence[Mapping], study: Mapping) -> list[str]:
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


def _foretold(study: Mapping) -> list[str]:
    metrics = study["correlations"]
    tested = {name: x["partial"] for name, x in metrics.items() if x["partial"]["p"] is not None}
    if not metrics:
        return []
    if not tested:
        return ["Which metric foretold the result can't be said: too few arms of one ratio."]
    shown = [
        f"{name} (rho {with_interval({**x, 'mean': x['rho']}, '+.2f')})"
        for name, x in tested.items()
        if x["p_holm"] < SHOWN
    ]
    if not shown:
        return [
            f"None of {len(tested)} metrics is shown to foretell the score once the ratio of added "
            "images is taken out."
        ]
    return [f"Foretold the score, with the ratio taken out: {'; '.join(shown)}."]


def with_interval(found: Mapping, form: str) -> str:
    """Write a mean with its interval, if it has one: `+0.041 [+0.012, +0.070]`."""
    return _bracket(found["mean"], found["low"], found["high"], lambda value: f"{value:{form}}")


def equivalent_words(equivalent: Mapping) -> str:
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


def share_words(share: Mapping) -> str:
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
