"""Geometry of condition maps: a map's pixels and its objects go through one transform.

Points are (x, y) in pixels of the map; the center of the pixel in column i and row j is
(i + 0.5, j + 0.5). A box is (left, top, right, bottom) in the same pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cia.labels.objects import Object, box_around
from cia.labels.shapes import densified, keypoints_inside, labeled, polygon_inside

WAVES = 4
"""Waves of which an elastic warp is the sum."""
DENSE = 0.9
"""If the hull of what is drawn inside a box fills more of it, background is drawn there too."""
SPARSE = 0.5
"""If what is drawn inside a box spans less of a side, it does not show where the object ends."""
MARGIN = 2
"""Pixels around a box in which an object's outline may still lie."""
STRAIGHT = 0.05
"""Pixels by which an elastic warp may bend an edge of a polygon that gets no more points."""


@dataclass(frozen=True)
class Warp:
    """A smooth map of the plane: x -> center + shift + matrix (x + elastic(x) - center).

    Attributes
    ----------
    center, shift : numpy.ndarray
        float64, shape (2,).
    matrix : numpy.ndarray
        float64, shape (2, 2): flip, scale and rotation.
    waves : numpy.ndarray
        float64, shape (WAVES, 5): frequency in x and y (radians per pixel), phase, and the
        displacement in x and y (pixels) of each wave.
    """

    center: np.ndarray
    shift: np.ndarray
    matrix: np.ndarray
    waves: np.ndarray

    def forward(self, points: np.ndarray) -> np.ndarray:
        """Return where points of shape (n, 2) go."""
        moved = points + self._elastic(points) - self.center
        return self.center + self.shift + moved @ self.matrix.T

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """Return where points of shape (n, 2) come from.

        The elastic part is inverted by fixed-point iteration: config allows none so strong that
        it folds the plane.
        """
        straight = (points - self.center - self.shift) @ np.linalg.inv(self.matrix).T + self.center
        found = straight
        for _ in range(30):
            found, last = straight - self._elastic(found), found
            if np.abs(found - last).max(initial=0.0) < 1e-3:
                break
        return found

    @property
    def mirrors(self) -> bool:
        return bool(np.linalg.det(self.matrix) < 0)

    @property
    def longest_straight(self) -> float:
        """Pixels of a straight line that it bends by no more than `STRAIGHT`."""
        frequency, amplitude = (
            np.linalg.norm(part, axis=1) for part in (self.waves[:, :2], self.waves[:, 3:])
        )
        curvature = np.linalg.norm(self.matrix, 2) * (frequency**2 * amplitude).sum()
        return float(np.sqrt(8 * STRAIGHT / curvature)) if curvature else np.inf

    def moved(self, shift: np.ndarray) -> "Warp":
        """Return the same warp, moved on by `shift` pixels."""
        return replace(self, shift=self.shift + shift)

    def _elastic(self, points: np.ndarray) -> np.ndarray:
        if not self.waves[:, 3:].any():
            return np.zeros_like(points)
        phases = points @ self.waves[:, :2].T + self.waves[:, 2]
        return np.sin(phases) @ self.waves[:, 3:]


def draw_warp(
    rng: np.random.Generator,
    settings: Mapping[str, Any],
    area: tuple[float, float, float, float],
    strength: float = 1.0,
) -> Warp:
    """Draw a random warp of an area, about its center.

    Parameters
    ----------
    rng : numpy.random.Generator
        The same number of values is drawn whatever the settings, so a changed setting changes
        nothing but what it says.
    settings : mapping
        flip (probability), rotation (degrees, at most), scale (smallest and largest factor),
        elastic (standard deviation of the displacement as a share of the area's shorter side),
        and perhaps translation (share of each side, at most).
    area : tuple
        left, top, right, bottom.
    strength : float
        1 for the drawn warp, 0 for none (flipped or not).
    """
    left, top, right, bottom = area
    sides = np.array([right - left, bottom - top], dtype=np.float64)
    turn, stretch, mirror = rng.uniform(-1, 1), rng.uniform(), rng.uniform()
    travel = rng.uniform(-1, 1, 2)
    low, high = settings["scale"]
    scale = 1 + strength * (low + stretch * (high - low) - 1)
    angle = np.radians(strength * settings["rotation"] * turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.diag([-1.0 if mirror < settings["flip"] else 1.0, 1.0])
    return Warp(
        center=np.array([left + right, top + bottom]) / 2,
        shift=strength * settings.get("translation", 0.0) * travel * sides,
        matrix=scale * rotation @ flip,
        waves=_draw_waves(rng, sides, strength * settings["elastic"]),
    )


def _draw_waves(rng: np.random.Generator, sides: np.ndarray, elastic: float) -> np.ndarray:
    """Draw waves of 0.5 to 1.5 periods per side, in random directions."""
    direction, phase, heading = rng.uniform(0, 2 * np.pi, (3, WAVES))
    periods = rng.uniform(0.5, 1.5, WAVES)
    frequency = 2 * np.pi * periods[:, None] * _unit(direction) / sides
    # the sum's standard deviation along each axis is to be `elastic`, and a sine's square is 1/2
    amplitude = elastic * sides.min() * np.sqrt(4 / WAVES)
    return np.column_stack([frequency, phase, amplitude * _unit(heading)])


def _unit(angle: np.ndarray) -> np.ndarray:
    return np.column_stack([np.cos(angle), np.sin(angle)])


def warp_map(image: np.ndarray, warp: Warp, interpolation: str) -> np.ndarray:
    """Warp a whole condition map; it keeps its size.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 RGB, shape (height, width, 3).
    warp : Warp
    interpolation : {"lines", "linear", "nearest"}
        lines: white lines of one pixel on black, which stay so: each pixel is moved and joined
        again to its neighbors. linear: a drawing on black. nearest: flat colors that are classes;
        what comes in from outside is the nearest pixel's class.

    Returns
    -------
    numpy.ndarray
        uint8, of the same shape.
    """
    import cv2

    height, width = image.shape[:2]
    if interpolation == "lines":
        canvas = np.zeros_like(image)
        draw_lines(canvas, image.any(axis=2), (0, 0), warp)
        return canvas
    columns, rows = source_grid(warp, (0, 0, width, height))
    if interpolation == "linear":
        return cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return cv2.remap(image, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


def draw_lines(canvas: np.ndarray, lines: np.ndarray, corner: tuple[int, int], warp: Warp) -> None:
    """Draw warped lines of one pixel on a canvas, unbroken however they are stretched.

    Parameters
    ----------
    canvas : numpy.ndarray
        uint8 RGB; drawn on.
    lines : numpy.ndarray
        bool, shape (h, w): the line pixels of a part of a map.
    corner : tuple of int
        Column and row of that part's first pixel in its map.
    warp : Warp
    """
    import cv2

    rows, columns = np.nonzero(lines)
    if not len(rows):
        return
    number = np.full(np.add(lines.shape, 2), -1)
    number[rows + 1, columns + 1] = np.arange(len(rows))
    points = np.column_stack([columns, rows]) + np.array(corner) + 0.5
    pixels = np.floor(warp.forward(points)).clip(-(2**15), 2**15).astype(np.int32)
    here = np.arange(len(rows))
    right, below = number[rows + 1, columns + 2], number[rows + 2, columns + 1]
    left = number[rows + 1, columns]
    # a diagonal is a link only where no pixel beside it is: else corners would fill up
    down_right = np.where((right < 0) & (below < 0), number[rows + 2, columns + 2], -1)
    down_left = np.where((left < 0) & (below < 0), number[rows + 2, columns], -1)
    links = [np.column_stack([here, here])]  # each pixel by itself, and with each neighbor
    for other in (right, below, down_right, down_left):
        links.append(np.column_stack([here, other])[other >= 0])
    polylines = list(pixels[np.concatenate(links)])
    cv2.polylines(canvas, polylines, False, (255, 255, 255), 1)


def source_grid(warp: Warp, area: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return, for `cv2.remap`, the column and row from which each pixel of an area comes.

    The inverse is found on 65 x 65 points and interpolated between: it is smooth.

    Returns
    -------
    tuple of numpy.ndarray
        float32, each of shape (height, width) of the area.
    """
    left, top, right, bottom = area
    (xs, across), (ys, down) = _knots(left, right), _knots(top, bottom)
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    coarse = (warp.inverse(points) - 0.5).reshape(len(ys), len(xs), 2)
    columns, rows = (down @ coarse[..., axis] @ across.T for axis in (0, 1))
    return columns.astype(np.float32), rows.astype(np.float32)


def _knots(start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Return up to 65 places on a side, and the weight of each for each pixel of the side."""
    pixels = np.arange(start, end) + 0.5
    places = np.linspace(pixels[0], pixels[-1], min(len(pixels), 65))
    weights = [np.interp(pixels, places, one) for one in np.eye(len(places))]
    return places, np.stack(weights, axis=1)


def outline(
    image: np.ndarray, box: tuple[float, float, float, float], interpolation: str
) -> np.ndarray:
    """Return points that show how an object fills its box, for the box to follow a warp.

    Where the map draws the object alone, they are its drawn pixels, stretched a little so that
    they fill the box exactly. Where it shows background too, or classes, they fill the ellipse
    inside the box: after a rotation the box of a rotated ellipse is closer to the truth than that
    of the rotated box (Kalra et al.: Towards Rotation Invariance in Object Detection, 2021).

    Returns
    -------
    numpy.ndarray
        float64, shape (n, 2), as centers of pixels: they reach from 0.5 pixels inside of the
        box's left and top to 0.5 pixels inside of its right and bottom.
    """
    left, top, right, bottom = box
    middle = np.array([left + right, top + bottom]) / 2
    # of a side below a pixel the middle, but for a border's, where it is the last pixel's
    middle = np.clip(middle, 0.5, np.array(image.shape[1::-1]) - 0.5)
    low = np.minimum(np.array([left, top]) + 0.5, middle)
    high = np.maximum(np.array([right, bottom]) - 0.5, middle)
    points = np.empty((0, 2)) if interpolation == "nearest" else _drawn(image, box)
    if len(points):
        start, span = points.min(axis=0), np.ptp(points, axis=0)
        if np.all(span > 0) and np.all(span >= SPARSE * (high - low)):
            points = low + (points - start) / span * (high - low)
            if _hull_area(points) <= DENSE * np.prod(high - low):
                return points
    side = np.linspace(-1, 1, 129)
    disk = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    disk = disk[(disk**2).sum(axis=1) <= 1 + 1e-9]
    return (low + high) / 2 + disk * (high - low) / 2


def _drawn(image: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Return the centers of the pixels that are not black in a box and a margin around it."""
    left, top, right, bottom = enlarged(box, MARGIN, image.shape[1::-1])
    rows, columns = np.nonzero(image[top:bottom, left:right].any(axis=2))
    return np.column_stack([columns + left, rows + top]) + 0.5


def _hull_area(points: np.ndarray) -> float:
    import cv2

    return cv2.contourArea(cv2.convexHull(points.astype(np.float32)))


def enlarged(
    box: tuple[float, float, float, float], margin: int, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the whole pixels of a box with a margin around it, inside a picture of that size."""
    left, top, right, bottom = box
    width, height = size
    return (
        max(int(np.floor(left)) - margin, 0),
        max(int(np.floor(top)) - margin, 0),
        min(int(np.ceil(right)) + margin, width),
        min(int(np.ceil(bottom)) + margin, height),
    )


def warped_box(
    points: np.ndarray, warp: Warp, size: tuple[int, int]
) -> tuple[tuple[float, float, float, float] | None, float]:
    """Return the box of warped points as far as it lies in the picture, and how much that is.

    Parameters
    ----------
    points : numpy.ndarray
        From `outline`.
    warp : Warp
    size : tuple of int
        The picture's width and height.

    Returns
    -------
    box : tuple or None
        left, top, right, bottom; None if nothing lies in the picture.
    visible : float
        The box's area as a share of what it would be if the picture had no border.
    """
    moved = warp.forward(points)
    inside = moved[np.all((moved >= 0) & (moved <= size), axis=1)]
    if not len(inside):
        return None, 0.0
    low, high = np.maximum(inside.min(0) - 0.5, 0), np.minimum(inside.max(0) + 0.5, size)
    whole = np.ptp(moved, axis=0) + 1
    visible = float(np.prod(high - low) / np.prod(whole))
    return (*low.tolist(), *high.tolist()), min(round(visible, 9), 1.0)


def followed(image: np.ndarray, one: Object, interpolation: str) -> np.ndarray:
    """Return the points that an object's box is around: its polygon, or else its `outline`."""
    return outline(image, one.box, interpolation) if one.polygon is None else one.polygon


def moved_object(
    one: Object,
    points: np.ndarray,
    warp: Warp,
    size: tuple[int, int],
    flip_idx: Sequence[int] | None = None,
) -> tuple[Object | None, float]:
    """Return an object where the warp takes it, as far as it lies in the picture.

    Parameters
    ----------
    one : Object
        In pixels.
    points : numpy.ndarray
        From `followed`.
    warp : Warp
    size : tuple of int
        The picture's width and height.
    flip_idx : sequence of int, optional
        See `cia.labels.shapes.keypoints_inside`; used if the warp mirrors.

    Returns
    -------
    object : Object or None
        None if nothing of it lies in the picture.
    visible : float
        The share of it that does: of the polygon's area, or of the box's. A keypoint that has no
        visibility and leaves the picture makes it 0, since no label could say so.
    """
    if one.polygon is not None:
        ring = warp.forward(densified(points, warp.longest_straight))
        part, visible = polygon_inside(ring, size)
        return part if part is None else Object(one.index, box_around(part), part), visible
    box, visible = warped_box(points, warp, size)
    if box is None or one.keypoints is None:
        return box and Object(one.index, box), visible
    swap = flip_idx if warp.mirrors else None
    keypoints = keypoints_inside(one.keypoints, warp.forward, size, swap)
    lost = labeled(one.keypoints).sum() - labeled(keypoints).sum()
    visible = 0.0 if lost and keypoints.shape[1] == 2 else visible
    return Object(one.index, box, keypoints=keypoints), visible
