"""Near-duplicates: pictures that were resized, compressed again, cropped a little or made brighter.

Two looks at small gray thumbnails. The first compares all pictures: the lowest frequencies of a
cosine transform, as in the perceptual hash pHash (Zauner, "Implementation and benchmarking of
perceptual image hash functions", 2010). They are compared as numbers: as bits, a picture cropped
by 5 % differs from itself by 18 of 64, and pictures of other things from each other by as few as 16
(`tools/near_duplicates.py`). Each picture's nearest ones are candidates.

The second look lays the thumbnails of two candidates over each other, by the method of Lucas and
Kanade ("An iterative image registration technique", IJCAI 1981) with a gain and an offset for
brightness, and correlates their details: what is left without a blurred copy. Scans on white paper,
X-rays and faces have the same large forms, but not the same details.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors

from cia.images import load_reduced
from cia.importing.splits import Unsplit
from cia.progress import Progress, track

SIDE = 64
"""Pixels of a thumbnail's sides."""

LEAST_LIKENESS = 0.55
"""Correlation of details from which on pictures are near-duplicates. Different photographs, faces
of the same pose among them, reach 0.39; see `tools/near_duplicates.py`."""

_LEAST_CORRELATION = 0.75
"""The same of the whole thumbnails, large forms included."""

_WORTH_A_TRY = 0.6
"""Correlation of thumbnails, laid over each other in a hurry, from which on more steps may help."""

_FREQUENCIES = 8
"""Lowest frequencies of each direction that describe a picture."""

_CROP = 0.035
"""Share of each side that a second description of a picture leaves out, to find a cropped copy."""

_NEIGHBORS = 8
"""Candidates for each picture (and each description) in each split."""

_FARTHEST = 1.0
"""Distance of the descriptions of candidates, at most: a correlation of 0.5."""

_LEAST_CONTRAST = 2.0
"""Standard deviation of the gray values, of 255, below which a picture shows nothing to compare."""

_HURRY, _ROUNDS = 4, 6
"""Steps of laying thumbnails over each other, before and after a look at whether it is worth it."""

_BATCH = 256
_SCALES, _SHIFTS = (0.8, 1.25), (-0.2, 0.2)
_LONGEST_STEP = 0.05


class Pair(NamedTuple):
    """Two pictures that are near-duplicates.

    Attributes
    ----------
    first, second : int
        Their places among the pictures, in order.
    likeness : float
        The correlation of their details, at most 1.
    """

    first: int
    second: int
    likeness: float


def take_thumbnails(paths: Sequence[str], threads: int = 1) -> np.ndarray:
    """Return a gray thumbnail of each picture, uint8, shape (pictures, SIDE, SIDE).

    Of one that can't be read it is black, which `find_pairs` leaves out.
    """
    thumbnails = np.zeros((len(paths), SIDE, SIDE), dtype=np.uint8)
    with ThreadPoolExecutor(threads) as pool:
        found = track(pool.map(_thumbnail, paths), len(paths), "pictures")
        for place, thumbnail in enumerate(found):
            if thumbnail is not None:
                thumbnails[place] = thumbnail
    return thumbnails


def find_pairs(
    thumbnails: np.ndarray, splits: Sequence[str] | None = None, threads: int = 1
) -> list[Pair]:
    """Find the near-duplicates among pictures.

    Of more than a few copies of one picture not every pair is listed, but each copy is in one.

    Parameters
    ----------
    thumbnails : numpy.ndarray
        See `take_thumbnails`.
    splits : sequence of str, optional
        The split of each picture. Copies are then looked for within each split and between each
        two, so that many copies in one split don't hide one in another.
    threads : int
        How many candidates to look at at a time.

    Returns
    -------
    list of Pair
        Sorted.
    """
    rows = np.flatnonzero([one.std() >= _LEAST_CONTRAST for one in thumbnails])
    if not len(rows):
        return []
    names = np.array(splits)[rows] if splits is not None else np.zeros(len(rows))
    parts = [np.flatnonzero(names == name) for name in np.unique(names)]
    described = _describe(thumbnails[rows])
    found = [np.zeros((0, 2), dtype=np.int64)]
    for one, other in combinations_with_replacement(parts, 2):
        found.append(_candidates(described, one, other))
        if one is not other:
            found.append(_candidates(described, other, one))
    candidates = rows[np.unique(np.sort(np.concatenate(found), axis=1), axis=0)]
    progress = Progress(len(candidates), "candidate pairs")
    pairs: list[Pair] = []
    with ThreadPoolExecutor(threads) as pool:
        for batch, found in pool.map(
            lambda b: (b, _confirmed(thumbnails, b)), _batches(candidates)
        ):
            pairs += found
            progress.add(len(batch))
    return pairs


def joined(pictures: Sequence[Unsplit], pairs: Sequence[Pair]) -> list[Unsplit]:
    """Return the pictures with near-duplicates, and the groups that these are of, as one group.

    Parameters
    ----------
    pictures : sequence of Unsplit
    pairs : sequence of Pair
        Of their places.
    """
    first_of: dict[str, int] = {}
    edges = [(pair.first, pair.second) for pair in pairs]
    for place, picture in enumerate(pictures):
        if picture.group:
            edges.append((first_of.setdefault(picture.group, place), place))
    if not edges:
        return list(pictures)
    ends = np.array(edges).T
    graph = coo_array((np.ones(len(edges)), ends), shape=(len(pictures),) * 2)
    _, labels = connected_components(graph, directed=False)
    members: dict[int, list[Unsplit]] = {}
    for picture, label in zip(pictures, labels, strict=True):
        members.setdefault(label, []).append(picture)
    groups = {label: _joint_group(some) for label, some in members.items()}
    return [
        picture._replace(group=groups[label])
        for picture, label in zip(pictures, labels, strict=True)
    ]


def _joint_group(members: Sequence[Unsplit]) -> str:
    groups = {picture.group for picture in members}
    if len(members) == 1 or (len(groups) == 1 and groups != {""}):
        return members[0].group
    return f"near-duplicates of {min(picture.name for picture in members)}"


def _thumbnail(path: str) -> np.ndarray | None:
    try:
        picture = Image.fromarray(load_reduced(path, 2 * SIDE))
    except OSError:
        return None  # a scan says why
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def _describe(thumbnails: np.ndarray) -> list[np.ndarray]:
    """Return two descriptions of each: of all of it, and of its middle; float32, of length 1."""
    middle = _windows(np.array([[1 - 2 * _CROP, _CROP]]), SIDE)[0][0]
    found = []
    for window in (np.eye(SIDE, dtype=np.float32), middle):
        waves = np.concatenate([_waves(window, some) for some in _batches(thumbnails)])
        lengths = np.linalg.norm(waves, axis=1, keepdims=True)
        found.append(waves / np.maximum(lengths, 1e-6))
    return found


def _waves(window: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Return the lowest frequencies of windows of thumbnails, but for the brightness."""
    seen = window @ thumbnails.astype(np.float32) @ window.T
    lowest = dctn(seen, axes=(1, 2), norm="ortho")[:, :_FREQUENCIES, :_FREQUENCIES]
    return lowest.reshape(len(thumbnails), -1)[:, 1:]


def _candidates(described: Sequence[np.ndarray], one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return pairs of rows, (n, 2): pictures of one part, and the nearest ones of the other."""
    if not len(one) or not len(other):
        return np.zeros((0, 2), dtype=np.int64)
    count = min(_NEIGHBORS + (one is other), len(other))
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(described[0][other])
    found = []
    for description in described:
        distances, places = search.kneighbors(description[one])
        near = distances <= _FARTHEST
        pairs = np.stack([np.repeat(one, near.sum(axis=1)), other[places[near]]], axis=1)
        found.append(pairs[pairs[:, 0] != pairs[:, 1]])
    return np.concatenate(found)


def _confirmed(thumbnails: np.ndarray, pairs: np.ndarray) -> list[Pair]:
    """Return those of some pairs of rows, (n, 2), that are near-duplicates."""
    first, second = thumbnails[pairs.T].astype(np.float32)
    small_first, small_second = _halved(first), _halved(second)
    places = np.tile([1.0, 0.0, 1.0, 0.0], (len(pairs), 1))
    places = _laid_over(small_first, small_second, places, _HURRY)
    hopeful = _correlation(*_overlap(small_first, small_second, places)) >= _WORTH_A_TRY
    first, second, pairs = first[hopeful], second[hopeful], pairs[hopeful]
    places = _laid_over(small_first[hopeful], small_second[hopeful], places[hopeful], _ROUNDS)
    over, under, both = _overlap(first, second, places)
    whole = _correlation(over, under, both)
    likeness = _correlation(_details(over), _details(under), both)
    alike = np.flatnonzero((whole >= _LEAST_CORRELATION) & (likeness >= LEAST_LIKENESS))
    return [Pair(*pairs[row].tolist(), round(float(likeness[row]), 3)) for row in alike]


def _halved(pictures: np.ndarray) -> np.ndarray:
    half = SIDE // 2
    small = pictures.reshape(len(pictures), half, 2, half, 2).mean(axis=(2, 4))
    return gaussian_filter(small, (0, 1, 1))


def _details(pictures: np.ndarray) -> np.ndarray:
    blur = SIDE / 26
    return pictures - gaussian_filter(pictures, (0, blur, blur))


def _windows(places: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return matrices that resample lines linearly, and which of the results lie inside.

    Parameters
    ----------
    places : numpy.ndarray
        Shape (n, 2): scale and shift, in shares of a side, from a line's pixels to where it is
        read.

    Returns
    -------
    matrices : numpy.ndarray
        float32, shape (n, side, side).
    inside : numpy.ndarray
        bool, shape (n, side).
    """
    centers = (np.arange(side) + 0.5) / side
    read = (places[:, :1] * centers + places[:, 1:]) * side - 0.5
    pixels = np.arange(side, dtype=np.float32)
    nearness = 1 - np.abs(read.astype(np.float32)[:, :, None] - pixels)
    return np.maximum(nearness, 0), (read >= 0) & (read <= side - 1)


def _overlap(
    first: np.ndarray, second: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first pictures resampled as second ones, these, and which pixels both have."""
    across, inside_across = _windows(places[:, :2], first.shape[1])
    down, inside_down = _windows(places[:, 2:], first.shape[1])
    both = inside_down[:, :, None] & inside_across[:, None, :]
    return down @ first @ across.transpose(0, 2, 1), second, both.astype(np.float32)


def _laid_over(
    first: np.ndarray, second: np.ndarray, places: np.ndarray, rounds: int
) -> np.ndarray:
    """Return where first pictures, resampled, match second ones best: steps of Gauss and Newton.

    Parameters
    ----------
    first, second : numpy.ndarray
        float32, shape (n, side, side).
    places : numpy.ndarray
        float64, shape (n, 4), from where to start: scale and shift across, scale and shift down.
    rounds : int
        Number of steps.
    """
    if not len(first):
        return places
    side = first.shape[1]
    centers = ((np.arange(side) + 0.5) / side).astype(np.float32)
    slopes_down, slopes_across = (np.gradient(first, axis=axis) * side for axis in (1, 2))
    for _ in range(rounds):
        over, _, both = _overlap(first, second, places)
        across, down = (_overlap(s, second, places)[0] for s in (slopes_across, slopes_down))
        columns = [
            across * centers,
            across,
            down * centers[:, None],
            down,
            over,
            np.ones_like(over),
        ]
        model = (np.stack(columns, axis=-1) * both[..., None]).reshape(len(first), -1, 6)
        target = (second * both).reshape(len(first), -1, 1)
        square = model.transpose(0, 2, 1) @ model
        ridge = 1e-4 / 6 * np.trace(square, axis1=1, axis2=2)  # for pictures with stripes alone
        square += np.maximum(ridge, 1e-6)[:, None, None] * np.eye(6, dtype=np.float32)
        solved = np.linalg.solve(square, model.transpose(0, 2, 1) @ target)[..., 0]
        gain = np.where(np.abs(solved[:, 4]) < 0.1, 1, solved[:, 4])
        step = np.clip(solved[:, :4] / gain[:, None], -_LONGEST_STEP, _LONGEST_STEP)
        places = places + step
        places[:, ::2] = np.clip(places[:, ::2], *_SCALES)
        places[:, 1::2] = np.clip(places[:, 1::2], *_SHIFTS)
    return places


def _correlation(first: np.ndarray, second: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of the pixels that two pictures both have, shape (n,)."""
    counts = np.maximum(both.sum(axis=(1, 2)), 1)
    centered = []
    for pictures in (first, second):
        means = (pictures * both).sum(axis=(1, 2)) / counts
        centered.append((pictures - means[:, None, None]) * both)
    one, other = centered
    sizes = (one * one).sum(axis=(1, 2)) * (other * other).sum(axis=(1, 2))
    return (one * other).sum(axis=(1, 2)) / np.maximum(np.sqrt(sizes), 1e-6)


def _batches(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]
