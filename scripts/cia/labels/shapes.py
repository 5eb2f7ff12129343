"""What becomes of polygons and keypoints when their picture moves.

Points are float64 (n, 2): x and y in pixels, and the center of the pixel in column i and row j is
(i + 0.5, j + 0.5). Rings are even-odd, see `cia.labels.masks`.
"""

from collections.abc import Callable, Sequence

import numpy as np

from cia.labels.masks import rasterize
from cia.labels.objects import Object, object_line, parse_objects
from cia.labels.reading import read_objects, write_objects

Size = tuple[int, int]
"""A picture's width and height in pixels."""

_CELLS = 128
"""Cells to a side of the grid on which a polygon's visible share is counted."""


def objects_in_pixels(
    label: str, size: Size, task: str, kpt_shape: Sequence[int] | None = None
) -> list[Object]:
    """Return the objects of a checked label, in pixels of a picture of that size."""
    if task == "detection":
        return [Object(index, box) for index, box in read_objects(label, size)]
    return [_scaled(one, size) for one in parse_objects(label, task, kpt_shape)]


def label_of_pixels(objects: Sequence[Object], size: Size, task: str) -> str:
    """Return the label of objects in pixels of a picture of that size."""
    if task == "detection":
        return write_objects([(one.index, one.box) for one in objects], size)
    width, height = size
    return "\n".join(object_line(_scaled(one, (1 / width, 1 / height)), task) for one in objects)


def _scaled(one: Object, factors: Sequence[float]) -> Object:
    box = tuple(side * factor for side, factor in zip(one.box, (*factors, *factors), strict=True))
    polygon, keypoints = one.polygon, one.keypoints
    if polygon is not None:
        polygon = polygon * factors
    if keypoints is not None:
        keypoints = np.column_stack([keypoints[:, :2] * factors, keypoints[:, 2:]])
    return one._replace(box=box, polygon=polygon, keypoints=keypoints)


def densified(ring: np.ndarray, longest: float) -> np.ndarray:
    """Put points on a ring's edges, so that none is longer than `longest` pixels.

    An edge that is walked there and back gets the same points both ways, so that it still encloses
    nothing once they have moved.
    """
    ends = np.roll(ring, -1, axis=0)
    pieces = np.maximum(np.ceil(np.linalg.norm(ends - ring, axis=1) / longest), 1).astype(int)
    edge = np.repeat(np.arange(len(ring)), pieces)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    back = _is_back(ring, ends)
    low, high = np.where(back[:, None], ends, ring), np.where(back[:, None], ring, ends)
    step = np.where(back[edge], pieces[edge] - step, step)
    return low[edge] + (step / pieces[edge])[:, None] * (high - low)[edge]


def clipped(ring: np.ndarray, size: Size) -> np.ndarray:
    """Return the part of a ring that lies in the picture, as one ring; empty if there is none.

    Sutherland and Hodgman: Reentrant polygon clipping (1974). Parts that the border separates stay
    joined along it, there and back, which encloses nothing.
    """
    for axis, sign, limit in ((0, 1, 0), (1, 1, 0), (0, -1, size[0]), (1, -1, size[1])):
        if not len(ring):
            break
        ends = np.roll(ring, -1, axis=0)
        inside, arrives = (sign * (points[:, axis] - limit) >= 0 for points in (ring, ends))
        back = _is_back(ring, ends)[:, None]
        low, high = np.where(back, ends, ring), np.where(back, ring, ends)
        crosses = inside != arrives
        span = np.where(crosses, high[:, axis] - low[:, axis], 1.0)
        crossing = low + ((limit - low[:, axis]) / span)[:, None] * (high - low)
        crossing[:, axis] = limit
        points = np.stack([ring, crossing], axis=1)
        ring = points[np.stack([inside, crosses], axis=1)]
    return ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)] if len(ring) else ring


def _is_back(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Whether an edge goes from right to left (of a vertical one, up): one way of the two."""
    (x, y), (to_x, to_y) = starts.T, ends.T
    return (to_x < x) | ((to_x == x) & (to_y < y))


def polygon_inside(ring: np.ndarray, size: Size) -> tuple[np.ndarray | None, float]:
    """Return a ring's part in the picture (None if it has none) and its share of the area."""
    part = clipped(ring, size)
    if len(part) < 3 or (np.ptp(part, axis=0) == 0).any():
        return None, 0.0
    low, span = ring.min(axis=0), np.ptp(ring, axis=0)
    cells = rasterize((ring - low) / span, _CELLS, _CELLS)
    xs, ys = ((np.arange(_CELLS) + 0.5) / _CELLS * span[axis] + low[axis] for axis in (0, 1))
    seen = ((ys >= 0) & (ys <= size[1]))[:, None] & ((xs >= 0) & (xs <= size[0]))
    total = int(cells.sum())
    return part, float((cells & seen).sum() / total) if total else 1.0


def keypoints_inside(
    keypoints: np.ndarray,
    move: Callable[[np.ndarray], np.ndarray],
    size: Size,
    flip_idx: Sequence[int] | None = None,
) -> np.ndarray:
    """Move keypoints; those that leave the picture, and those not labeled, become 0 0 (0).

    Parameters
    ----------
    keypoints : numpy.ndarray
        (K, 2) or (K, 3): x and y in pixels, and visibility. Without one, 0 0 is not labeled.
    move : callable
        Returns where points, (K, 2), go.
    size : tuple of int
        The picture's.
    flip_idx : sequence of int, optional
        Which keypoint each one becomes; given if `move` mirrors, as the left hand is then drawn as
        a right one.
    """
    points = move(keypoints[:, :2])
    inside = ((points >= 0) & (points <= size)).all(axis=1) & labeled(keypoints)
    moved = np.where(inside[:, None], np.column_stack([points, keypoints[:, 2:]]), 0.0)
    return moved if flip_idx is None else moved[list(flip_idx)]


def labeled(keypoints: np.ndarray) -> np.ndarray:
    """Say which keypoints are labeled, bool (K,)."""
    if keypoints.shape[1] == 3:
        return keypoints[:, 2] > 0
    return (keypoints >= 0).all(axis=1) & (keypoints > 0).any(axis=1)
