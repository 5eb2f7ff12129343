"""The columns of an export's CSV tables that say where a picture is from."""

from collections.abc import Sequence
from pathlib import Path

from cia.exporting.pictures import Collection, Picture
from cia.tables import write_table

INDEX = "dataset.csv"
"""The table beside formats that can hold no such fields."""


def origin_names(scores: Sequence[str]) -> list[str]:
    """Return the names of the columns of `origin_columns`."""
    return ["origin", "id", "caption", "source", "copies", *scores]


def origin_columns(picture: Picture, scores: Sequence[str]) -> dict:
    """Return origin, id, caption, source, copies and one column for each score."""
    return {
        "origin": picture.origin,
        "id": picture.id,
        "caption": picture.caption,
        "source": picture.source,
        "copies": picture.copies,
        **{name: picture.scores.get(name) for name in scores},
    }


def write_index(
    folder: Path, data: Collection, paths: Sequence[str], labels: Sequence[str]
) -> None:
    """Write which picture is of which split, and where it is from.

    Parameters
    ----------
    folder : Path
    data : Collection
    paths : sequence of str
        Of the pictures, relative to the folder.
    labels : sequence of str
        What the column `label` holds.
    """
    scores = data.score_names()
    rows = [
        {"image": path, "label": label, "split": picture.split, **origin_columns(picture, scores)}
        for picture, path, label in zip(data.pictures, paths, labels, strict=True)
    ]
    write_table(folder / INDEX, rows)
