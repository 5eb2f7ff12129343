"""Training curves: the loss and the validation metric of every arm against optimizer steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cia.reporting.style import PALETTE, add_title, figure_style, new_figure, save_figure

_MOST_DETAILED = 6
"""Arms, at most, of which every seed is drawn."""
_LONGEST_NAME = 42
"""Letters of an arm's name that leave room for two columns of names."""
_DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1)))


@dataclass(frozen=True)
class TrainingCurves:
    """The training of one model.

    Attributes
    ----------
    label : str
        The arm; models that differ in their seed alone share it.
    curves : pandas.DataFrame
        epoch, train_loss and val_* per epoch.
    steps : int
        Optimizer steps per epoch.
    best_epoch : int
        The epoch whose weights were tested.
    """

    label: str
    curves: pd.DataFrame
    steps: int
    best_epoch: int


def draw_curves(
    path: str | Path, runs: Sequence[TrainingCurves], metric: str, title: str, about: dict[str, str]
) -> None:
    """Draw training loss and `val_{metric}` of all runs, one color per arm.

    With several seeds, each is a thin line and their mean a thick one. A dot marks the epoch whose
    weights were tested. With more than six arms of several seeds, only the means are drawn.
    """
    labels = list(dict.fromkeys(run.label for run in runs))
    means_only = len(labels) > _MOST_DETAILED and len(runs) > len(labels)
    columns = 2 if max(map(len, labels)) <= _LONGEST_NAME else 1
    with figure_style():
        figure = new_figure(3.8 + 0.2 * np.ceil(len(labels) / columns))
        panels = figure.subplots(1, 2)
        for axes, column in zip(panels, ("train_loss", f"val_{metric}"), strict=True):
            for number, label in enumerate(labels):
                group = [run for run in runs if run.label == label and column in run.curves]
                _draw_group(axes, group, column, number, means_only)
            axes.set_xlabel("optimizer steps")
        panels[0].set_ylabel("training loss")
        panels[0].set_ylim(bottom=0)
        panels[1].set_ylabel(f"validation {metric}")
        handles = [panels[0].plot([], [], **_line(number))[0] for number in range(len(labels))]
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        words = "Means over seeds" if means_only else "Dots: the weights that were tested"
        add_title(figure, title, words)
        save_figure(path, figure, about)


def mean_curve(group: Sequence[TrainingCurves], column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and the mean over seeds, as far as every seed was trained."""
    length = min(len(run.curves) for run in group)
    values = np.stack([run.curves[column].to_numpy(float)[:length] for run in group])
    steps = group[0].curves["epoch"].to_numpy()[:length] * group[0].steps
    return steps, values.mean(axis=0)


def _draw_group(
    axes, group: Sequence[TrainingCurves], column: str, number: int, means_only: bool
) -> None:
    style = _line(number)
    if len(group) > 1 or (group and means_only):
        axes.plot(*mean_curve(group, column), **style)
    for run in () if means_only else group:
        steps = run.curves["epoch"].to_numpy() * run.steps
        values = run.curves[column].to_numpy(float)
        thin = {"linewidth": 0.6, "alpha": 0.5} if len(group) > 1 else {}
        axes.plot(steps, values, **(style | thin))
        if column != "train_loss":
            best = run.curves["epoch"].to_numpy() == run.best_epoch
            size = 3.5 if len(group) > 1 else 6
            axes.plot(steps[best], values[best], "o", color=style["color"], markersize=size)


def _line(number: int) -> dict:
    dashes = _DASHES[number // len(PALETTE) % len(_DASHES)]
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": dashes, "linewidth": 1.6}
