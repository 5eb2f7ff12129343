"""Pictures of real handwriting: scikit-learn's scans of digits, in ink on paper.

Alpaydin and Kaynak's "Optical Recognition of Handwritten Digits" (1998), as bundled with
scikit-learn (`load_digits`: 1797 scans of 8x8). A *scene* is a 64x64 color picture of one to three
digits in named inks on a named, textured paper, with a caption and of each digit a box, a mask
(the ink itself) and keypoints (`STROKE`). Handwriting is split before anything is drawn, so that no
scan appears in two splits or in what trains the embedded models.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cia import draws
from cia.errors import UserError
from cia.files import digest_file, write_text
from cia.images import save_png
from cia.labels.masks import trace
from cia.labels.objects import Object, object_line
from cia.strokes import stroke_points
from cia.tables import read_table, write_table

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
INKS = {
    "black": (28, 28, 30),
    "red": (200, 30, 35),
    "blue": (35, 60, 200),
    "green": (20, 125, 50),
    "purple": (125, 40, 160),
    "orange": (220, 100, 10),
}
PAPERS = {
    "white": (244, 244, 241),
    "yellow": (250, 230, 120),
    "pink": (250, 190, 205),
    "gray": (196, 196, 200),
    "cyan": (165, 228, 238),
}
"""Ink and paper names with their mean colors (RGB)."""

SIDE = 64
"""Width and height of a picture, in pixels."""

MIN_STEP = 6
"""Pixels between the centers of neighbors, since captions name digits from left to right."""
POOLS = {"generator": 0.4, "train": 0.3, "val": 0.1, "test": 0.2}
"""The share of each class's scans in each pool, in the order in which they are dealt."""

STROKE = ("upper end", "middle", "lower end")
"""Keypoints of a digit, in order, as `cia.strokes` finds them on its scan; each `x y v`."""
_STROKE_SIDE = 40
"""Pixels of the scan, enlarged, on which they are found, whatever the digit's size."""
_INK = 0.5
"""Coverage from which on a pixel counts as ink."""

LARGEST_DIGITS = {"digits_scenes": 3, "digits": 1}
"""Kinds of demo dataset, and how many digits their pictures hold at most."""


class Glyph(NamedTuple):
    """A scan enlarged to ink coverage, and cut to its ink.

    `alpha` is float32 (h, w) in [0, 1]; `side` the pixels of the whole scan (with a border, as
    `_enlarged` gives it), and `cut` the column and row of it at which `alpha` begins.
    """

    scan: int
    alpha: np.ndarray
    side: int
    cut: tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """One picture and what is in it.

    Attributes
    ----------
    image : numpy.ndarray
        uint8 RGB, shape (64, 64, 3).
    digits, inks : tuple
        Classes (0 to 9) and ink names, from left to right.
    boxes : numpy.ndarray
        float64, shape (n, 4): cx, cy, w, h as shares of the side, in the same order.
    paper : str
    glyphs, corners : tuple
        Each digit's ink, and the column and row of the picture at which it begins.
    """

    image: np.ndarray
    digits: tuple
    inks: tuple
    boxes: np.ndarray
    paper: str
    glyphs: tuple[Glyph, ...]
    corners: tuple[tuple[int, int], ...]

    @property
    def scans(self) -> tuple[int, ...]:
        """Index in `load_digits` of each digit's scan."""
        return tuple(glyph.scan for glyph in self.glyphs)

    def mask(self, number: int) -> np.ndarray:
        """Return which pixels are at least half a digit's ink, bool (64, 64)."""
        (left, top), alpha = self.corners[number], self.glyphs[number].alpha
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        mask[top : top + alpha.shape[0], left : left + alpha.shape[1]] = alpha >= _INK
        return mask

    def keypoints(self, number: int) -> np.ndarray:
        """Return a digit's keypoints, all visible: float64 (3, 3), x and y as shares, and 2."""
        glyph = self.glyphs[number]
        points = _stroke(glyph.scan) * glyph.side - glyph.cut + self.corners[number]
        return np.column_stack([points / SIDE, np.full(len(points), 2.0)])

    @property
    def caption(self) -> str:
        """A sentence that names inks and digits from left to right, and the paper."""
        pairs = zip(self.inks, self.digits, strict=True)
        parts = [f"{_article(ink)} {ink} {CLASSES[digit]}" for ink, digit in pairs]
        listed = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
        return f"{listed} on {self.paper} paper"


@cache
def _scans() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return (digits.images / 16.0).astype(np.float32), digits.target


@cache
def pool(name: str) -> tuple[int, ...]:
    """Return the indices of the scans of one pool, the same share of every class.

    Parameters
    ----------
    name : {"generator", "train", "val", "test"}
        `generator` is for the embedded models, the others for the demo datasets' splits.
    """
    _, target = _scans()
    chosen: list[int] = []
    names = list(POOLS)
    edges = np.cumsum([0.0, *POOLS.values()])
    start, end = edges[names.index(name)], edges[names.index(name) + 1]
    for digit in range(10):
        order = np.random.default_rng(1998).permutation(np.flatnonzero(target == digit))
        chosen += order[round(start * len(order)) : round(end * len(order))].tolist()
    return tuple(sorted(chosen))


def prepare(
    folder: Path, kind: str, counts: dict[str, int], seed: int, task: str | None = None
) -> None:
    """Write a demo dataset: pictures, labels, captions, and a list of them per split.

    Each picture depends on the seed, its split and its number alone, so another count changes no
    other picture. Files of an earlier preparation that are not part of this one are removed.

    Parameters
    ----------
    folder : Path
        The dataset's folder; each split gets images/, labels/, captions/ and prepared.csv.
    kind : {"digits_scenes", "digits"}
        Scenes with YOLO labels, or single digits whose label is their class index.
    counts : dict
        Number of pictures for "train", "val" and "test".
    task : {"segmentation", "pose"}, optional
        Whose labels to write for the same pictures: masks or keypoints.
    """
    for split, count in counts.items():
        _prepare_split(folder / split, kind, split, count, seed, task)


def _prepare_split(
    folder: Path, kind: str, split: str, count: int, seed: int, task: str | None
) -> None:
    listing = folder / "prepared.csv"
    earlier = read_table(listing)["image"].tolist() if listing.exists() else []
    foreign = {path.name for path in (folder / "images").glob("*")} - set(earlier)
    if foreign and not earlier:
        raise UserError(
            f"{folder / 'images'} holds {len(foreign)} pictures that are not the demo's "
            f"({min(foreign)}, ...). Give your dataset in the config another name than one with "
            "`prepare`, or move its folder away"
        )
    rows = []
    for number in range(count):
        scene = draw_scene(scene_rng(seed, kind, split, number), pool(split), LARGEST_DIGITS[kind])
        rows.append(_write_scene(folder, f"{number:05d}", scene, kind, task))
    for image in set(earlier) - {row["image"] for row in rows}:
        for part, suffix in (("images", ".png"), ("labels", ".txt"), ("captions", ".txt")):
            (folder / part / image).with_suffix(suffix).unlink(missing_ok=True)
    write_table(listing, rows)


def _write_scene(folder: Path, name: str, scene: Scene, kind: str, task: str | None) -> dict:
    image = folder / "images" / f"{name}.png"
    save_png(image, scene.image)
    label = _label(scene, task) if task else _plain_label(scene, kind)
    write_text(folder / "labels" / f"{name}.txt", label + "\n")
    write_text(folder / "captions" / f"{name}.txt", scene.caption + "\n")
    return {"image": image.name, "sha256": digest_file(image)}


def _plain_label(scene: Scene, kind: str) -> str:
    boxes = zip(scene.digits, scene.boxes.tolist(), strict=True)
    lines = [" ".join([str(digit), *(f"{value:.6f}" for value in box)]) for digit, box in boxes]
    return str(scene.digits[0]) if kind == "digits" else "\n".join(lines)


def _label(scene: Scene, task: str) -> str:
    lines = []
    for number, (digit, (cx, cy, width, height)) in enumerate(
        zip(scene.digits, scene.boxes.tolist(), strict=True)
    ):
        box = cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
        polygon = trace(scene.mask(number)) if task == "segmentation" else None
        keypoints = scene.keypoints(number) if task == "pose" else None
        lines.append(object_line(Object(str(digit), box, polygon, keypoints), task))
    return "\n".join(lines)


def draw_scene(
    rng: np.random.Generator,
    scans: tuple[int, ...],
    most: int = 3,
    papers: dict[str, tuple] = PAPERS,
    inks: dict[str, tuple] = INKS,
) -> Scene:
    """Draw a scene of one to `most` digits, whose handwriting is from the given scans."""
    images, target = _scans()
    paper = str(rng.choice(list(papers)))
    canvas = _paper(rng, papers[paper])
    glyphs, corners = _layout(rng, images, scans, int(rng.integers(1, most + 1)))
    placed = []
    for glyph, (left, top) in zip(glyphs, corners, strict=True):
        alpha = glyph.alpha
        ink = str(rng.choice(list(inks)))
        color = np.array(inks[ink]) + rng.normal(0, 7, 3)
        height, width = alpha.shape
        area = canvas[top : top + height, left : left + width]
        area[:] = area * (1 - alpha[..., None]) + color * alpha[..., None]
        placed.append((left + width / 2, glyph, ink, (left, top)))
    placed.sort(key=lambda item: item[0])
    return Scene(
        image=np.clip(np.round(canvas), 0, 255).astype(np.uint8),
        digits=tuple(int(target[glyph.scan]) for _, glyph, _, _ in placed),
        inks=tuple(ink for _, _, ink, _ in placed),
        boxes=np.array([_tight_box(glyph.alpha, *corner) for _, glyph, _, corner in placed]),
        paper=paper,
        glyphs=tuple(glyph for _, glyph, _, _ in placed),
        corners=tuple(corner for _, _, _, corner in placed),
    )


def _paper(rng: np.random.Generator, color: tuple) -> np.ndarray:
    """Paper with a soft cloudiness and a fine grain, float (64, 64, 3)."""
    base = np.array(color, dtype=np.float64) + rng.normal(0, 3, 3)
    clouds = _resize(rng.normal(0, 1, (5, 5)).astype(np.float32), (SIDE, SIDE))
    grain = rng.normal(0, 1, (SIDE, SIDE))
    return base + 5.0 * clouds[..., None] + 2.0 * grain[..., None]


def _layout(rng, images, scans, count) -> tuple[list, list]:
    """Choose scans, sizes and places: boxes keep apart, and left to right is plain to see."""
    while True:
        glyphs = [_glyph(rng, images, int(rng.choice(scans))) for _ in range(count)]
        places: list[tuple[int, int]] = []
        shapes = [glyph.alpha.shape for glyph in glyphs]
        for shape in shapes:
            place = _free_place(rng, shape, places, shapes)
            if place is None:
                break
            places.append(place)
        centers = sorted(
            left + width / 2 for (_, width), (left, _) in zip(shapes, places, strict=False)
        )
        if len(places) == count and np.all(np.diff(centers) >= MIN_STEP):
            return glyphs, places


def _glyph(rng, images, index: int) -> Glyph:
    """A scan 22 to 30 pixels high."""
    side = int(rng.integers(22, 31))
    side += side // 4
    alpha = _enlarged(images[index], side)
    rows, columns = np.flatnonzero(alpha.max(1) > 0.02), np.flatnonzero(alpha.max(0) > 0.02)
    cut = alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Glyph(index, cut, side, (int(columns[0]), int(rows[0])))


def _enlarged(scan: np.ndarray, side: int) -> np.ndarray:
    """A scan, with a border, as smooth ink coverage in [0, 1] of so many pixels."""
    return np.clip((_resize(np.pad(scan, 1), (side, side)) - 0.30) / 0.30, 0, 1)


@cache
def _stroke(index: int) -> np.ndarray:
    """Keypoints of a scan, float64 (3, 2), as shares of it and its border."""
    return stroke_points(_enlarged(_scans()[0][index], _STROKE_SIDE) >= _INK)


def _free_place(rng, shape, places, shapes) -> tuple[int, int] | None:
    height, width = shape
    for _ in range(40):
        left = int(rng.integers(1, SIDE - width))
        top = int(rng.integers(1, SIDE - height))
        apart = all(
            left + width + 2 <= other_left
            or other_left + other[1] + 2 <= left
            or top + height + 2 <= other_top
            or other_top + other[0] + 2 <= top
            for (other_left, other_top), other in zip(places, shapes, strict=False)
        )
        if apart:
            return left, top
    return None


def _tight_box(alpha, left, top) -> tuple[float, float, float, float]:
    """The box of what is at least half ink: cx, cy, w, h as shares of the side."""
    rows, columns = np.flatnonzero(alpha.max(1) >= 0.5), np.flatnonzero(alpha.max(0) >= 0.5)
    x0, x1 = left + columns[0], left + columns[-1] + 1
    y0, y1 = top + rows[0], top + rows[-1] + 1
    return ((x0 + x1) / 2 / SIDE, (y0 + y1) / 2 / SIDE, (x1 - x0) / SIDE, (y1 - y0) / SIDE)


def _resize(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(array, "F").resize(size[::-1], Image.Resampling.BICUBIC))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def scene_rng(*key) -> np.random.Generator:
    """A generator that depends on the key alone."""
    return np.random.default_rng(draws.number("", "/".join(map(str, key)), size=8))
