"""Coordinates of a source's objects as shares of the upright picture.

Formats that give pixels say how wide and high the picture was to who drew the boxes. Programs that
turn pictures upright as EXIF says (browsers, and so most tools for labels) give the upright size;
others give that of the stored pixels, and their boxes lie in these. So where an EXIF orientation
exchanges width and height, the stated size tells which it is. Where it does not (a mirror image, a
turn by 180 degrees, a square), upright is what is meant, as most tools do it, and the workflow.
"""

import os
from typing import NamedTuple

import numpy as np

from cia.images import check_header
from cia.importing.pictures import Wanted
from cia.labels.lines import box_line

_SLACK = 0.01, 2.0
"""How far a box may stick out of its picture and is cut: a share of the side (as for ultralytics),
or pixels where these are more."""

_SAME_SHAPE = 0.01
"""Relative difference of two aspects that may come from rounding to whole pixels."""

CUT = "objects stuck out of their picture by a hair and were cut at its edge"
EITHER = (
    "pictures are mirrored or turned by EXIF, and by their size their labels may be of the upright "
    "picture or of the stored one: upright was taken; look at them"
)
TURNED = "pictures had labels in their stored pixels, which EXIF turns: the labels were turned, too"


class Frame(NamedTuple):
    """The picture that coordinates are in.

    Attributes
    ----------
    width, height : float
        In the coordinates' unit: 1 and 1 for shares.
    orientation : int
        EXIF's, if the coordinates are those of the stored pixels; else 1.
    slack : tuple of float
        How far, across and down, a box may stick out, as shares.
    """

    width: float
    height: float
    orientation: int
    slack: tuple[float, float]

    def box(self, left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
        """Return left, top, right and bottom of a box as shares of the upright picture."""
        sides = left / self.width, top / self.height, right / self.width, bottom / self.height
        if self.orientation < 5:
            return sides
        (x1, x2), (y1, y2) = self._turn((sides[0], sides[2]), (sides[1], sides[3]))
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def points(self, points: np.ndarray) -> np.ndarray:
        """Return points, (P, 2), as shares of the upright picture."""
        shares = np.asarray(points, dtype=np.float64).reshape(-1, 2) / (self.width, self.height)
        return shares if self.orientation < 5 else np.stack(self._turn(*shares.T), axis=1)

    def _turn(self, xs, ys):
        """Turn shares as EXIF's orientation turns the picture (5 to 8; EXIF 2.32, tag 0x0112)."""
        xs, ys = np.asarray(xs), np.asarray(ys)
        return {5: (ys, xs), 6: (1 - ys, xs), 7: (1 - ys, 1 - xs), 8: (ys, 1 - xs)}[
            self.orientation
        ]


SHARES = Frame(1.0, 1.0, 1, (_SLACK[0], _SLACK[0]))
"""Of coordinates that are shares of the upright picture already."""


def frame_of(path: str, stated: tuple[float, float] | None, wanted: Wanted) -> Frame:
    """Return the frame of a picture's pixel coordinates.

    Parameters
    ----------
    path : str
        The picture; only its header is read.
    stated : tuple of float or None
        Width and height that the source says.
    wanted : Wanted
        Counts the pictures whose coordinates are turned.

    Raises
    ------
    ValueError
        If the source says another shape than the picture has, or none and it can't be opened.
    """
    try:
        width, height, orientation = check_header(path)
    except OSError as error:
        if stated:
            return _upright(*stated)  # the picture is refused by the scan, with its reason
        where = "is missing" if not os.path.exists(path) else "can't be opened"
        raise ValueError(f"the picture {where}, so its size is not known") from error
    on_its_side = orientation >= 5
    upright = (height, width) if on_its_side else (width, height)
    if stated is None:
        return _upright(*upright)
    if _same_shape(stated, upright):
        if orientation > 1 and _same_shape(stated, (width, height)):
            wanted.notes[EITHER] += 1
        return _upright(*stated)
    if on_its_side and _same_shape(stated, (width, height)):
        wanted.notes[TURNED] += 1
        return Frame(*stated, orientation, _slack(*stated[::-1]))
    raise ValueError(
        f"the source says {stated[0]:g} x {stated[1]:g} pixels, but the picture has {upright[0]} x "
        f"{upright[1]}: its labels were drawn on another one"
    )


def _upright(width: float, height: float) -> Frame:
    return Frame(width, height, 1, _slack(width, height))


def _slack(width: float, height: float) -> tuple[float, float]:
    share, pixels = _SLACK
    return max(share, pixels / width), max(share, pixels / height)


def _same_shape(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Say whether sizes are equal, or one is the other's but for scaling."""
    if tuple(one) == tuple(other):
        return True
    return abs(one[0] * other[1] - one[1] * other[0]) <= _SAME_SHAPE * one[0] * other[1]


def cut_box(sides: tuple, frame: Frame, wanted: Wanted) -> tuple:
    """Cut a box, in shares, that sticks out of its picture by a hair.

    What sticks out by more stays as it is, and rule `label` says so.
    """
    left, top, right, bottom = sides
    if left >= 0 and top >= 0 and right <= 1 and bottom <= 1:
        return sides
    across, down = frame.slack
    if left < -across or top < -down or right > 1 + across or bottom > 1 + down:
        return sides
    wanted.notes[CUT] += 1
    return max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.0)


def cut_points(points: np.ndarray, frame: Frame, wanted: Wanted) -> np.ndarray:
    """The same for the corners of a polygon, (P, 2)."""
    beyond = np.maximum(-points, points - 1).max(axis=0)
    if (beyond <= 0).all() or (beyond > frame.slack).any():
        return points
    wanted.notes[CUT] += 1
    return points.clip(0.0, 1.0)


def line_of_box(index: int, sides: tuple) -> str:
    """Return the YOLO line of a box given by left, top, right and bottom, in shares."""
    left, top, right, bottom = sides
    return box_line(index, ((left + right) / 2, (top + bottom) / 2), (right - left, bottom - top))
