"""The stroke of a handwritten digit: its two ends, and the point half way between them.

They are found on the scan alone, so that a scan always has the same points, and lie on the ink's
skeleton (Zhang and Suen: A fast parallel algorithm for thinning digital patterns, 1984). The ends
are the two of its points that are farthest apart for who walks through the ink.
"""

import numpy as np

_PAPER = 4.0
"""How much longer a way over paper counts than through ink: strokes of faint ink have gaps."""
_RIGHT = 0.5
"""How much longer a way counts at the right edge than at the left: of a ring's two sides, which are
about as long, the way is always along the left one."""
_NEARLY = 0.9
"""Pairs of points count as about as far apart as the farthest from this share of its way on: of
them, the pair that differs most in height is the ends. All pairs of opposite points of a ring are
about as far apart."""


def stroke_points(ink: np.ndarray) -> np.ndarray:
    """Return the upper end, the middle and the lower end of a stroke.

    Parameters
    ----------
    ink : numpy.ndarray
        bool, shape (h, w); some of it is True.

    Returns
    -------
    numpy.ndarray
        float64, shape (3, 2): x and y of centers of pixels, as shares of w and h.
    """
    from scipy.sparse.csgraph import dijkstra

    nodes = np.flatnonzero(skeleton(ink))
    ways, before = dijkstra(_steps(ink), indices=nodes, return_predecessors=True)
    lengths = ways[:, nodes]
    rows = nodes // ink.shape[1]
    far = lengths + lengths.T >= _NEARLY * (lengths + lengths.T).max()
    drop = np.where(far, rows[None, :] - rows[:, None], -1)
    start, end = np.unravel_index(drop.argmax(), drop.shape)
    way = [nodes[end]]
    while way[-1] != nodes[start]:
        way.append(before[start, way[-1]])
    path = np.stack(np.unravel_index(way[::-1], ink.shape)[::-1], axis=1) + 0.5
    walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]
    off = np.abs(walked - walked[-1] / 2)
    middle = path[np.where(ink.flat[way[::-1]], off, np.inf).argmin()]
    return np.stack([path[0], middle, path[-1]]) / ink.shape[::-1]


def skeleton(ink: np.ndarray) -> np.ndarray:
    """Return the ink thinned to lines of one pixel, bool (h, w), by Zhang and Suen's method."""
    thin = np.pad(ink, 1)
    while True:
        before = thin.sum()
        for first in (True, False):
            north, east, south, west = (
                np.roll(thin, shift, axis) for shift, axis in ((1, 0), (-1, 1), (-1, 0), (1, 1))
            )
            north_east, north_west = np.roll(north, -1, 1), np.roll(north, 1, 1)
            south_east, south_west = np.roll(south, -1, 1), np.roll(south, 1, 1)
            around = np.stack(
                [north, north_east, east, south_east, south, south_west, west, north_west]
            )
            count = around.sum(axis=0)
            begins = (~around & np.roll(around, -1, axis=0)).sum(axis=0)
            if first:
                edge = ~(north & east & south) & ~(east & south & west)
            else:
                edge = ~(north & east & west) & ~(north & south & west)
            thin = thin & ~((2 <= count) & (count <= 6) & (begins == 1) & edge)
        if thin.sum() == before:
            return thin[1:-1, 1:-1]


def _steps(ink: np.ndarray):
    """Return the graph of the pixels and their eight neighbors, with the length of each step."""
    from scipy.sparse import coo_array

    height, width = ink.shape
    number = np.arange(ink.size).reshape(ink.shape)
    weight = np.where(ink, 1.0, _PAPER) * (1 + _RIGHT * np.arange(width) / width)
    starts, ends, lengths = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = np.s_[: height - down, max(-right, 0) : width - max(right, 0)]
        there = np.s_[down:, max(right, 0) : width + min(right, 0)]
        starts.append(number[here].ravel())
        ends.append(number[there].ravel())
        length = np.hypot(down, right) * (weight[here] + weight[there]) / 2
        lengths.append(length.ravel())
    one, other, length = map(np.concatenate, (starts, ends, lengths))
    both = np.r_[one, other], np.r_[other, one]
    return coo_array((np.r_[length, length], both), shape=(ink.size, ink.size)).tocsr()
