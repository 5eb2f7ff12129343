"""Nearest neighbors among features, exact and in tiles: memory does not grow with n x m.

scikit-learn's search is about as fast (docs/benchmarks.md), but which of several equally near
points it names depends on the number of threads, and the last digits of its distances are others.
It has no search with a radius for each point, hence `tiles`.
"""

from collections.abc import Iterator

import numpy as np

_TILE = 1024
"""Rows of a tile: 8 MB of distances, and two tiles of features in float64."""


def squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return squared Euclidean distances in float64, shape (n, m), none below 0."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    # |x - y|^2 = |x|^2 - 2 x.y + |y|^2: one matrix product, where differences of all pairs would
    # take n m d numbers. Near 0 the sum cancels, and rounding alone can bring it below.
    distances = first @ second.T
    distances *= -2
    distances += np.einsum("ij,ij->i", first, first)[:, None]
    distances += np.einsum("ij,ij->i", second, second)
    return np.maximum(distances, 0, out=distances)


def tiles(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield squared distances tile by tile, with the rows and columns that each is of.

    Both sets are centered on the first's mean before, which costs nothing and keeps digits.
    """
    mean = first.mean(axis=0, dtype=np.float64)
    for rows in _slices(len(first)):
        block = first[rows] - mean
        for columns in _slices(len(second)):
            yield rows, columns, squared_distances(block, second[columns] - mean)


def neighbor_radii(points: np.ndarray, k: int) -> np.ndarray:
    """Return each point's distance to its k-th nearest other point.

    Parameters
    ----------
    points : numpy.ndarray
        Shape (n, d), n greater than k.
    k : int

    Returns
    -------
    numpy.ndarray
        float64, shape (n,).
    """
    mean = points.mean(axis=0, dtype=np.float64)
    nearest = np.full((len(points), k + 1), np.inf)  # a point is its own nearest
    parts = list(_slices(len(points)))
    for index, rows in enumerate(parts):
        block = points[rows] - mean
        for columns in parts[index:]:
            tile = squared_distances(block, points[columns] - mean)
            if rows == columns:
                np.fill_diagonal(tile, 0)
            nearest[rows] = _smallest(nearest[rows], tile, k + 1)
            if rows != columns:  # distances are symmetric: half the products do
                nearest[columns] = _smallest(nearest[columns], tile.T, k + 1)
    return np.sqrt(nearest.max(axis=1))


def nearest_points(
    queries: np.ndarray, points: np.ndarray, k: int, exclude_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return each query's k nearest points, nearest first.

    Parameters
    ----------
    queries, points : numpy.ndarray
        Shapes (m, d) and (n, d), n at least k (k + 1 with `exclude_self`).
    k : int
    exclude_self : bool
        The queries are the points: none is its own neighbor.

    Returns
    -------
    distances : numpy.ndarray
        float64, shape (m, k), exact to the last digits also near 0.
    indices : numpy.ndarray
        int64, shape (m, k), rows of `points`.
    """
    best = np.full((len(queries), k), np.inf)
    index = np.zeros((len(queries), k), np.int64)
    for rows, columns, tile in tiles(queries, points):
        if exclude_self and rows == columns:
            np.fill_diagonal(tile, np.inf)
        numbers = np.broadcast_to(np.arange(columns.start, columns.stop), tile.shape)
        joined = np.concatenate([best[rows], tile], axis=1)
        names = np.concatenate([index[rows], numbers], axis=1)
        chosen = np.argpartition(joined, k - 1, axis=1)[:, :k]
        best[rows] = np.take_along_axis(joined, chosen, axis=1)
        index[rows] = np.take_along_axis(names, chosen, axis=1)
    exact = np.stack([_distances(queries, points, column) for column in index.T], axis=1)
    order = np.lexsort((index, exact), axis=1)
    return np.take_along_axis(exact, order, axis=1), np.take_along_axis(index, order, axis=1)


def _distances(queries: np.ndarray, points: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the distance of each query to the point named, from the difference itself.

    The product form of `squared_distances` loses the digits of distances much smaller than the
    features, which are those of near-duplicates.
    """
    found = np.empty(len(queries))
    for rows in _slices(len(queries)):
        difference = queries[rows].astype(np.float64) - points[index[rows]]
        found[rows] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return found


def _smallest(kept: np.ndarray, coming: np.ndarray, k: int) -> np.ndarray:
    joined = np.concatenate([kept, coming], axis=1)
    return np.partition(joined, k - 1, axis=1)[:, :k]


def _slices(n: int) -> Iterator[slice]:
    for start in range(0, n, _TILE):
        yield slice(start, min(start + _TILE, n))
