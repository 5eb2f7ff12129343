"""The best, middle and worst synthetic images by each score: what does a score see?"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cia.filtering import rank
from cia.reporting.pages import format_number
from cia.reporting.selections import direction_words
from cia.reporting.sheets import LabelForm, Tile, read_label

EACH = 3
"""Images shown of the best, of the middle and of the worst."""
HEADERS = (("best", EACH), ("middle", EACH), ("worst", EACH))


def extreme_rows(
    scores: pd.DataFrame, labels: Mapping[str, str], form: LabelForm
) -> list[tuple[str, list[Tile]]]:
    """Return a named row of tiles per score: best, middle, worst images.

    Parameters
    ----------
    scores : pandas.DataFrame
        A scores table: id, image, and a column per score. A score that is the same for all images,
        or that fewer than nine have, is left out.
    labels : mapping
        id to label.
    form : LabelForm
    """
    rows = []
    for name in scores.columns.drop(["id", "image"]):
        known = scores.dropna(subset=name)
        if len(known) < 3 * EACH or known[name].nunique() < 2:
            continue
        ranked = rank(known, {"score": name}, known)
        tiles = [_tile(ranked.iloc[place], labels, form) for place in _places(len(ranked))]
        words = name.replace("_", "\n"), direction_words({"score": name}).replace(" ", "\n", 1)
        rows.append(("\n".join(words), tiles))
    return rows


def _places(images: int) -> np.ndarray:
    first = np.arange(EACH)
    return np.concatenate([first, images // 2 - EACH // 2 + first, images - EACH + first])


def _tile(row: pd.Series, labels, form: LabelForm) -> Tile:
    words, objects = read_label(labels.get(row["id"], ""), form)
    return Tile(row["image"], format_number(row["score"]), words, objects)
