"""Boxes of tables: four numbers in one of the usual forms."""

from collections.abc import Mapping, Sequence

from cia.importing.frames import SHARES, cut_box, frame_of, line_of_box
from cia.importing.pictures import Wanted


def box_lines(
    path: str,
    boxes: Sequence[tuple[int, Sequence[float]]],
    settings: Mapping,
    stated: tuple[float, float] | None,
    wanted: Wanted,
) -> str:
    """Return the lines of a picture's boxes.

    Parameters
    ----------
    path : str
        The picture, whose size makes shares of pixels.
    boxes : sequence of tuple
        Index of the class, and four numbers.
    settings : mapping
        box_form, normalized.
    stated : tuple of float or None
        Width and height that the source says.
    wanted : Wanted

    Raises
    ------
    ValueError
        As `cia.importing.frames.frame_of`.
    """
    if not boxes:
        return ""
    frame = SHARES if settings["normalized"] else frame_of(path, stated, wanted)
    lines = []
    for index, numbers in boxes:
        sides = frame.box(*_corners(settings["box_form"], *map(float, numbers)))
        lines.append(line_of_box(index, cut_box(sides, frame, wanted)))
    return "\n".join(lines)


def _corners(form: str, a: float, b: float, c: float, d: float) -> tuple:
    if form == "corners":
        return a, b, c, d
    if form == "corner_size":
        return a, b, a + c, b + d
    return a - c / 2, b - d / 2, a + c / 2, b + d / 2
