"""The objects of a checked label, by task: class, box, and polygon or keypoints.

A label's lines are YOLO's, coordinates as shares of the upright picture's sides:

    detection       class cx cy w h
    segmentation    class x1 y1 x2 y2 ...               one ring, see `cia.labels.masks`
    pose            class cx cy w h, then x y or x y v  of each keypoint
    classification  class                               an object that is the whole picture
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from cia.labels.lines import Box, box_line, decimals, split_label


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
        2 visible); of a pose.
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
    kpt_shape : sequence of int
        Number of keypoints, and of numbers of each; used for a pose alone.
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
    points = np.array(numbers[4:]).reshape(kpt_shape) if task == "pose" else None
    return Object(index, (left, top, right, bottom), keypoints=points)


def _numbers(points: np.ndarray, sides: Sequence[float]) -> Iterable[str]:
    """Yield the numbers of points, a visibility as a whole number."""
    across, down = map(decimals, sides)
    for x, y, *visibility in points.tolist():
        yield f"{x:.{across}f}"
        yield f"{y:.{down}f}"
        yield from (f"{value:.0f}" for value in visibility)
