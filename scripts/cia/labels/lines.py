"""What a line of a detection label is: a box, a box with keypoints, or a polygon.

A line is YOLO's: a class, and numbers that are shares of the picture's width and height.

    4 numbers             a box, cx cy w h
    4 + K x D numbers     a box with K keypoints of D numbers, x y or x y visibility
    2 x P numbers, P > 2  a polygon of P points

A number of numbers may fit the last two, and nothing in the line tells them apart for sure. So a
dataset may say what its lines are (`kpt_shape`); where it does not, all its lines are the evidence.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from cia.errors import UserError

Box = tuple[float, float, float, float]

BOX, KEYPOINTS, POLYGON = "boxes", "keypoints", "polygons"
"""Kinds of lines."""

TOLERANCE = 1e-6
"""How far a box may stick out of its picture, as a share of the side: rounding to 6 decimals."""

LEAST_SIDE = 1e-6
"""Least side of a box, as a share of the picture's: detectors' 32-bit numbers hold no smaller one
beside a center near 1."""

_DECIMALS, _NEEDS_MORE = 6, 1e-4
"""Decimals of a box, and the side below which they are too few."""

_EXACT = 9
"""Decimals to which a side is compared: those after are the rounding of 64-bit numbers."""

_PIXELS = 2.0
"""From here on a number is taken for pixels, rather than for a share of what sticks out."""

_SAME_LENGTH, _LIKELY = 0.9, 0.5
"""Shares of the lines from which on a dataset may be one of keypoints: those with one number of
numbers, which polygons rarely have in common, and of these the lines that could hold keypoints."""

_MARGIN, _SPREAD = 0.1, 0.25
"""Of a box with keypoints, as shares of its sides: how far they may lie beside it, and what they
span at least."""


class LineReader:
    """Reads the numbers of lines, and remembers what tells keypoints from polygons.

    Parameters
    ----------
    kpt_shape : sequence of int, False or None
        Number of keypoints of a line, and of numbers of each; False for a dataset without
        keypoints; None if it is not known.

    Attributes
    ----------
    kinds : collections.Counter
        Kind to number of lines; for those who read to count.
    """

    def __init__(self, kpt_shape: Sequence[int] | bool | None = None):
        self.kinds: Counter[str] = Counter()
        self._kpt_shape = kpt_shape
        self._lengths: Counter[int] = Counter()
        self._poses: Counter[tuple[int, int]] = Counter()

    def read(self, values: Sequence[float]) -> tuple[str, Box]:
        """Return a line's kind and its box: left, top, right and bottom, inside the picture.

        Raises
        ------
        ValueError
            If the numbers are none of the kinds above, or the box is not in the picture.
        """
        kind = self._kind(values)
        if max(values) > _PIXELS:
            raise ValueError(
                f"coordinates are not normalized: {max(values):g} looks like pixels; divide by the "
                "picture's width and height"
            )
        sides = _around(values) if kind == POLYGON else _of_center(values)
        left, top, right, bottom = _inside(sides)
        if round(min(right - left, bottom - top), _EXACT) < LEAST_SIDE:
            what = "polygon" if kind == POLYGON else "bounding box"
            raise ValueError(
                f"a {what} of no area (width {right - left:g}, height {bottom - top:g}; "
                f"{LEAST_SIDE:g} is the least)"
            )
        return kind, (left, top, right, bottom)

    def require_clear(self, labels: str) -> None:
        """Check that what was read as polygons can't just as well be boxes with keypoints.

        Polygons of a dataset have now more points and now fewer. Where nearly all lines have one
        number of numbers, and half of these begin with a box around what the rest would be as
        keypoints, both are possible.

        Parameters
        ----------
        labels : str
            Where the lines are from, for the message.

        Raises
        ------
        UserError
            If they can.
        """
        if not self._poses:
            return
        (length, count), *_ = self._lengths.most_common(1)
        shapes = {shape: n for shape, n in self._poses.items() if shape in _shapes(length)}
        (keypoints, numbers), likely = max(
            shapes.items(), key=lambda item: (item[1], item[0][1]), default=((0, 0), 0)
        )
        if count < _SAME_LENGTH * self._lengths.total() or likely < _LIKELY * count:
            return
        polygon = f", or polygons of {length // 2} points" if length % 2 == 0 else ""
        raise UserError(
            f"{labels}: {likely} lines of {length} numbers after the class may be boxes with "
            f"{keypoints} keypoints (4 + {keypoints} x {numbers}){polygon}. Say which in the "
            f"config, in this dataset's entry under `datasets`: kpt_shape: [{keypoints}, "
            f"{numbers}] for keypoints, kpt_shape: false for polygons."
        )

    def _kind(self, values: Sequence[float]) -> str:
        if len(values) == 4:
            return BOX
        if self._kpt_shape:
            keypoints, numbers = self._kpt_shape
            if len(values) == 4 + keypoints * numbers:
                return KEYPOINTS
            raise ValueError(
                f"{len(values)} numbers after the class; 4 (cx cy w h) or "
                f"{4 + keypoints * numbers} (and {keypoints} keypoints) are expected"
            )
        if self._kpt_shape is None:
            self._lengths[len(values)] += 1
            self._poses.update(shape for shape in _shapes(len(values)) if _is_pose(values, shape))
        if len(values) >= 6 and len(values) % 2 == 0:
            return POLYGON
        raise ValueError(
            f"{len(values)} numbers after the class; 4 (cx cy w h) or a polygon are expected"
        )


def split_label(label: str) -> list[list[str]]:
    """Return the fields of each line of a checked label, class index first; none for no object."""
    return [fields for line in label.splitlines() if (fields := line.split())]


def box_line(index: str | int, center: Sequence[float], sides: Sequence[float]) -> str:
    """Return the YOLO line of a box: 6 decimals, and more where its side would lose by them.

    Parameters
    ----------
    index : str or int
        Of the class.
    center, sides : sequence of float
        cx and cy, width and height.
    """
    across, down = map(decimals, sides)
    (cx, cy), (width, height) = center, sides
    return f"{index} {cx:.{across}f} {cy:.{down}f} {width:.{across}f} {height:.{down}f}"


def decimals(side: float) -> int:
    """Return with how many decimals to write a coordinate of an object with such a side."""
    side = max(round(side, _EXACT), LEAST_SIDE)
    return _DECIMALS if side >= _NEEDS_MORE else 2 - math.floor(math.log10(side))


def _of_center(values: Sequence[float]) -> Box:
    cx, cy, width, height = values[:4]
    if width <= 0 or height <= 0:
        raise ValueError(f"a bounding box of no area (width {width:g}, height {height:g})")
    return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2


def _around(values: Sequence[float]) -> Box:
    xs, ys = values[0::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _inside(sides: Box) -> Iterator[float]:
    if any(not -TOLERANCE <= side <= 1 + TOLERANCE for side in sides):
        numbers = ", ".join(f"{value:g}" for value in sides)
        raise ValueError(
            f"out of bounds: sticks out of the picture (left, top, right, bottom: {numbers})"
        )
    return (min(max(side, 0.0), 1.0) for side in sides)


def _shapes(length: int) -> list[tuple[int, int]]:
    """List how many keypoints, and numbers of each, a line of that length may have."""
    rest = length - 4
    return [(rest // numbers, numbers) for numbers in (2, 3) if rest > 0 and rest % numbers == 0]


def _is_pose(values: Sequence[float], shape: tuple[int, int]) -> bool:
    """Whether a line begins with a box in the picture, around what the rest is as keypoints.

    A keypoint at 0, 0, at negative numbers, or of visibility 0 is one that is not shown.
    """
    cx, cy, width, height = values[:4]
    if (
        width <= 0
        or height <= 0
        or not all(
            -_MARGIN <= side <= 1 + _MARGIN
            for side in (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
        )
    ):
        return False
    xs, ys = values[4 :: shape[1]], values[5 :: shape[1]]
    seen = values[6::3] if shape[1] == 3 else [2.0] * len(xs)
    if not set(seen) <= {0.0, 1.0, 2.0}:
        return False
    shown = [
        ((x - cx) / width, (y - cy) / height)
        for x, y, visible in zip(xs, ys, seen, strict=True)
        if visible and min(x, y) >= 0 and max(x, y) > 0
    ]
    if any(max(map(abs, point)) > 0.5 + _MARGIN for point in shown):
        return False
    return len(shown) < 2 or any(
        max(axis) - min(axis) >= _SPREAD for axis in zip(*shown, strict=True)
    )
