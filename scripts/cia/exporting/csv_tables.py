"""CSV: one table, dataset.csv, with a row for each picture, or in a detection for each box.

Boxes are xmin, ymin, xmax, ymax in pixels from the picture's corner; they are empty in the row of a
picture that shows no object.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cia.exporting.pictures import Collection, Picture
from cia.exporting.tables import INDEX, origin_columns, write_index
from cia.labels.lines import Box
from cia.tables import write_table

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DIGITS = 6


def picture_path(picture: Picture, name: str, classes: Sequence[str]) -> str:
    """Return where a picture lies in the folder."""
    return f"images/{picture.split}/{picture.origin}/{name}"


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
    write_table(folder / INDEX, list(_rows(data, paths)))


def _rows(data: Collection, paths: Sequence[str]) -> Iterator[dict]:
    scores = data.score_names()
    for picture, path in zip(data.pictures, paths, strict=True):
        where = origin_columns(picture, scores)
        size = {"width": picture.width, "height": picture.height}
        boxes = [
            (data.class_of(one.index), _corners(one.box, picture))
            for one in data.objects(picture)
        ]
        for name, corners in boxes or [("", [None] * 4)]:
            box = dict(zip(_CORNERS, corners, strict=True))
            yield {"image": path, "label": name, "split": picture.split, **box, **size, **where}


def _corners(box: Box, picture: Picture) -> list[float]:
    sides = (picture.width, picture.height) * 2
    return [round(share * side, _DIGITS) for share, side in zip(box, sides, strict=True)]
