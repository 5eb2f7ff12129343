"""New layouts: labeled objects' pieces of condition maps, set where no real picture has them.

A piece is cut out by its object's box; by its polygon, where it has one: then it carries nothing of
what was behind it or beside it, and pieces may touch.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cia.images import load_image
from cia.labels.lines import Box
from cia.labels.masks import rasterize, trace
from cia.labels.objects import Object, box_around
from cia.labels.shapes import densified, labeled
from cia.variations.geometry import (
    Warp,
    draw_lines,
    draw_warp,
    enlarged,
    followed,
    moved_object,
    source_grid,
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
SLIVER = 0.02
"""Share of a mask that other masks may cover, whatever `max_overlap`: masks that are drawn by hand
overlap a little where objects touch."""


@dataclass(frozen=True)
class Piece:
    """A labeled object's part of a condition map.

    Attributes
    ----------
    source : str
        The real picture.
    object : Object
        In pixels of the map.
    area : tuple of int
        The pixels that are taken, or of which some are: the object's box with a margin.
    others : tuple of tuple
        Areas of other objects; what lies in them and not in the object's box is not taken. Without
        effect where there are polygons.
    rings : tuple of numpy.ndarray
        The other objects' polygons, likewise.
    cut : tuple of bool
        Whether the picture's left, top, right and bottom border cut the object off.
    around : int
        Pixels to take around a polygon.
    """

    source: str
    object: Object
    area: tuple[int, int, int, int]
    others: tuple[tuple[int, int, int, int], ...]
    rings: tuple[np.ndarray, ...]
    cut: tuple[bool, bool, bool, bool]
    around: int


@dataclass(frozen=True)
class Placed:
    """A piece in a layout.

    Attributes
    ----------
    piece : Piece
    warp : Warp
        How it gets there.
    object : Object
        Its object there.
    bounds : tuple
        The box of all its pixels there.
    mask : numpy.ndarray or None
        bool, the map's height and width: the polygon's pixels there; None without polygons.
    """

    piece: Piece
    warp: Warp
    object: Object
    bounds: Box
    mask: np.ndarray | None


def varier(maps, objects, settings, interpolation) -> Callable[..., Varied | str]:
    """Return the function that makes one new layout, or says why it can't.

    Takes what `cia.variations.varying.Varier` says, of objects.
    """
    paths = dict(zip(maps["id"], maps["image"], strict=True))
    margin, limit = settings["margin"], settings["max_overlap"]
    load = lru_cache(MAPS_IN_MEMORY)(lambda source: load_image(paths[source]))
    pieces: list[Piece] = []
    for row in maps.sort_values("id").itertuples():
        own = objects.get(row.id, [])
        size = row.width, row.height
        pieces += collect_pieces(row.id, own, size, margin, limit, interpolation)
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
            canvas = erase(load(row.id), pixels_of(own, margin, size), interpolation)
        image = compose(canvas, layout, load, interpolation)
        sources = dict.fromkeys([row.id, *(placed.piece.source for placed in layout)])
        seen = seen_objects(layout)
        return Varied(image, seen, len(seen), list(sources))

    return vary


def collect_pieces(
    source: str,
    objects: Sequence[Object],
    size: tuple[int, int],
    margin: int,
    max_overlap: float,
    interpolation: str,
) -> list[Piece]:
    """Return the pieces of one map.

    An object of which others cover more than `max_overlap` is none: its piece would show them too,
    and no label would tell. Nor is one with a keypoint outside of its area that could not be said
    to be lost, for want of a visibility.

    Parameters
    ----------
    source : str
        The real picture.
    objects : sequence of Object
        In pixels of the map.
    size : tuple of int
        The map's width and height.
    margin : int
        Pixels to take around a box or polygon; around a polygon none where maps are of classes,
        whose colors end where the object does.
    max_overlap : float
    interpolation : str
        See `cia.variations.geometry.warp_map`.
    """
    areas = [enlarged(one.box, margin, size) for one in objects]
    pieces = []
    for number, one in enumerate(objects):
        left, top, right, bottom = one.box
        others = [place for place in range(len(objects)) if place != number]
        rings = [objects[place].polygon for place in others if objects[place].polygon is not None]
        piece = Piece(
            source,
            one,
            areas[number],
            tuple(areas[place] for place in others),
            tuple(ring for ring in rings if shared(box_around(ring), areas[number])),
            (
                left < AT_BORDER,
                top < AT_BORDER,
                right > size[0] - AT_BORDER,
                bottom > size[1] - AT_BORDER,
            ),
            0 if interpolation == "nearest" else margin,
        )
        if min(right - left, bottom - top) >= SMALLEST and not _is_spoilt(
            piece, [objects[place].box for place in others], max_overlap
        ):
            pieces.append(piece)
    return pieces


def _is_spoilt(piece: Piece, boxes: Sequence[Box], max_overlap: float) -> bool:
    """Say whether others cover too much of an object, or a keypoint of it can't come along."""
    one = piece.object
    if one.polygon is not None:
        mask, others = _mask_in(piece.area, one.polygon), _others_in(piece)
        return (mask & others).sum() > max(max_overlap, SLIVER) * mask.sum() or not mask.any()
    if one.keypoints is not None and one.keypoints.shape[1] == 2:
        far = ~_lies_in(one.keypoints, piece.area) & labeled(one.keypoints)
        if far.any():
            return True
    return any(shared(one.box, box) > max_overlap * area_of(one.box) for box in boxes)


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
    points = followed(image, piece.object, interpolation)
    edge = warp.forward(_around(piece.area))
    # a whole number of pixels, so that a piece that is only moved keeps its pixels
    low, high = np.round(edge.min(axis=0), 6), np.round(edge.max(axis=0), 6)
    starts, ends = np.ceil(-low), np.floor(np.array(size) - high)
    starts, ends = _held_at_border(piece, warp, starts, ends)
    if np.any(ends < starts):
        return None
    ring = piece.object.polygon
    if ring is not None:
        ring = warp.forward(densified(ring, warp.longest_straight))
    for _ in range(PLACES):
        shift = rng.integers(starts.astype(int), ends.astype(int), endpoint=True)
        bounds = (*(low + shift), *(high + shift))
        mask = None if ring is None else rasterize((ring + shift) / size, *size)
        if all(_has_room(bounds, mask, other, settings["max_overlap"]) for other in placed):
            there = _object_there(piece, points, warp.moved(shift), size, settings)
            return Placed(piece, warp.moved(shift), there, bounds, mask)
    return None


def _has_room(bounds: Box, mask: np.ndarray | None, other: Placed, most: float) -> bool:
    """Say whether no more than that share of the smaller of two pieces lies under the other."""
    if mask is None or other.mask is None:
        smaller = min(area_of(bounds), area_of(other.bounds))
        return shared(bounds, other.bounds) <= most * smaller
    return (mask & other.mask).sum() <= most * min(mask.sum(), other.mask.sum())


def _object_there(piece: Piece, points: np.ndarray, warp: Warp, size, settings) -> Object:
    """Return a piece's object in the layout, without the keypoints that the piece does not show."""
    one = piece.object
    if one.keypoints is not None and one.keypoints.shape[1] == 3:
        shown = _lies_in(one.keypoints, piece.area)
        one = one._replace(keypoints=np.where(shown[:, None], one.keypoints, 0.0))
    flip_idx = settings.get("labels", {}).get("flip_idx")
    return moved_object(one, points, warp, size, flip_idx)[0]


def seen_objects(layout: Sequence[Placed]) -> list[Object]:
    """Return the objects of a layout as far as they are seen: later pieces lie over earlier ones.

    A polygon loses what is hidden, and a visible keypoint becomes a hidden one. Boxes stay.
    """
    seen = []
    for place, placed in enumerate(layout):
        one, later = placed.object, layout[place + 1 :]
        if placed.mask is not None:
            one = _less(one, placed.mask, [other.mask for other in later])
        elif one.keypoints is not None and one.keypoints.shape[1] == 3:
            hidden = [
                _lies_in(other.warp.inverse(one.keypoints[:, :2]), other.piece.area)
                for other in later
            ]
            under = np.any(hidden, axis=0) if hidden else np.zeros(len(one.keypoints), dtype=bool)
            visibility = np.where(under, np.minimum(one.keypoints[:, 2], 1), one.keypoints[:, 2])
            one = one._replace(keypoints=np.column_stack([one.keypoints[:, :2], visibility]))
        if one is not None:
            seen.append(one)
    return seen


def _less(one: Object, mask: np.ndarray, over: Sequence[np.ndarray]) -> Object | None:
    """Return an object without what lies under other masks; None if nothing is left."""
    hidden = np.any(over, axis=0) & mask if over else np.zeros(1, dtype=bool)
    if not hidden.any():
        return one
    ring = trace(mask & ~hidden)
    if ring is None:
        return None
    ring = ring * mask.shape[::-1]
    return Object(one.index, box_around(ring), ring)


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
    earlier = np.zeros(canvas.shape[:2], dtype=bool)
    for placed in layout:
        image = load(placed.piece.source)
        if placed.mask is not None:
            _set_mask(canvas, placed, image, interpolation, earlier)
            earlier |= placed.mask
        elif interpolation == "lines":
            _set_lines(canvas, placed, image)
        else:
            _set_pixels(canvas, placed, image, interpolation)
    return canvas


def _set_mask(canvas, placed: Placed, image, interpolation, earlier) -> None:
    """Set a piece that is cut out by its polygon; its margin spares the pieces beside it."""
    piece = placed.piece
    if interpolation == "lines":
        left, top, _, _ = piece.area
        pixels = np.zeros_like(canvas)
        draw_lines(pixels, taken(piece, image), (left, top), placed.warp)
    else:
        pixels = _moved_pixels(image, placed.warp, (0, 0, *canvas.shape[1::-1]), interpolation)
    inside = _moved_mask(placed, image.shape[:2], (0, 0, *canvas.shape[1::-1]))
    inside = (inside & ~earlier) | placed.mask
    canvas[inside] = pixels[inside]


def _set_lines(canvas, placed: Placed, image) -> None:
    import cv2

    left, top, right, bottom = placed.piece.area
    # pixels whose centers lie inside, for a piece that is only moved: none of its neighbors
    edge = placed.warp.forward(_around((left + 0.5, top + 0.5, right - 0.5, bottom - 0.5)))
    cv2.fillPoly(canvas, [np.floor(edge).astype(np.int32)], (0, 0, 0))
    lines = taken(placed.piece, image)
    draw_lines(canvas, lines, (left, top), placed.warp)


def _set_pixels(canvas, placed: Placed, image, interpolation) -> None:
    bounds = enlarged(placed.bounds, 0, canvas.shape[1::-1])
    inside = _moved_mask(placed, image.shape[:2], bounds)
    pixels = _moved_pixels(image, placed.warp, bounds, interpolation)
    part = canvas[bounds[1] : bounds[3], bounds[0] : bounds[2]]
    part[inside] = pixels[inside]


def _moved_mask(placed: Placed, shape: tuple[int, int], bounds) -> np.ndarray:
    """Return which pixels of an area of the new map a piece of a map of that shape covers."""
    import cv2

    left, top, right, bottom = placed.piece.area
    mask = np.zeros(shape, dtype=np.uint8)
    mask[top:bottom, left:right] = _own(placed.piece)
    grid = source_grid(placed.warp, bounds)
    return cv2.remap(mask, *grid, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT) > 0


def _moved_pixels(image: np.ndarray, warp: Warp, bounds, interpolation: str) -> np.ndarray:
    import cv2

    method = cv2.INTER_LINEAR if interpolation == "linear" else cv2.INTER_NEAREST
    grid = source_grid(warp, bounds)
    return cv2.remap(image, *grid, method, borderMode=cv2.BORDER_REPLICATE)


def pixels_of(objects: Sequence[Object], margin: int, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of objects with a margin around them, bool (height, width)."""
    found = np.zeros(size[::-1], dtype=bool)
    for one in objects:
        left, top, right, bottom = area = enlarged(one.box, margin, size)
        part = found[top:bottom, left:right]
        part |= True if one.polygon is None else _thickened(_mask_in(area, one.polygon), margin)
    return found


def erase(image: np.ndarray, gone: np.ndarray, interpolation: str) -> np.ndarray:
    """Return a map without some pixels: black, or for classes the nearest one.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 RGB.
    gone : numpy.ndarray
        bool, shape (height, width): the pixels.
    interpolation : str
        See `cia.variations.geometry.warp_map`.
    """
    import cv2

    gone = gone.astype(np.uint8)
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
    if piece.object.polygon is not None:
        mask = _mask_in(piece.area, piece.object.polygon)
        return mask | (_thickened(mask, piece.around) & ~_others_in(piece))
    own = np.ones((bottom - top, right - left), dtype=bool)
    for area in piece.others:
        x0, y0, x1, y1 = (
            max(side - start, 0) for side, start in zip(area, (left, top) * 2, strict=True)
        )
        own[y0:y1, x0:x1] = False
    x0, y0, x1, y1 = enlarged(piece.object.box, 0, (right, bottom))
    own[y0 - top : y1 - top, x0 - left : x1 - left] = True
    return own


def _mask_in(area: tuple[int, int, int, int], ring: np.ndarray) -> np.ndarray:
    """Return the pixels of an area that lie in a polygon."""
    left, top, right, bottom = area
    width, height = right - left, bottom - top
    return rasterize((ring - (left, top)) / (width, height), width, height)


def _others_in(piece: Piece) -> np.ndarray:
    """Return the pixels of a piece's area that lie in other objects' polygons."""
    masks = [_mask_in(piece.area, ring) for ring in piece.rings]
    left, top, right, bottom = piece.area
    return np.any(masks, axis=0) if masks else np.zeros((bottom - top, right - left), dtype=bool)


def _thickened(mask: np.ndarray, margin: int) -> np.ndarray:
    import cv2

    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1,) * 2)
    return cv2.dilate(mask.astype(np.uint8), disk) > 0


def _lies_in(points: np.ndarray, area: tuple[float, float, float, float]) -> np.ndarray:
    """Say which points lie in an area, bool (n,)."""
    return ((points[:, :2] >= area[:2]) & (points[:, :2] <= area[2:])).all(axis=1)


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
