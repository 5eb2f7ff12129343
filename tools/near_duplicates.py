"""Measure how well near-duplicates are found, on real photographs, faces and handwriting.

For the photographs that scikit-image and scikit-learn bring along, and for pieces of them that do
not overlap: the share of edited copies that are found (recall), and of what is found, the share
that is such a copy (precision). Faces in one pose and the demo's handwritten digits look alike by
their nature: of them, how many pairs are found though none is a copy. Prints a Markdown table.

    python tools/near_duplicates.py
"""

import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import skimage
import sklearn
from PIL import Image, ImageEnhance

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from cia.digits import prepare  # noqa: E402
from cia.importing.near_duplicates import SIDE, find_pairs  # noqa: E402

FOLDERS = (
    Path(skimage.__file__).parent / "data",
    Path(sklearn.__file__).parent / "datasets" / "images",
)
NO_PHOTOGRAPHS = {"chessboard_GRAY", "chessboard_RGB", "color", "horse", "logo", "phantom"}
TWICE = {"motorcycle_right"}
"""The same motorcycle from a hand's breadth to the right."""
PIECE = 200
"""Pixels of a piece's sides."""


def photographs() -> dict[str, Image.Image]:
    """Return the photographs and scans by name."""
    paths = [path for folder in FOLDERS for path in folder.glob("*.[pj][np]g")]
    left_out = NO_PHOTOGRAPHS | TWICE
    return {p.stem: Image.open(p).convert("RGB") for p in sorted(paths) if p.stem not in left_out}


def pieces() -> dict[str, Image.Image]:
    """Return pieces of them."""
    return {
        f"{name} at {x}, {y}": image.crop((x, y, x + PIECE, y + PIECE))
        for name, image in photographs().items()
        for y in range(0, image.height - PIECE + 1, PIECE)
        for x in range(0, image.width - PIECE + 1, PIECE)
    }


def faces() -> Iterator[Image.Image]:
    """Yield a hundred faces, aligned, of Labeled Faces in the Wild."""
    for face in np.load(FOLDERS[0] / "lfw_subset.npy")[:100]:
        yield Image.fromarray((face * 255).astype(np.uint8)).resize((100, 100))


def digits() -> dict[str, list[Image.Image]]:
    """Return pictures of the demo's two datasets, by a name for people."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for kind in ("digits_scenes", "digits"):
            prepare(Path(folder, kind), kind, {"train": 200}, 0)
            paths = sorted(Path(folder, kind, "train", "images").iterdir())
            name = f"200 pictures of the demo's {kind}"
            found[name] = [Image.open(path).convert("RGB") for path in paths]
        return found


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    size = round(image.width * factor), round(image.height * factor)
    return image.resize(size, Image.Resampling.LANCZOS)


def _cropped(image: Image.Image, left: float, top: float, right: float, bottom: float):
    width, height = image.size
    sides = left * width, top * height, (1 - right) * width, (1 - bottom) * height
    return image.crop(tuple(map(round, sides)))


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda image: _scaled(image, 0.5),
    "one and a half times the size": lambda image: _scaled(image, 1.5),
    "JPEG, quality 30": lambda image: _jpeg(image, 30),
    "cropped by 2 % on each side": lambda image: _cropped(image, 0.02, 0.02, 0.02, 0.02),
    "cropped by 5 % on each side": lambda image: _cropped(image, 0.05, 0.05, 0.05, 0.05),
    "cropped by 5 % at a corner": lambda image: _cropped(image, 0.05, 0.05, 0, 0),
    "brightness 70 %": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "brightness 120 %": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "gray": lambda image: image.convert("L").convert("RGB"),
    "cropped by 3 %, half the size, brighter, JPEG 50": lambda image: _jpeg(
        ImageEnhance.Brightness(_scaled(_cropped(image, 0.03, 0.03, 0, 0), 0.5)).enhance(1.1), 50
    ),
}


def thumbnails(images) -> np.ndarray:
    """Return thumbnails as `take_thumbnails` does of files."""
    size = SIDE, SIDE
    return np.stack([i.convert("L").resize(size, Image.Resampling.BOX) for i in images])


def measure(images: list[Image.Image], edit: Callable) -> tuple[float, float]:
    """Return recall and precision of the pairs of pictures with their edited copies."""
    count = len(images)
    found = find_pairs(np.concatenate([thumbnails(images), thumbnails(map(edit, images))]))
    right = sum(pair.second == pair.first + count for pair in found)
    return right / count, right / max(len(found), 1)


def main() -> None:
    start = time.process_time()
    sets = {"photographs": list(photographs().values()), "pieces": list(pieces().values())}
    heads = [
        f"{len(images)} {name}: {what}"
        for name, images in sets.items()
        for what in ("recall", "precision")
    ]
    print("| edit | " + " | ".join(heads) + " |")
    print("|---|" + "---:|" * len(heads))
    for name, edit in EDITS.items():
        cells = [f"{value:.3f}" for images in sets.values() for value in measure(images, edit)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print()
    for name, images in {"100 faces in one pose": faces(), **digits()}.items():
        print(f"{name}: {len(find_pairs(thumbnails(images)))} pairs")
    print(f"{time.process_time() - start:.0f} s of one core")


if __name__ == "__main__":
    main()
