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

_LEAST_SIDE = 1.0
"""A box that is left with less than this many pixels is out of the picture."""


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
    classes, corners = _read_boxes(boxes, width, height)
    sample = {
        "image": tv_tensors.Image(torch.from_numpy(pixels.copy()).permute(2, 0, 1)),
        "boxes": tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(height, width)),
        "labels": torch.tensor(classes, dtype=torch.int64),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(key))
        moved = _transform(settings, _border_color(pixels))(sample)
    lines = _write_boxes(moved["labels"].tolist(), moved["boxes"].numpy(), width, height)
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
            v2.ClampBoundingBoxes(),
            v2.SanitizeBoundingBoxes(
                min_size=_LEAST_SIDE, labels_getter=lambda sample: sample["labels"]
            ),
        ]
    )


def _read_boxes(boxes: str, width: int, height: int) -> tuple[list[int], np.ndarray]:
    rows = [line.split() for line in boxes.splitlines()]
    values = np.array([row[1:5] for row in rows], np.float32).reshape(-1, 4)
    centers, halves = values[:, :2], values[:, 2:] / 2
    corners = np.hstack([centers - halves, centers + halves])
    scale = np.array([width, height, width, height], np.float32)
    return [int(row[0]) for row in rows], corners * scale


def _write_boxes(classes: list[int], corners: np.ndarray, width: int, height: int) -> str:
    scale = np.array([width, height, width, height], np.float64)
    left, top, right, bottom = (corners.reshape(-1, 4) / scale).T
    values = np.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], axis=1)
    lines = (
        " ".join([str(class_), *(f"{value:.6f}" for value in row)])
        for class_, row in zip(classes, values, strict=True)
    )
    return "\n".join(lines)


def _border_color(pixels: np.ndarray) -> list[float]:
    border = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return np.median(np.concatenate(border), axis=0).tolist()


def _seed(key: tuple) -> int:
    text = "\0".join(map(str, key)).encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(text, digest_size=8, person=b"cia-classical").digest()
    return int.from_bytes(digest, "little") >> 1
