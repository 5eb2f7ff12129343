"""Arms: models that differ in their training set alone, compared on the real test images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from cia.catalog import MAIN_METRIC
from cia.config.references import NONE
from cia.reporting.pages import Table, format_share
from cia.reporting.style import (
    INK,
    KEPT,
    MUTED,
    PALETTE,
    add_title,
    figure_style,
    new_figure,
    save_figure,
)

ENOUGH_SEEDS = 3
"""Fewest seeds for which an interval is given."""
_LONGEST_NAME = 28
"""Letters of an arm's name that a figure sets in one line."""
_LEVEL = {"color": MUTED, "linewidth": 1, "linestyle": (0, (4, 2))}
GROUPS = {
    "real images only": INK,
    "with classical copies": PALETTE[1],
    "with synthetic images": KEPT,
}
"""What an arm's training images may be, and the color of its marks."""
_COUNTS = ("train_real", "train_synthetic", "train_classical", "test")


class Mean(NamedTuple):
    """A mean and its 95 % interval; low and high are None if there are too few seeds for one."""

    mean: float
    low: float | None
    high: float | None


@dataclass
class TrainedModels:
    """The models trained on one training set, one per seed, and their test metrics.

    Attributes
    ----------
    mix, generator, selection : str
    n : dict
        train_real, train_synthetic, train_classical, val, test: numbers of images (training
        entries).
    values : dict
        Metric to seed to value.
    label : str
        How figures and tables name it.
    """

    mix: str
    generator: str
    selection: str
    n: dict[str, int]
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    label: str = ""

    @property
    def images(self) -> str:
        """The training images in words."""
        added = {name: self.n[f"train_{name}"] for name in ("synthetic", "classical")}
        counts = [f"{count} {name}" for name, count in added.items() if count]
        return " + ".join([f"{self.n['train_real']} real", *counts])

    @property
    def group(self) -> str:
        """What its training images are, of `GROUPS`."""
        if self.n["train_synthetic"]:
            return "with synthetic images"
        return "with classical copies" if self.n["train_classical"] else "real images only"


def collect_arms(models: Iterable[tuple[Mapping, Mapping]]) -> list[TrainedModels]:
    """Group trained models by training set, in the order in which they come.

    Parameters
    ----------
    models : iterable of (mapping, mapping)
        mix, generator, selection, seed of each model, and the content of its metrics.yaml.
    """
    arms: dict[tuple, TrainedModels] = {}
    for model, content in models:
        key = tuple(model[name] for name in ("mix", "generator", "selection"))
        arm = arms.setdefault(key, TrainedModels(*key, n=content["n"]))
        for metric, value in content["test"].items():
            arm.values.setdefault(metric, {})[model["seed"]] = value
    for arm, label in zip(arms.values(), arm_labels(list(arms.values())), strict=True):
        arm.label = label
    return list(arms.values())


def arm_labels(arms: Sequence[TrainedModels]) -> list[str]:
    """Name each arm by mix, selection and, if there are several, generator."""
    several = len({arm.generator for arm in arms} - {NONE}) > 1
    labels = []
    for arm in arms:
        parts = [arm.generator] if several else []
        parts = [] if arm.generator == NONE else [*parts, arm.selection]
        labels.append(": ".join(filter(None, [arm.mix, ", ".join(parts)])))
    return labels


def main_metric(arms: Sequence[TrainedModels]) -> str:
    """Return the metric to compare by: the task's main one, or the first that there is."""
    names = list(arms[0].values)
    return next((name for name in MAIN_METRIC.values() if name in names), names[0])


def find_baseline(arms: Sequence[TrainedModels], mixes: Sequence[str]) -> TrainedModels | None:
    """Return the arm of the first of these mixes that there is: the real images, once, alone."""
    found = {arm.mix: arm for arm in reversed(arms) if arm.generator == NONE}
    return next((found[mix] for mix in mixes if mix in found), None)


def estimate(values: Sequence[float]) -> Mean:
    """Return the mean over seeds, with Student's 95 % interval from three seeds on."""
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    if len(values) < ENOUGH_SEEDS:
        return Mean(mean, None, None)
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Mean(mean, mean - half, mean + half)


def difference(arm: TrainedModels, baseline: TrainedModels, metric: str) -> Mean:
    """Return by how much an arm exceeds the baseline, paired by seed.

    Without a common seed it is the difference of the means, with no interval.
    """
    first, second = arm.values[metric], baseline.values[metric]
    common = sorted(first.keys() & second.keys())
    if not common:
        gap = np.mean(list(first.values())) - np.mean(list(second.values()))
        return Mean(float(gap), None, None)
    return estimate([first[seed] - second[seed] for seed in common])


def arm_table(arms: Sequence[TrainedModels], baseline: TrainedModels | None) -> pd.DataFrame:
    """Return one row per arm and metric: mean, interval and difference to the baseline.

    Columns mix, generator, selection, train_real, train_synthetic, train_classical, test, metric,
    seeds, mean, low, high, difference, difference_low, difference_high, values (by seed, joined
    with `;`).
    """
    rows = []
    for arm in arms:
        for metric, values in arm.values.items():
            gap = Mean(np.nan, None, None)
            if baseline is not None and baseline is not arm:
                gap = difference(arm, baseline, metric)
            rows.append(
                {
                    "mix": arm.mix,
                    "generator": arm.generator,
                    "selection": arm.selection,
                    **{name: arm.n[name] for name in _COUNTS},
                    "metric": metric,
                    "seeds": len(values),
                    **estimate(list(values.values()))._asdict(),
                    "difference": gap.mean,
                    "difference_low": gap.low,
                    "difference_high": gap.high,
                    "values": ";".join(repr(values[seed]) for seed in sorted(values)),
                }
            )
    return pd.DataFrame(rows)


def arm_cells(arms: Sequence[TrainedModels], baseline: TrainedModels | None) -> Table:
    """Turn arms into cells for people, the metric to compare by first."""
    first = main_metric(arms)
    others = [metric for metric in arms[0].values if metric != first]
    headers = ["arm", "training images", first]
    headers += ([f"difference to {baseline.label}"] if baseline else []) + others
    rows = []
    for arm in arms:
        cells = [arm.label, arm.images, _words(arm, first)]
        if baseline is not None:
            gap = None if arm is baseline else difference(arm, baseline, first)
            cells.append(estimate_words(gap, signed=True) if gap else "")
        rows.append([*cells, *(_words(arm, metric) for metric in others)])
    return Table(headers, rows, range(2, len(headers)))


def _words(arm: TrainedModels, metric: str) -> str:
    return estimate_words(estimate(list(arm.values[metric].values())))


def estimate_words(value: Mean, signed: bool = False) -> str:
    """Write a mean with its interval, if it has one."""
    words = format_share(value.mean, signed)
    if value.low is None:
        return words
    return f"{words} [{format_share(value.low, signed)}, {format_share(value.high, signed)}]"


def seeds_words(arms: Sequence[TrainedModels]) -> str:
    """Say over how many seeds the means go, and whether that is enough for an interval."""
    counts = sorted({len(values) for arm in arms for values in arm.values.values()})
    if counts == [1]:
        return "one seed per arm: no interval, so a difference may be chance"
    words = f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    if counts[-1] < ENOUGH_SEEDS:
        return f"{words} per arm: too few for an interval"
    if counts[0] < ENOUGH_SEEDS:
        return f"means over {words}, 95 % intervals where there are at least {ENOUGH_SEEDS}"
    return f"means over {words}, 95 % intervals"


def draw_arms(
    path: str | Path,
    arms: Sequence[TrainedModels],
    baseline: TrainedModels | None,
    title: str,
    about: dict[str, str],
) -> None:
    """Draw each arm's test metric: seeds as points, their mean and interval, the difference."""
    metric = main_metric(arms)
    with figure_style():
        lines = max(sum(part.count("\n") + 1 for part in _split_label(arm)) for arm in arms)
        figure = new_figure(1.8 + (0.24 + 0.14 * lines) * len(arms))
        axes = figure.add_subplot()
        if baseline is not None:
            level = estimate(list(baseline.values[metric].values())).mean
            axes.axvline(level, zorder=1, **_LEVEL)
        for row, arm in enumerate(arms):
            _draw_arm(axes, row, arm, metric)
            _label_arm(axes, row, arm, baseline, metric)
        if baseline is not None:
            _head_differences(axes, baseline)
        axes.set_yticks(range(len(arms)), [""] * len(arms))
        axes.set_ylim(len(arms) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)
        axes.set_xlabel(f"{metric} on {arms[0].n['test']} real test images")
        handles = _legend(arms, baseline)
        letters = sum(len(handle.get_label()) for handle in handles)
        columns = len(handles) if letters < 70 else 3
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)
        add_title(figure, title, seeds_words(arms).capitalize())
        save_figure(path, figure, about)


def _draw_arm(axes, row: int, arm: TrainedModels, metric: str) -> None:
    color = GROUPS[arm.group]
    values = list(arm.values[metric].values())
    mean, low, high = estimate(values)
    if len(values) == 1:
        axes.plot(mean, row, "o", color=color, markersize=8, zorder=3)
        return
    if low is not None:
        axes.plot([low, high], [row, row], color=color, linewidth=2, zorder=2)
    axes.plot(mean, row, "D", color=color, markersize=7, zorder=3)
    axes.plot(
        values,
        [row + 0.22] * len(values),
        "o",
        markersize=4.5,
        markerfacecolor="white",
        markeredgecolor=color,
        zorder=3,
    )


def _label_arm(
    axes, row: int, arm: TrainedModels, baseline: TrainedModels | None, metric: str
) -> None:
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    left, right = {**where, "ha": "right"}, {**where, "ha": "left", "va": "center"}
    name, detail = _split_label(arm)
    axes.annotate(name, (0, row), (-10, 1), va="bottom", fontsize=10, **left)
    axes.annotate(detail, (0, row), (-10, -1), va="top", fontsize=8.5, color=MUTED, **left)
    if baseline is not None and arm is not baseline:
        words = estimate_words(difference(arm, baseline, metric), signed=True)
        axes.annotate(words.replace("-", "\N{MINUS SIGN}"), (1, row), (10, 0), **right)


def _split_label(arm: TrainedModels) -> tuple[str, str]:
    """Return what stands above and below an arm's line; a long name goes on below."""
    if len(arm.label) <= _LONGEST_NAME:
        return arm.label, arm.images
    name, _, rest = arm.label.partition(": ")
    return name, f"{rest}\n{arm.images}" if rest else arm.images


def _head_differences(axes, baseline: TrainedModels) -> None:
    axes.annotate(
        f"difference to\n{baseline.label}",
        (1, 1),
        (10, 2),
        xycoords="axes fraction",
        textcoords="offset points",
        va="bottom",
        fontsize=8.5,
        color=MUTED,
    )


def _legend(arms: Sequence[TrainedModels], baseline: TrainedModels | None) -> list:
    """Return a handle for each kind of mark that is drawn."""
    handles = [
        Line2D([], [], linestyle="", marker="o", color=color, label=group)
        for group, color in GROUPS.items()
        if any(arm.group == group for arm in arms)
    ]
    if any(len(values) > 1 for arm in arms for values in arm.values.values()):
        hollow = {"markerfacecolor": "white", "color": MUTED, "linestyle": ""}
        handles.append(Line2D([], [], marker="o", markersize=4.5, label="one seed", **hollow))
        handles.append(Line2D([], [], marker="D", markersize=6, color=MUTED, label="mean"))
    if baseline is not None:
        handles.append(Line2D([], [], label=f"level of {baseline.label}", **_LEVEL))
    return handles
