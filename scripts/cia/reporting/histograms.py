"""Histograms of scores: what a selection kept, what it dropped, and the cut between."""

from pathlib import Path

import numpy as np
import pandas as pd

from cia.reporting.pages import format_number
from cia.reporting.style import (
    DROPPED,
    INK,
    KEPT,
    add_title,
    figure_style,
    new_figure,
    save_figure,
)

_FEWEST_BINS, _MOST_BINS = 12, 40


def bin_edges(values: np.ndarray, cut: float | None) -> np.ndarray:
    """Return the edges of a histogram's bins, equally wide, one of them at the cut.

    The width is Freedman and Diaconis's ("On the histogram as a density estimator", 1981), kept
    between a 40th and a 12th of the range.

    Parameters
    ----------
    values : numpy.ndarray
        Scores, shape (n,), n at least 1.
    cut : float or None
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    automatic = np.histogram_bin_edges(values, "fd")
    narrowest, widest = (high - low) / _MOST_BINS, (high - low) / _FEWEST_BINS
    width = min(max(automatic[1] - automatic[0], narrowest), widest)
    origin = low if cut is None else cut
    first = np.floor((low - origin) / width - 1e-9)
    last = max(np.ceil((high - origin) / width + 1e-9), first + 1)
    return origin + width * np.arange(first, last + 1)


def draw_histogram(
    path: str | Path,
    images: pd.DataFrame,
    label: str,
    cut: float | None,
    title: str,
    subtitle: str,
    about: dict[str, str],
) -> None:
    """Draw how many synthetic images have which score, kept ones and dropped ones.

    Parameters
    ----------
    images : pandas.DataFrame
        score (NaN is left out) and kept, a row per image.
    label : str
        Name of the score, and which end of it is the better one.
    cut : float or None
        Where a line is drawn; None if no one score parts kept from dropped.
    """
    scored = images.dropna(subset="score")
    groups = {
        "kept": scored.loc[scored["kept"], "score"].to_numpy(),
        "dropped": scored.loc[~scored["kept"], "score"].to_numpy(),
    }
    groups = {name: values for name, values in groups.items() if len(values)}
    with figure_style():
        figure = new_figure(3.8)
        axes = figure.add_subplot()
        if groups:
            axes.hist(
                list(groups.values()),
                bins=bin_edges(scored["score"].to_numpy(), cut),
                stacked=True,
                color=[{"kept": KEPT, "dropped": DROPPED}[name] for name in groups],
                label=[f"{len(values)} {name}" for name, values in groups.items()],
                edgecolor="white",
                linewidth=0.6,
            )
            for bars, name in zip(_containers(axes), groups, strict=True):
                for bar in bars if name == "dropped" else ():
                    bar.set_hatch("////")
            if scored["score"].min() >= 0 > axes.get_xlim()[0]:
                axes.set_xlim(left=0)  # a bin may begin below what the score can be
        _draw_cut(axes, cut)
        add_title(figure, title, subtitle)
        axes.set_xlabel(label)
        axes.set_ylabel("synthetic images")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="x", visible=False)
        axes.margins(y=0.18 if cut is not None else 0.05)
        if groups:
            axes.legend(loc="upper right")
        save_figure(path, figure, about)


def _containers(axes) -> list:
    return [container.patches for container in axes.containers]


def _draw_cut(axes, cut: float | None) -> None:
    if cut is None:
        return
    axes.axvline(cut, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
    left, right = axes.get_xlim()
    near_right = cut > left + 0.6 * (right - left)
    axes.annotate(
        f"cut at {format_number(cut)}",
        (cut, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if near_right else 5, 0),
        textcoords="offset points",
        ha="right" if near_right else "left",
        va="top",
    )
