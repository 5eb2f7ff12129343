"""Figures and tables of a study: what each arm reaches, and what that is worth in real images.

All of them are drawn from the content of study.yaml: the numbers of
`cia.evidence.summary.summarize_study`, the sentences of `cia.reporting.verdict`.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from cia.reporting.pages import Table, html_page, markdown_page
from cia.reporting.style import (
    INK,
    KEPT,
    MUTED,
    PALETTE,
    add_title,
    figure_style,
    new_figure,
    save_figure,
    text_chunks,
)
from cia.reporting.verdict import SHOWN, equivalent_words, share_words, with_interval

_GROUPS = {
    "real": "real images alone",
    "twice": "real images alone",
    "classical": "with classical augmentation",
    "random": "with synthetic images",
    "all": "with synthetic images",
    "ratio": "with synthetic images",
    "selection": "with selected synthetic images",
    "generator": "with synthetic images made another way",
}
"""Kind of arm: the group in which a figure shows it, in this order."""
_REAL = ("real", "twice", "curve", "duplicated", "classical")
_ZERO = {"color": MUTED, "linewidth": 1, "linestyle": (0, (4, 2)), "zorder": 1}
_TWICE = {"color": PALETTE[2], "linewidth": 1.2, "linestyle": (0, (1, 1.5)), "zorder": 1}
_LONGEST_NAME = 30
"""Letters of a name that a figure sets in one line."""
_MINUS = "\N{MINUS SIGN}"


def study_table(study: Mapping) -> pd.DataFrame:
    """Return one row per arm, with every number in a column of its own.

    What is not defined is empty. `score by seed` is joined with `;`.
    """
    rows = []
    for row in study["arms"]:
        gap, against = row["difference"] or {}, row["against_random"] or {}
        worth, share = row["equivalent_real"] or {}, row["gap_closed"] or {}
        rows.append(
            {
                "arm": row["name"],
                "kind": row["kind"],
                "real images": row["n_real"],
                "added images": row["n_added"],
                "metric": study["metric"],
                **_columns("score", row),
                "score by seed": ";".join(map(repr, row["scores"])),
                "validation score": sum(row["val"]) / len(row["val"]),
                **_columns("difference to duplicated", gap, p=True),
                **_columns("difference to random of same size", against, p=True),
                **_columns("equivalent real images", worth, "value"),
                "equivalent is at least": worth.get("at_least"),
                "equivalent is at most": worth.get("at_most"),
                "equivalent low end open": worth.get("low_open"),
                "equivalent high end open": worth.get("high_open"),
                **_columns("share of gap closed", share, "value"),
            }
        )
    return pd.DataFrame(rows)


def study_cells(study: Mapping) -> Table:
    """Turn a study into cells for people."""
    against = any(row["against_random"] for row in study["arms"])
    headers = [
        "arm",
        "real images",
        "added images",
        f"test {study['metric']} [95 % interval]",
        "difference to duplicated reals [95 % interval]",
        "p (Holm)",
        *(["difference to as many at random [95 % interval]", "p (Holm)"] if against else []),
        "worth as many real images [95 % interval]",
        f"share of the gap to {_twice_words(study)} closed [95 % interval]",
    ]
    rows = []
    for row in study["arms"]:
        cells = [row["name"], str(row["n_real"]), str(row["n_added"]), with_interval(row, ".3f")]
        if row["name"] == study["control"]:
            cells += ["(the control)", ""]
        else:
            cells += _difference_cells(row["difference"])
        if against:
            cells += _difference_cells(row["against_random"])
        worth, share = row["equivalent_real"], row["gap_closed"]
        cells += [equivalent_words(worth) if worth else "", share_words(share) if share else ""]
        rows.append(cells)
    return Table(headers, rows, range(1, len(headers)))


def study_pages(study: Mapping) -> tuple[str, str]:
    """Return the page of a study, as Markdown and as HTML: in words, the table, how to read it."""
    title = f"Study {study['study']}: did the synthetic images help?"
    notes = [
        f"Score: {study['metric']} on the real test images, mean over seeds.",
        f"{_interval_words(study)}.",
        f"The control is {study['control']}: the same real images, as often as the arms compared "
        "have images in all, and the same optimizer steps.",
        f"p (Holm): of the difference, adjusted for all {len(study['families']['difference'])} "
        "arms that might be better.",
        "Worth as many real images: how many real images alone reach the same score, read off the "
        "learning curve.",
    ]
    parts = [list(study["verdict"]), study_cells(study), notes]
    return markdown_page(title, parts), html_page(title, parts)


def draw_figures(study: Mapping, folder: str | Path) -> None:
    """Draw the figures of a study: `FIGURES`, as PNG files of these names."""
    for name, (draw, title) in FIGURES.items():
        heading = f"{title}: {study['study']}"
        draw(Path(folder) / f"{name}.png", study, heading, text_chunks(heading, ["study.yaml"]))


def draw_differences(path: str | Path, study: Mapping, title: str, about: dict[str, str]) -> None:
    """Draw each arm's difference to the control: interval, mean, and a dot per seed."""
    groups = _grouped(study)
    lines, heights = _layout(groups)
    with figure_style():
        figure = new_figure(2.0 + 0.36 * heights)
        axes = figure.add_subplot()
        axes.axvline(0, **_ZERO)
        twice = _of_kind(study, "twice")
        if twice:
            axes.axvline(twice["difference"]["mean"], **_TWICE)
        for y, entry in lines:
            if isinstance(entry, str):
                _head(axes, y, entry)
            else:
                _draw_row(axes, y, entry, entry["difference"])
                words = _signed(with_interval(entry["difference"], "+.3f"))
                _at_right(axes, y, words, _p_words(entry["difference"]))
        _set_rows(axes, heights)
        axes.locator_params(axis="x", nbins=7)
        axes.set_xlabel(f"difference in test {study['metric']} to {study['control']}")
        figure.legend(handles=_difference_legend(study, twice), loc="outside lower center", ncols=3)
        add_title(figure, title, _interval_words(study))
        save_figure(path, figure, about)


def draw_learning_curve(
    path: str | Path, study: Mapping, title: str, about: dict[str, str]
) -> None:
    """Draw the learning curve of real images alone, and below it what each arm is worth on it."""
    curve = study["curve"]
    if curve is None:
        words = "No learning curve: it wants real images alone in at least two numbers"
        return _draw_nothing(path, title, words, about)
    rows = [row for row in study["arms"] if row["equivalent_real"]]
    if not rows:
        words = "The learning curve is flat: more real images alone score no higher"
        return _draw_nothing(path, title, words, about)
    rows.sort(key=lambda row: row["kind"] != "duplicated")
    names = [_wrapped(row["name"]) for row in rows]
    heights = sum(_lines(name) for name in names)
    with figure_style():
        figure = new_figure(5.0 + 0.3 * heights)
        upper, lower = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [3.0, 0.3 * heights + 0.4]}
        )
        _draw_curve(upper, curve, rows)
        upper.set_ylabel(f"test {study['metric']}")
        y = 0.0
        for row, name in zip(rows, names, strict=True):
            y += _lines(name) / 2
            _draw_worth(lower, y, row)
            _at_right(lower, y, equivalent_words(row["equivalent_real"]))
            _at_left(lower, y, name)
            y += _lines(name) / 2
        base = _of_kind(study, "real")
        if base:
            for axes in (upper, lower):
                axes.axvline(base["n_real"], **_ZERO)
        _set_rows(lower, heights)
        lower.set_xlabel("real training images")
        _set_sizes(lower, curve["n_real"])
        lower.margins(x=0.09)
        handles = _curve_legend(base)
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        add_title(figure, title, _interval_words(study))
        save_figure(path, figure, about)


def draw_correlations(path: str | Path, study: Mapping, title: str, about: dict[str, str]) -> None:
    """Draw how well each metric ordered the arms, raw and with the ratio taken out."""
    if not study["correlations"]:
        words = "No metric of added images was given"
        return _draw_nothing(path, title, words, about)
    entries = sorted(study["correlations"].items(), key=lambda item: -_agreement(item[1]))
    names = [_metric_words(name) for name, _ in entries]
    heights = sum(_lines(name) for name in names)
    with figure_style():
        figure = new_figure(2.0 + 0.36 * heights)
        axes = figure.add_subplot()
        axes.axvline(0, **_ZERO)
        y = 0.0
        for (_, entry), name in zip(entries, names, strict=True):
            y += _lines(name) / 2
            _draw_correlation(axes, y - 0.17, entry["better"], entry["raw"], "raw")
            _draw_correlation(axes, y + 0.17, entry["better"], entry["partial"], "partial")
            _at_left(axes, y, name, fontsize=9)
            _at_right(axes, y, f"{_better_words(entry)}, {entry['raw']['arms']} arms")
            y += _lines(name) / 2
        axes.set_xlim(-1.05, 1.05)
        _set_rows(axes, heights)
        axes.set_xlabel("rank correlation with the test score; right: better arms, better metric")
        figure.legend(handles=_correlation_legend(), loc="outside lower center", ncols=2)
        add_title(figure, title, "Over arms with synthetic images, 95 % intervals")
        save_figure(path, figure, about)


def draw_ratios(path: str | Path, study: Mapping, title: str, about: dict[str, str]) -> None:
    """Draw the score against synthetic images per real one, taken at random."""
    rows = [row for row in study["arms"] if row["kind"] in ("real", "random", "ratio", "all")]
    rows.sort(key=lambda row: row["ratio"])
    ratios = sorted({row["ratio"] for row in rows})
    control, twice = _of_kind(study, "duplicated"), _of_kind(study, "twice")
    with figure_style():
        figure = new_figure(4.6)
        axes = figure.add_subplot()
        axes.axhline(control["mean"], **_ZERO)
        if twice:
            axes.axhline(twice["mean"], **_TWICE)
        places = _places([row["ratio"] for row in rows])
        axes.plot(places, [row["mean"] for row in rows], color=KEPT, linewidth=1, zorder=2)
        for x, row in zip(places, rows, strict=True):
            color = _color(row)
            if row["low"] is not None:
                axes.plot([x, x], [row["low"], row["high"]], color=color, linewidth=2, zorder=2)
            axes.plot(x, row["mean"], "D", color=color, markersize=7, zorder=3)
            if len(row["scores"]) > 1:
                where = [x + 0.1] * len(row["scores"])
                axes.plot(where, row["scores"], **_seed_marks(color))
        words = ["0\n(real only)" if ratio == 0 else f"{ratio:g}" for ratio in ratios]
        axes.set_xticks(range(len(ratios)), words)
        axes.set_xlim(-0.4, len(ratios) - 0.6)
        axes.set_xlabel("synthetic images per real one")
        axes.set_ylabel(f"test {study['metric']}")
        handles = [
            *_seed_legend(study),
            Line2D([], [], label=f"level of {control['name']}", **_ZERO),
            *([Line2D([], [], label=f"level of {twice['name']}", **_TWICE)] if twice else []),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        add_title(figure, title, _interval_words(study))
        save_figure(path, figure, about)


def _places(ratios: Sequence[float]) -> list[float]:
    """Return where each arm goes: one place per ratio, arms of one ratio side by side."""
    distinct = sorted(set(ratios))
    beside = [ratios[:index].count(ratio) for index, ratio in enumerate(ratios)]
    return [distinct.index(x) + 0.22 * count for x, count in zip(ratios, beside, strict=True)]


def _draw_nothing(path: str | Path, title: str, words: str, about: dict[str, str]) -> None:
    with figure_style():
        figure = new_figure(1.2)
        add_title(figure, title, words)
        save_figure(path, figure, about)


def _columns(name: str, found: Mapping, value: str = "mean", p: bool = False) -> dict:
    columns = {name: found.get(value)}
    columns |= {f"{name}: {end}": found.get(end) for end in ("low", "high")}
    return columns | ({f"{name}: p, Holm": found.get("p_holm")} if p else {})


def _difference_cells(difference: Mapping | None) -> list[str]:
    if difference is None:
        return ["", ""]
    p = difference["p_holm"]
    return [with_interval(difference, "+.3f"), "" if p is None else _short_p(p)]


def _short_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _p_words(difference: Mapping) -> str:
    if difference["p_holm"] is None:
        return ""
    words = _short_p(difference["p_holm"])
    return f"p {words}" if words.startswith("<") else f"p = {words}"


def _twice_words(study: Mapping) -> str:
    return study["gap"]["to"] if study["gap"] else "twice the real images"


def _signed(words: str) -> str:
    return words.replace("-", _MINUS)


def _interval_words(study: Mapping) -> str:
    seeds, images = study["seeds"], study["test_images"]
    if seeds == 1:
        return f"One seed: intervals (95 %) cover the choice of the {images} test images alone"
    return f"{seeds} seeds, {images} real test images; intervals (95 %) cover the choice of both"


def _of_kind(study: Mapping, kind: str) -> dict | None:
    return next((row for row in study["arms"] if row["kind"] == kind), None)


def _color(row: Mapping) -> str:
    return INK if row["kind"] in _REAL else KEPT


def _shown(difference: Mapping) -> bool:
    """Whether something is told from zero; by its own p value outside Holm's family."""
    p = difference["p"] if difference["p_holm"] is None else difference["p_holm"]
    return p is not None and p < SHOWN


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name, _LONGEST_NAME))


def _lines(text: str) -> float:
    """Return the height of a text in rows."""
    return 1 + 0.55 * text.count("\n")


def _grouped(study: Mapping) -> Iterator[tuple[str, list[dict]]]:
    order = list(dict.fromkeys(_GROUPS.values()))
    rows = [row for row in study["arms"] if row["kind"] in _GROUPS]
    rows.sort(key=lambda row: (order.index(_GROUPS[row["kind"]]), row["n_added"]))
    for group, members in groupby(rows, key=lambda row: _GROUPS[row["kind"]]):
        yield group, list(members)


def _layout(groups: Iterator[tuple[str, list[dict]]]) -> tuple[list[tuple[float, object]], float]:
    """Return where each heading and each arm goes, and the height of all of them."""
    lines: list[tuple[float, object]] = []
    y = 0.0
    for group, rows in groups:
        lines.append((y + 0.55, group))
        y += 0.9
        for row in rows:
            height = _lines(_wrapped(row["name"]))
            lines.append((y + height / 2, row))
            y += height
    return lines, y


def _draw_row(axes: Axes, y: float, row: Mapping, found: Mapping) -> None:
    color = _color(row)
    if found["low"] is not None:
        axes.plot([found["low"], found["high"]], [y, y], color=color, linewidth=2, zorder=2)
    face = color if _shown(found) else "white"
    axes.plot(found["mean"], y, "D", color=color, markerfacecolor=face, markersize=7, zorder=4)
    if len(found["by_seed"]) > 1:
        axes.plot(found["by_seed"], [y + 0.27] * len(found["by_seed"]), **_seed_marks(color))
    _at_left(axes, y, _wrapped(row["name"]))


def _seed_marks(color: str) -> dict:
    return {
        "linestyle": "",
        "marker": "o",
        "markersize": 4,
        "markerfacecolor": "white",
        "markeredgecolor": color,
        "markeredgewidth": 0.8,
        "zorder": 3,
    }


def _set_rows(axes: Axes, heights: float) -> None:
    axes.set_ylim(heights + 0.15, -0.15)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)


def _at_left(axes: Axes, y: float, words: str, **style: object) -> None:
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(
        words, (0, y), (-8, 0), ha="right", va="center", linespacing=1.1, **where, **style
    )


def _at_right(axes: Axes, y: float, words: str, detail: str = "") -> None:
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    text = f"{words}\n{detail}" if detail else words
    axes.annotate(text, (1, y), (8, 0), ha="left", fontsize=8.5, linespacing=1.1, **where)


def _head(axes: Axes, y: float, words: str) -> None:
    _at_left(axes, y, words, color=MUTED, fontsize=8.5, fontstyle="italic")


def _seed_legend(study: Mapping) -> list[Line2D]:
    handles = [Line2D([], [], linestyle="", marker="D", color=MUTED, label="mean, with interval")]
    if study["seeds"] > 1:
        handles.append(Line2D([], [], label="one seed", **_seed_marks(MUTED)))
    return handles


def _difference_legend(study: Mapping, twice: Mapping | None) -> list[Line2D]:
    mean = {"linestyle": "", "marker": "D", "color": MUTED, "markersize": 6}
    handles = [
        Line2D([], [], label=f"shown (p < {SHOWN}; of added images: after Holm)", **mean),
        Line2D([], [], label="not shown", markerfacecolor="white", **mean),
        *_seed_legend(study)[1:],
        Line2D([], [], label=study["control"], **_ZERO),
    ]
    if twice:
        handles.append(Line2D([], [], label=twice["name"], **_TWICE))
    return handles


def _draw_curve(axes: Axes, curve: Mapping, rows: Sequence[Mapping]) -> None:
    sizes = curve["n_real"]
    if None not in curve["low"]:
        axes.fill_between(sizes, curve["low"], curve["high"], color=INK, alpha=0.12, linewidth=0)
    axes.plot(sizes, curve["fit"], color=INK, linewidth=1.4)
    axes.plot(sizes, curve["mean"], "o", color=INK, markersize=5)
    for row in rows:
        axes.plot(row["equivalent_real"]["value"], row["mean"], **_worth_marks(row))


def _worth_marks(row: Mapping) -> dict:
    marker = "s" if row["kind"] in _REAL else "D"
    style = {"linestyle": "", "marker": marker, "markersize": 6, "zorder": 4, "alpha": 0.85}
    return style | {"color": PALETTE[1] if row["kind"] in _REAL else KEPT}


def _draw_worth(axes: Axes, y: float, row: Mapping) -> None:
    """Draw an arm's number of equivalent real images, with arrows where the curve ends."""
    worth, style = row["equivalent_real"], _worth_marks(row)
    if not (worth["low"] is None and worth["high"] is None):
        low = worth["value"] if worth["low"] is None else worth["low"]
        high = worth["value"] if worth["high"] is None else worth["high"]
        axes.plot([low, high], [y, y], color=style["color"], linewidth=2, zorder=2)
        for end, beyond, shift in ((low, "low_open", -1), (high, "high_open", 1)):
            if worth[beyond]:
                arrow = {"arrowstyle": "<|-", "color": style["color"], "linewidth": 2, "shrinkB": 0}
                where = {"textcoords": "offset points", "arrowprops": arrow}
                axes.annotate("", (end, y), (16 * shift, 0), annotation_clip=False, **where)
    axes.plot(worth["value"], y, **style)


def _set_sizes(axes: Axes, sizes: Sequence[int]) -> None:
    """Label the curve's own sizes, those that have room."""
    span = max(sizes) - min(sizes)
    ticks = [sizes[-1]]
    for size in reversed(sizes[:-1]):
        if ticks[-1] - size >= 0.06 * span:
            ticks.append(size)
    axes.set_xticks(ticks, [str(size) for size in ticks])


def _curve_legend(base: Mapping | None) -> list[Line2D]:
    handles = [
        Line2D([], [], color=INK, marker="o", markersize=5, label="real images alone, rising fit"),
        Line2D([], [], label="with synthetic images", **_worth_marks({"kind": "all"})),
        Line2D([], [], label="controls", **_worth_marks({"kind": "classical"})),
        Line2D([], [], color=MUTED, linestyle="", marker=">", label="runs beyond the curve"),
    ]
    if base:
        label = f"{base['n_real']} real images, which every arm has"
        handles.insert(3, Line2D([], [], label=label, **_ZERO))
    return handles


def _turned(better: str | None, value: float) -> float:
    """Return a correlation so that positive is: the better arms had the better metric."""
    return -value if better == "lower" else value


def _agreement(entry: Mapping) -> float:
    rho = entry["partial"]["rho"]
    return -2.0 if rho is None else _turned(entry["better"], rho)


def _metric_words(name: str) -> str:
    return "\n".join(textwrap.wrap(name, 36, break_long_words=False, break_on_hyphens=False))


def _better_words(entry: Mapping) -> str:
    return f"{entry['better']} is better" if entry["better"] else "sign as it is"


def _draw_correlation(axes: Axes, y: float, better: str | None, found: Mapping, kind: str) -> None:
    style = _correlation_marks(kind, _shown(found))
    if found["rho"] is None:
        words = textwrap.shorten(f"{kind} undefined: {found['reason']}", 90)
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.text(-1, y, words, va="center", fontsize=7.5, color=style["color"], bbox=paper)
        return
    ends = [_turned(better, found["low"]), _turned(better, found["high"])]
    axes.plot(ends, [y, y], color=style["color"], linewidth=1.6, zorder=2)
    axes.plot(_turned(better, found["rho"]), y, **style)


def _correlation_marks(kind: str, shown: bool) -> dict:
    style = {"linestyle": "", "markersize": 6, "zorder": 3}
    style |= {} if shown else {"markerfacecolor": "white"}
    if kind == "raw":
        return style | {"marker": "o", "color": MUTED}
    return style | {"marker": "D", "color": KEPT}


def _correlation_legend() -> list[Line2D]:
    words = {"raw": "raw", "partial": "with the ratio of synthetic images taken out"}
    return [
        Line2D([], [], label=label, **_correlation_marks(kind, shown=False))
        for kind, label in words.items()
    ] + [
        Line2D(
            [],
            [],
            label=f"filled: shown (p < {SHOWN} after Holm)",
            linestyle="",
            marker="s",
            color=MUTED,
        )
    ]


FIGURES = {
    "differences": (draw_differences, "Did it help? Against duplicated real images"),
    "learning_curve": (draw_learning_curve, "How many real images the added ones are worth"),
    "ratios": (draw_ratios, "How many synthetic images per real one"),
    "correlations": (draw_correlations, "Which metric foretold the result"),
}
"""Name of each figure: the function that draws it, and its title."""
