"""Masks as one ring of points each, as grids of pixels, and as COCO's run lengths.

A ring is an array of points, closed by itself, and holds what a ray from there crosses it an odd
number of times to leave (even-odd). Coordinates are shares of the picture's width and height; a
pixel spans (x, y) to (x + 1, y + 1) and belongs to a mask if its center does.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

_MOST_DISTANCES = 2**20
"""Between points, to hold in memory at a time: 8 MB."""


def join_rings(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Join the rings of one object, its parts and its holes, into one ring of the same mask.

    Each ring after the first is reached by a bridge from the nearest point of those before it. The
    bridge is walked there and back, so that even-odd it encloses nothing; a program that draws the
    outline as well, like OpenCV's fillPoly, shows it as a line. Ultralytics' `merge_multi_segment`
    joins the parts of an object that way.

    Parameters
    ----------
    rings : sequence of numpy.ndarray
        Each (P, 2); parts must not overlap one another, and holes lie in them.

    Returns
    -------
    numpy.ndarray
        float64 (P, 2): the points of all rings, and two more for each after the first.
    """
    joined, *others = (np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings)
    for ring in others:
        here, there = _nearest(joined, ring)
        bridge = np.roll(ring, -there, axis=0)
        joined = np.concatenate([joined[: here + 1], bridge, bridge[:1], joined[here:]])
    return joined


def rasterize(ring: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the pixels whose centers lie in a ring, even-odd: bool (height, width).

    Parameters
    ----------
    ring : numpy.ndarray
        (P, 2), shares of the sides; what lies outside of the picture is cut off.
    """
    points = np.asarray(ring, dtype=np.float64).reshape(-1, 2) * (width, height)
    ends = np.roll(points, -1, axis=0)
    up = points[:, 1] > ends[:, 1]
    # From top to bottom always, so that the two ways over a bridge cross a row at the same place.
    tops, bottoms = np.where(up[:, None], ends, points), np.where(up[:, None], points, ends)
    first, last = (
        np.clip(np.ceil(side[:, 1] - 0.5), 0, height).astype(np.int64) for side in (tops, bottoms)
    )
    counts = last - first
    edges = np.repeat(np.arange(len(points)), counts)
    starts = np.cumsum(counts) - counts
    rows = np.arange(len(edges)) - np.repeat(starts - first, counts)
    (x, y), (dx, dy) = tops[edges].T, (bottoms - tops)[edges].T
    crossings = x + (rows + 0.5 - y) / dy * dx
    columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)
    flips = np.zeros((height, width + 1), dtype=bool)
    np.logical_xor.at(flips, (rows, columns), True)
    return np.logical_xor.accumulate(flips[:, :width], axis=1)


def trace(mask: np.ndarray) -> np.ndarray | None:
    """Return a mask as one ring along the sides of its pixels; None if it has none.

    `rasterize` gives the same mask for it, pixel by pixel.

    Parameters
    ----------
    mask : numpy.ndarray
        bool (H, W).

    Returns
    -------
    numpy.ndarray or None
        float64 (P, 2), shares of the sides.
    """
    rings = list(_outlines(np.asarray(mask, dtype=bool)))
    height, width = mask.shape
    return join_rings(rings) / (width, height) if rings else None


def mask_to_rle(mask: np.ndarray) -> dict:
    """Return a mask, bool (H, W), as COCO's compressed run lengths: size, counts (a str)."""
    from pycocotools import mask as coco

    rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def rle_to_mask(rle: Mapping) -> np.ndarray:
    """Return COCO's run lengths, compressed (str) or plain (list of int), as bool (H, W).

    Raises
    ------
    ValueError
        If plain runs do not fill the size.
    """
    from pycocotools import mask as coco

    height, width = rle["size"]
    if isinstance(rle["counts"], list):
        if sum(rle["counts"]) != height * width:
            raise ValueError(
                f"run lengths of {sum(rle['counts'])} pixels for a size of {height} x {width}"
            )
        return coco.decode(coco.frPyObjects(dict(rle), height, width)).astype(bool)
    return coco.decode(dict(rle)).astype(bool)


def _nearest(points: np.ndarray, others: np.ndarray) -> tuple[int, int]:
    """Return which point of one ring and which of another are the nearest to each other."""
    best = (np.inf, 0, 0)
    step = max(_MOST_DISTANCES // len(others), 1)
    for start in range(0, len(points), step):
        some = points[start : start + step]
        distances = (some[:, :1] - others[:, 0]) ** 2 + (some[:, 1:] - others[:, 1]) ** 2
        here, there = divmod(int(distances.argmin()), len(others))
        best = min(best, (distances[here, there], start + here, there))
    return best[1:]


def _outlines(mask: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the closed ways along the sides of a mask's pixels, each by its corners.

    The sides go from corner to corner, in turn along a row and along a column; in a row, and in a
    column, the first corner belongs to the second, the third to the fourth and so on. Where two
    pixels touch by a corner alone it is the corner of both.
    """
    padded = np.pad(mask, 1)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    times = (a ^ b ^ c ^ d) + 2 * ((a == d) & (b == c) & (a != b))
    ys, xs = (np.repeat(axis, times[times > 0]) for axis in np.nonzero(times))
    mates = [_pairs(np.arange(len(xs))).tolist(), _pairs(np.lexsort((ys, xs))).tolist()]
    seen = [False] * len(xs)
    for start in range(len(xs)):
        if seen[start]:
            continue
        way, corner = [], start
        while not seen[corner]:
            for mate in mates:
                way.append(corner)
                seen[corner] = True
                corner = mate[corner]
        yield np.stack([xs[way], ys[way]], axis=1).astype(np.float64)


def _pairs(order: np.ndarray) -> np.ndarray:
    """Return the mate of each corner: in that order the first has the second, and so on."""
    mates = np.empty_like(order)
    mates[order[0::2]], mates[order[1::2]] = order[1::2], order[0::2]
    return mates
