"""The look of every figure: one palette, one font, and bytes that depend on the data alone."""

import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from cia.files import atomic_path

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colors for all kinds of color vision ("Color Universal Design", 2008), less the
yellow, which is too pale for lines."""
KEPT, DROPPED = PALETTE[0], PALETTE[1]
"""Colors of images that a selection kept, and of those that it dropped."""
INK, MUTED, FAINT = "#1f2328", "#656d76", "#d0d7de"
"""Colors of text and data, of secondary text, and of grid lines."""

DPI = 150
WIDTH = 8.0
"""Width of a figure in inches."""

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.columnspacing": 1.4,
    "legend.handletextpad": 0.5,
    "figure.facecolor": "white",
}

_TITLE = {"fontsize": 11, "fontweight": "bold"}


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the report's style, whatever matplotlibrc this machine has."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(height: float) -> Figure:
    """Return an empty figure, `height` inches high, that lays itself out."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def add_title(figure: Figure, title: str, subtitle: str) -> None:
    """Head a figure with a bold title, broken where it is too long, and a muted line below it."""
    lines = textwrap.wrap(title, 84)
    figure.suptitle("\n".join([*lines, " "]), x=0.01, ha="left", **_TITLE)
    below = 1 - (0.06 + 0.19 * len(lines)) / figure.get_figheight()
    figure.text(0.01, below, subtitle, va="top", color=MUTED)


def save_figure(path: str | Path, figure: Figure, about: dict[str, str]) -> None:
    """Save a figure as PNG; the same data give the same bytes.

    Parameters
    ----------
    about : dict
        Text chunks for the file, such as `Title` and `Source`; no dates, no versions.
    """
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=DPI, metadata={"Software": None, **about})


def text_chunks(title: str, inputs: Iterable[str]) -> dict[str, str]:
    """Return the text chunks that say what a picture shows and which files it was drawn from."""
    return {"Title": title, "Source": "\n".join(sorted(set(map(str, inputs))))}
