"""Classical augmentation, the control that synthetic images have to beat."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from cia.files import digest_file
from cia.images import load_image, save_png

_LEAST_SIDE, _LEAST_SHARE = 2.0, 0.1
"""What must be left of a moved box, in pixels and as a share of its area, for it to count as in the
picture; as in ultralytics' own augmentation."""

_CIRCLE = np.linspace(0, 2 * np.pi, 64, endpoint=False)


def augment_pictures(
    pictures: pd.DataFrame, settings: dict, task: str, seed: int, folder: Path
) -> pd.DataFrame:
    """Write augmented copies of pictures, by torchvision's transforms.

    Each copy depends on the seed, its source and its number alone.

    Parameters
    ----------
    pictures : pandas.DataFrame
        Labeled pictures: id, image, label.
    settings : dict
        `classical` of an entry of the config's `mixes`: ratio, augmentation.
    task : str
        `detection`, whose boxes move along, or `classification`.
    seed : int
    folder : Path
        Where the PNGs go.

    Returns
    -------
    pandas.DataFrame
        Columns id ({source}-{number}), image, label, sha256.
    """
    count = round(settings["ratio"] * len(pictures))
    rows = []
    for index in range(count):
        source = pictures.iloc[index % len(pictures)]
        number = index // len(pictures)
        name = f"{source.id}-{number}"
        boxes = source.label if task == "detection" else ""
        pixels, moved = augment(
            load_image(source.image), boxes, settings["augmentation"], (seed, source.id, number)
        )
        path = folder / f"{name}.png"
        save_png(path, pixels)
        label = moved if task == "detection" else source.label
        rows.append((name, str(path), label, digest_file(path)))
    return pd.DataFrame(rows, columns=["id", "image", "label", "sha256"])


def augment(pixels: np.ndarray, boxes: str, settings: dict, key: tuple) -> tuple[np.ndarray, str]:
    """Augment one picture with its boxes.

    A box follows the ellipse inside it: the box around a rotated box would be too large for
    most objects (Kalra et al.: Towards Rotation Invariance in Object Detection, 2021).

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 RGB, shape (height, width, 3).
    boxes : str
        YOLO lines (class cx cy w h, normalized); empty for none.
    settings : dict
        See config/schema/classical.yaml.
    key : tuple
        What the draw depends on.

    Returns
    -------
    pixels : numpy.ndarray
        Of the same shape. What comes in from outside has the median color of the border.
    boxes : str
        The moved boxes, cut at the border; those that have left the picture are dropped.
    """
    height, width = pixels.shape[:2]
    classes, ellipses = _read_ellipses(boxes, width, height)
    sample = {
        "image": tv_tensors.Image(torch.from_numpy(pixels.copy()).permute(2, 0, 1)),
        "points": tv_tensors.KeyPoints(ellipses, canvas_size=(height, width)),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(key))
        moved = _transform(settings, _border_color(pixels))(sample)
    lines = _write_boxes(classes, moved["points"].numpy(), width, height)
    return moved["image"].permute(1, 2, 0).contiguous().numpy(), lines


def _transform(settings: dict, fill: list[float]) -> v2.Transform:
    jitter = (settings[name] for name in ("brightness", "contrast", "saturation", "hue"))
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(settings["flip"]),
            v2.RandomAffine(
                settings["rotation"],
                translate=(settings["translate"],) * 2,
                scale=tuple(settings["scale"]),
                shear=settings["shear"],
                interpolation=v2.InterpolationMode.BILINEAR,
                fill=fill,
            ),
            v2.ColorJitter(*jitter),
        ]
    )


def _read_ellipses(boxes: str, width: int, height: int) -> tuple[list[int], np.ndarray]:
    """Return classes, and points on the ellipse inside each box: float32, (boxes, points, 2)."""
    rows = [line.split() for line in boxes.splitlines()]
    values = np.array([row[1:5] for row in rows], np.float64).reshape(-1, 2, 2)
    centers, halves = values[:, 0], values[:, 1] / 2
    circle = np.stack([np.cos(_CIRCLE), np.sin(_CIRCLE)], axis=1)
    points = (centers[:, None] + halves[:, None] * circle) * (width, height)
    return [int(row[0]) for row in rows], points.astype(np.float32)


def _write_boxes(classes: list[int], points: np.ndarray, width: int, height: int) -> str:
    size = np.array([width, height], np.float64)
    lines = []
    for class_, outline in zip(classes, points.astype(np.float64), strict=True):
        ends = np.stack([outline.min(axis=0), outline.max(axis=0)])
        low, high = np.clip(ends, 0, size)
        left, whole = high - low, ends[1] - ends[0]
        if (left < _LEAST_SIDE).any() or left.prod() < _LEAST_SHARE * whole.prod():
            continue
        box = np.concatenate([(low + high) / 2, left]) / np.tile(size, 2)
        lines.append(" ".join([str(class_), *(f"{value:.6f}" for value in box)]))
    return "\n".join(lines)


def _border_color(pixels: np.ndarray) -> list[float]:
    border = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return np.median(np.concatenate(border), axis=0).tolist()


def _seed(key: tuple) -> int:
    text = "\0".join(map(str, key)).encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(text, digest_size=8, person=b"cia-classical").digest()
    return int.from_bytes(digest, "little") >> 1
