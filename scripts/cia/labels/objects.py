"""The objects of a checked label, by task: class, box, and polygon or keypoints.

A label's lines are YOLO's, coordinates as shares of the upright picture's sides:

    detection       class cx cy w h
    segmentation    class x1 y1 x2 y2 ...               one ring, see `cia.labels.masks`
    pose            class cx cy w h, then x y or x y v  of each keypoint
    classification  class                               an object that is the whole picture
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from cia.labels.lines import (
    KEYPOINTS,
    LEAST_SIDE,
    POLYGON,
    TOLERANCE,
    Box,
    box_line,
    checked_box,
    decimals,
    split_label,
)


class Object(NamedTuple):
    """An object of a picture.

    Attributes
    ----------
    index : str
        Of its class.
    box : tuple of float
        Left, top, right and bottom, as shares of the sides.
    polygon : numpy.ndarray or None
        float64 (P, 2), shares of the sides; of a segmentation.
    keypoints : numpy.ndarray or None
        float64 (K, 2) or (K, 3), shares of the sides and visibility (0 not labeled, 1 hidden,
        2 visible); of a pose. One that is not labeled is 0 0, or 0 0 0.
    """

    index: str
    box: Box
    polygon: np.ndarray | None = None
    keypoints: np.ndarray | None = None


def parse_objects(
    label: str, task: str, kpt_shape: Sequence[int] | bool | None = None
) -> list[Object]:
    """Return the objects of a checked label, in the order of its lines.

    Parameters
    ----------
    label : str
        See the top of this module.
    task : str
        Of the dataset.
    kpt_shape : sequence of int, optional
        Number of keypoints, and of numbers of each; without it a pose's objects have none.
    """
    return [
        _parse(index, [float(number) for number in numbers], task, kpt_shape)
        for index, *numbers in split_label(label)
    ]


def object_line(object_: Object, task: str) -> str:
    """Return the line of an object: 6 decimals, and more where it is small."""
    index, (left, top, right, bottom), polygon, keypoints = object_
    if task == "classification":
        return index
    sides = right - left, bottom - top
    if task == "segmentation":
        return " ".join([index, *_numbers(polygon, sides)])
    box = box_line(index, ((left + right) / 2, (top + bottom) / 2), sides)
    return " ".join([box, *_numbers(keypoints, sides)]) if task == "pose" else box


def box_around(points: np.ndarray) -> Box:
    """Return left, top, right and bottom of points, (P, 2)."""
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom


def _parse(index: str, numbers: list[float], task: str, kpt_shape) -> Object:
    if task == "classification":
        return Object(index, (0.0, 0.0, 1.0, 1.0))
    if task == "segmentation":
        polygon = np.array(numbers).reshape(-1, 2)
        return Object(index, box_around(polygon), polygon=polygon)
    cx, cy, width, height = numbers[:4]
    sides = cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
    left, top, right, bottom = (min(max(side, 0.0), 1.0) for side in sides)
    posed = task == "pose" and kpt_shape
    points = np.array(numbers[4:]).reshape(kpt_shape) if posed else None
    return Object(index, (left, top, right, bottom), keypoints=points)


def box_fields(fields: Sequence[str], task: str) -> list[float]:
    """Return cx, cy, w and h of the fields of a checked label's line, of any task with objects."""
    numbers = [float(number) for number in fields[1:]]
    if task != "segmentation":
        return numbers[:4]
    xs, ys = numbers[0::2], numbers[1::2]
    sides = [(min(axis), max(axis)) for axis in (xs, ys)]
    return [(low + high) / 2 for low, high in sides] + [high - low for low, high in sides]


def checked_object(
    index: str, values: Sequence[float], task: str, kpt_shape: Sequence[int] | None = None
) -> Object:
    """Return the object of a line's numbers, in the picture, of a segmentation or a pose.

    Raises
    ------
    ValueError
        If they are not of that task, stick out of the picture, or have no area.
    """
    if task == "pose":
        box, points = _checked_keypoints(values, kpt_shape)
        return Object(index, box, keypoints=points)
    polygon = _checked_polygon(values)
    return Object(index, box_around(polygon), polygon=polygon)


def _checked_polygon(values: Sequence[float]) -> np.ndarray:
    """A polygon may cross itself: what it then encloses an even number of times is not in it."""
    if len(values) == 4:
        raise ValueError(
            "4 numbers after the class are a box; a segmentation needs polygons, x y of each of "
            "their 3 or more points. Is it a rectangle, write its 4 corners"
        )
    if len(values) < 6 or len(values) % 2:
        raise ValueError(
            f"{len(values)} numbers after the class; a polygon's x y of each of its 3 or more "
            "points are expected"
        )
    checked_box(values, POLYGON)
    points = np.clip(np.array(values, dtype=np.float64).reshape(-1, 2), 0.0, 1.0)
    if not _has_area(points):
        raise ValueError("a polygon of no area: its sides lie on one another")
    return points


def _has_area(points: np.ndarray) -> bool:
    """Whether a ring encloses anything: it does not where each of its sides is walked twice."""
    corners = list(map(tuple, points.tolist()))
    ends = [*corners[1:], corners[0]]
    sides = Counter(tuple(sorted(side)) for side in zip(corners, ends, strict=True))
    once = {
        point for side, times in sides.items() if times % 2 and side[0] != side[1] for point in side
    }
    if len(once) < 3:
        return False
    spread = np.array(sorted(once))
    spread -= spread[0]
    farthest = spread[(spread**2).sum(axis=1).argmax()]
    across = np.abs(spread[:, 0] * farthest[1] - spread[:, 1] * farthest[0])
    return bool(across.max() >= LEAST_SIDE * np.hypot(*farthest))


def _checked_keypoints(values: Sequence[float], kpt_shape: Sequence[int]) -> tuple[Box, np.ndarray]:
    count, numbers = kpt_shape
    if len(values) != 4 + count * numbers:
        raise ValueError(
            f"{len(values)} numbers after the class; {4 + count * numbers} are expected: cx cy w h "
            f"and {count} keypoints of {numbers} (kpt_shape). One that is not labeled is "
            f"{' '.join('0' * numbers)}"
        )
    box = checked_box([*values[:4], *_shown(values[4:], numbers)], KEYPOINTS)
    points = np.array(values[4:], dtype=np.float64).reshape(count, numbers)
    if numbers == 3 and not set(points[:, 2]) <= {0.0, 1.0, 2.0}:
        strange = next(value for value in points[:, 2] if value not in (0, 1, 2))
        raise ValueError(
            f"visibility {strange:g} of a keypoint is none of 0 (not labeled), 1 (hidden) and 2 "
            "(visible)"
        )
    unseen = points[:, 2] == 0 if numbers == 3 else (points < 0).any(axis=1)
    points[unseen] = 0.0
    outside = ((points[:, :2] < -TOLERANCE) | (points[:, :2] > 1 + TOLERANCE)).any(axis=1)
    if outside.any():
        number = int(outside.argmax())
        x, y = points[number, :2]
        raise ValueError(
            f"out of bounds: keypoint {number} (from 0) lies outside of the picture ({x:g} {y:g}); "
            f"one that is not labeled is {' '.join('0' * numbers)}"
        )
    points[:, :2] = np.clip(points[:, :2], 0.0, 1.0)
    return box, points


def _shown(values: Sequence[float], numbers: int) -> list[float]:
    """Return the coordinates of keypoints that are labeled; others may be anything."""
    rows = zip(*(values[place::numbers] for place in range(numbers)), strict=True)
    return [value for x, y, *seen in rows if seen != [0] for value in (x, y)]


def _numbers(points: np.ndarray, sides: Sequence[float]) -> Iterable[str]:
    """Yield the numbers of points, a visibility as a whole number."""
    across, down = map(decimals, sides)
    for x, y, *visibility in points.tolist():
        yield f"{x:.{across}f}"
        yield f"{y:.{down}f}"
        yield from (f"{value:.0f}" for value in visibility)
