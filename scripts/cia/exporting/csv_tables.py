"""CSV: one table, dataset.csv, with a row for each picture, or in a detection for each box.

Boxes are xmin, ymin, xmax, ymax in pixels from the picture's corner; they are empty in the row of a
picture that shows no object.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from cia.exporting.pictures import Collection, Picture, images_path
from cia.exporting.tables import INDEX, origin_columns, origin_names, write_index
from cia.files import atomic_path
from cia.labels.lines import Box

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DIGITS = 6


picture_path = images_path


def write(folder: Path, data: Collection, paths: Sequence[str]) -> None:
    """Write the table.

    Parameters
    ----------
    folder : Path
    data : Collection
    paths : sequence of str
        Of the pictures, relative to the folder.
    """
    if data.task == "classification":
        write_index(folder, data, paths, [data.class_of(one.label) for one in data.pictures])
        return
    scores = data.score_names()
    columns = ["image", "label", "split", *_CORNERS, "width", "height", *origin_names(scores)]
    with (
        atomic_path(folder / INDEX) as partial,
        open(partial, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_rows(data, paths, scores))  # row by row: a million fill no memory


def _rows(data: Collection, paths: Sequence[str], scores: Sequence[str]) -> Iterator[dict]:
    for picture, path in zip(data.pictures, paths, strict=True):
        where = origin_columns(picture, scores)
        size = {"width": picture.width, "height": picture.height}
        boxes = [
            (data.class_of(one.index), _corners(one.box, picture)) for one in data.objects(picture)
        ]
        for name, corners in boxes or [("", [None] * 4)]:
            box = dict(zip(_CORNERS, corners, strict=True))
            yield {"image": path, "label": name, "split": picture.split, **box, **size, **where}


def _corners(box: Box, picture: Picture) -> list[float]:
    sides = (picture.width, picture.height) * 2
    return [round(share * side, _DIGITS) for share, side in zip(box, sides, strict=True)]
