"""New layouts: labeled objects' pieces of condition maps, set where no real picture has them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cia.images import load_image
from cia.labels.lines import Box
from cia.variations.geometry import (
    Warp,
    draw_lines,
    draw_warp,
    enlarged,
    outline,
    source_grid,
    warped_box,
)
from cia.variations.varying import Varied

logger = logging.getLogger("cia")

MAPS_IN_MEMORY = 256
LAYOUTS, PIECES, PLACES = 4, 12, 20
"""Layouts to try for one map, pieces to try for one of its objects, and places for one piece."""
AT_BORDER = 0.75
"""An object is cut off by the picture's border if its box ends within so many pixels of it."""
SMALLEST = 3
"""Pixels that the sides of a piece have at least."""


@dataclass(frozen=True)
class Piece:
    """A labeled object's part of a condition map.

    Attributes
    ----------
    source : str
        The real picture.
    index : str
        The class index.
    box : tuple
        The object's box in the map.
    area : tuple of int
        The pixels that are taken: the box with a margin.
    others : tuple of tuple
        Areas of other objects; what lies in them and not in `box` is not taken.
    cut : tuple of bool
        Whether the picture's left, top, right and bottom border cut the object off.
    """

    source: str
    index: str
    box: Box
    area: tuple[int, int, int, int]
    others: tuple[tuple[int, int, int, int], ...]
    cut: tuple[bool, bool, bool, bool]


@dataclass(frozen=True)
class Placed:
    """A piece in a layout: how it gets there, its object's box there, and all its pixels' box."""

    piece: Piece
    warp: Warp
    box: Box
    bounds: Box


def varier(maps, objects, settings, interpolation) -> Callable[..., Varied | str]:
    """Return the function that makes one new layout, or says why it can't.

    Takes what `cia.variations.varying.Varier` says, of a detection.
    """
    paths = dict(zip(maps["id"], maps["image"], strict=True))
    margin, limit = settings["margin"], settings["max_overlap"]
    load = lru_cache(MAPS_IN_MEMORY)(lambda source: load_image(paths[source]))
    pieces: list[Piece] = []
    for row in maps.sort_values("id").itertuples():
        own = objects.get(row.id, [])
        pieces += collect_pieces(row.id, own, (row.width, row.height), margin, limit)
    logger.info("%d pieces of %d objects", len(pieces), sum(map(len, objects.values())))

    def vary(row, rng) -> Varied | str:
        size, own = (row.width, row.height), objects[row.id]
        count = len(own)
        if settings["objects"]:
            count = int(rng.integers(*settings["objects"], endpoint=True))
        layout = []
        if count and pieces:
            layout = lay_out(rng, pieces, count, size, settings, load, interpolation)
        if count and not layout:
            return "no piece of a condition map fits in it (see variations: max_overlap, scale)"
        canvas = np.zeros((row.height, row.width, 3), dtype=np.uint8)
        if settings["background"] == "source":
            areas = [enlarged(box, margin, size) for _, box in own]
            canvas = erase(load(row.id), areas, interpolation)
        image = compose(canvas, layout, load, interpolation)
        sources = dict.fromkeys([row.id, *(placed.piece.source for placed in layout)])
        placed = [(one.piece.index, one.box) for one in layout]
        return Varied(image, placed, len(placed), list(sources))

    return vary


def collect_pieces(
    source: str,
    objects: Sequence[tuple[str, Box]],
    size: tuple[int, int],
    margin: int,
    max_overlap: float,
) -> list[Piece]:
    """Return the pieces of one map.

    An object of which other objects' boxes cover more than `max_overlap` is none: its piece would
    show them too, and no label would tell.

    Parameters
    ----------
    source : str
        The real picture.
    objects : sequence of (str, tuple)
        Class index and box, in pixels of the map.
    size : tuple of int
        The map's width and height.
    margin : int
        Pixels to take around a box.
    max_overlap : float
    """
    areas = [enlarged(box, margin, size) for _, box in objects]
    pieces = []
    for number, (index, box) in enumerate(objects):
        others = [other for place, (_, other) in enumerate(objects) if place != number]
        if min(box[2] - box[0], box[3] - box[1]) < SMALLEST:
            continue
        if any(shared(box, other) > max_overlap * area_of(box) for other in others):
            continue
        cut = (
            box[0] < AT_BORDER,
            box[1] < AT_BORDER,
            box[2] > size[0] - AT_BORDER,
            box[3] > size[1] - AT_BORDER,
        )
        pieces.append(
            Piece(
                source,
                index,
                box,
                areas[number],
                tuple(area for place, area in enumerate(areas) if place != number),
                cut,
            )
        )
    return pieces


def lay_out(
    rng: np.random.Generator,
    pieces: Sequence[Piece],
    count: int,
    size: tuple[int, int],
    settings: Mapping[str, Any],
    load: Callable[[str], np.ndarray],
    interpolation: str,
) -> list[Placed]:
    """Choose pieces and places for them.

    Parameters
    ----------
    rng : numpy.random.Generator
    pieces : sequence of Piece
        To choose from, all alike.
    count : int
        Objects to place; fewer are placed where there is no room for so many.
    size : tuple of int
        Width and height of the new map.
    settings : mapping
        max_overlap, and what `draw_warp` reads.
    load : callable
        Returns the map of a real picture by its id.
    interpolation : str
        See `cia.variations.geometry.warp_map`.
    """
    best: list[Placed] = []
    for _ in range(LAYOUTS):
        placed: list[Placed] = []
        while len(placed) < count:
            found = _place_any(rng, pieces, placed, size, settings, load, interpolation)
            if found is None:
                break
            placed.append(found)
        if len(placed) > len(best):
            best = placed
        if len(best) == count:
            break
    return best


def _place_any(rng, pieces, placed, size, settings, load, interpolation) -> Placed | None:
    """Try to place a random piece, then others."""
    for _ in range(PIECES):
        piece = pieces[rng.integers(len(pieces))]
        if len(pieces) > len(placed) and any(one.piece is piece for one in placed):
            continue  # no object twice in one picture, unless there are too few
        image = load(piece.source)
        if not taken(piece, image).any():
            continue  # an object that the map does not show would be a label of nothing
        warp = draw_warp(rng, _settled(piece, settings), piece.area)
        if found := _place(rng, piece, warp, image, placed, size, settings, interpolation):
            return found
    return None


def _settled(piece: Piece, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep upright what a border cut off, and at its size what two opposite borders did."""
    left, top, right, bottom = piece.cut
    if not any(piece.cut):
        return settings
    spans = (left and right) or (top and bottom)
    scale = [1.0, 1.0] if spans else settings["scale"]
    return {**settings, "rotation": 0.0, "elastic": 0.0, "scale": scale}


def _place(rng, piece, warp, image, placed, size, settings, interpolation) -> Placed | None:
    points = outline(image, piece.box, interpolation)
    edge = warp.forward(_around(piece.area))
    # a whole number of pixels, so that a piece that is only moved keeps its pixels
    low, high = np.round(edge.min(axis=0), 6), np.round(edge.max(axis=0), 6)
    starts, ends = np.ceil(-low), np.floor(np.array(size) - high)
    starts, ends = _held_at_border(piece, warp, starts, ends)
    if np.any(ends < starts):
        return None
    for _ in range(PLACES):
        shift = rng.integers(starts.astype(int), ends.astype(int), endpoint=True)
        bounds = (*(low + shift), *(high + shift))
        if all(
            shared(bounds, other.bounds)
            <= settings["max_overlap"] * min(area_of(bounds), area_of(other.bounds))
            for other in placed
        ):
            box, _ = warped_box(points, warp.moved(shift), size)
            return Placed(piece, warp.moved(shift), box, bounds)
    return None


def _held_at_border(piece, warp, starts, ends) -> tuple[np.ndarray, np.ndarray]:
    """Leave to an object that a border cut off only the places along that border."""
    left, top, right, bottom = piece.cut
    if warp.matrix[0, 0] < 0:
        left, right = right, left
    starts, ends = starts.copy(), ends.copy()
    for axis, (first, last) in enumerate(((left, right), (top, bottom))):
        if first and last:  # only a map as wide (high) as its own will do
            if ends[axis] - starts[axis] > 1:
                ends[axis] = starts[axis] - 1
        elif first:
            ends[axis] = min(ends[axis], starts[axis])
        elif last:
            starts[axis] = max(starts[axis], ends[axis])
    return starts, ends


def compose(
    canvas: np.ndarray,
    layout: Sequence[Placed],
    load: Callable[[str], np.ndarray],
    interpolation: str,
) -> np.ndarray:
    """Set the pieces of a layout onto a map; later ones hide earlier ones where they overlap.

    Parameters
    ----------
    canvas : numpy.ndarray
        uint8 RGB: the background. Not changed.
    layout : sequence of Placed
    load : callable
        Returns the map of a real picture by its id.
    interpolation : str
        See `cia.variations.geometry.warp_map`.

    Returns
    -------
    numpy.ndarray
        uint8, of the canvas' shape.
    """
    canvas = canvas.copy()
    for placed in layout:
        image = load(placed.piece.source)
        if interpolation == "lines":
            _set_lines(canvas, placed, image)
        else:
            _set_pixels(canvas, placed, image, interpolation)
    return canvas


def _set_lines(canvas, placed: Placed, image) -> None:
    import cv2

    left, top, right, bottom = placed.piece.area
    # pixels whose centers lie inside, for a piece that is only moved: none of its neighbors
    edge = placed.warp.forward(_around((left + 0.5, top + 0.5, right - 0.5, bottom - 0.5)))
    cv2.fillPoly(canvas, [np.floor(edge).astype(np.int32)], (0, 0, 0))
    lines = taken(placed.piece, image) & image[top:bottom, left:right].any(axis=2)
    draw_lines(canvas, lines, (left, top), placed.warp)


def _set_pixels(canvas, placed: Placed, image, interpolation) -> None:
    import cv2

    bounds = enlarged(placed.bounds, 0, canvas.shape[1::-1])
    columns, rows = source_grid(placed.warp, bounds)
    left, top, right, bottom = placed.piece.area
    mask = np.zeros(image.shape[:2], dtype=np.uint8)
    mask[top:bottom, left:right] = _own(placed.piece)
    inside = cv2.remap(mask, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    method = cv2.INTER_LINEAR if interpolation == "linear" else cv2.INTER_NEAREST
    pixels = cv2.remap(image, columns, rows, method, borderMode=cv2.BORDER_REPLICATE)
    part = canvas[bounds[1] : bounds[3], bounds[0] : bounds[2]]
    part[inside > 0] = pixels[inside > 0]


def erase(image: np.ndarray, areas: Sequence[tuple], interpolation: str) -> np.ndarray:
    """Return a map without what lies in some areas: black, or for classes the nearest one.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 RGB.
    areas : sequence of tuple
        left, top, right, bottom in whole pixels.
    interpolation : str
        See `cia.variations.geometry.warp_map`.
    """
    import cv2

    gone = np.zeros(image.shape[:2], dtype=np.uint8)
    for left, top, right, bottom in areas:
        gone[top:bottom, left:right] = 1
    if interpolation != "nearest" or gone.all():
        return np.where(gone[..., None] > 0, np.uint8(0), image)
    _, nearest = cv2.distanceTransformWithLabels(
        gone, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colors = np.zeros((nearest.max() + 1, 3), dtype=np.uint8)
    colors[nearest[gone == 0]] = image[gone == 0]
    return colors[nearest]


def taken(piece: Piece, image: np.ndarray) -> np.ndarray:
    """Return which pixels of a piece's area are drawn and belong to it, bool (h, w)."""
    left, top, right, bottom = piece.area
    return _own(piece) & image[top:bottom, left:right].any(axis=2)


def _own(piece: Piece) -> np.ndarray:
    left, top, right, bottom = piece.area
    own = np.ones((bottom - top, right - left), dtype=bool)
    for area in piece.others:
        x0, y0, x1, y1 = (
            max(side - start, 0) for side, start in zip(area, (left, top) * 2, strict=True)
        )
        own[y0:y1, x0:x1] = False
    x0, y0, x1, y1 = enlarged(piece.box, 0, (right, bottom))
    own[y0 - top : y1 - top, x0 - left : x1 - left] = True
    return own


def shared(one: Box, other: Box) -> float:
    """Return the area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def area_of(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _around(area: tuple[float, float, float, float]) -> np.ndarray:
    """Return points along the border of an area, in turn."""
    left, top, right, bottom = area
    along = np.linspace(0, 1, 16, endpoint=False)
    return np.concatenate(
        [
            np.column_stack([left + along * (right - left), np.full(16, top)]),
            np.column_stack([np.full(16, right), top + along * (bottom - top)]),
            np.column_stack([right - along * (right - left), np.full(16, bottom)]),
            np.column_stack([np.full(16, left), bottom - along * (bottom - top)]),
        ]
    )
