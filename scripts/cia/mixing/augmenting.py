"""Classical augmentation, the control that synthetic images have to beat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from cia import draws
from cia.files import digest_file
from cia.images import load_image, save_png
from cia.labels.reading import read_objects, write_objects
from cia.shares import count_of_ratio

_LEAST_SIDE, _LEAST_SHARE = 2.0, 0.1
"""What must be left of a moved box, in pixels and as a share of its area, for it to count as in the
picture; as in ultralytics' own augmentation."""

_ANGLES = np.linspace(0, 2 * np.pi, 64, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


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
    count = count_of_ratio(settings["ratio"], len(pictures))
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
    objects = read_objects(boxes, (width, height))
    ellipses = [_ellipse(box) for _, box in objects]
    sample = {
        "image": tv_tensors.Image(torch.from_numpy(pixels.copy()).permute(2, 0, 1)),
        "points": tv_tensors.KeyPoints(
            np.array(ellipses, np.float32).reshape(-1, len(_CIRCLE), 2), canvas_size=(height, width)
        ),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draws.number("cia-classical", *key, size=8, byteorder="little") >> 1)
        moved = _transform(settings, _border_color(pixels))(sample)
    boxes = [_box_inside(points, (width, height)) for points in moved["points"].numpy()]
    left = [(index, box) for (index, _), box in zip(objects, boxes, strict=True) if box]
    lines = write_objects(left, (width, height))
    return moved["image"].permute(1, 2, 0).contiguous().numpy(), lines


class _HorizontalFlip(v2.RandomHorizontalFlip):
    """Mirrors points as edges between pixels, x to W - x, as the affine transform takes them.

    torchvision's mirrors them as pixels' indices, x to W - 1 - x.
    """

    def transform(self, value: Any, params: dict[str, Any]) -> Any:
        mirrored = super().transform(value, params)
        if not isinstance(value, tv_tensors.KeyPoints):
            return mirrored
        return tv_tensors.wrap(mirrored + torch.tensor([1.0, 0.0]), like=mirrored)


def _transform(settings: dict, fill: list[float]) -> v2.Transform:
    jitter = (settings[name] for name in ("brightness", "contrast", "saturation", "hue"))
    return v2.Compose(
        [
            _HorizontalFlip(settings["flip"]),
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


def _ellipse(box: Sequence[float]) -> np.ndarray:
    """Return points on the ellipse inside a box, shape (points, 2)."""
    low, high = np.array(box).reshape(2, 2)
    return (low + high) / 2 + (high - low) / 2 * _CIRCLE


def _box_inside(points: np.ndarray, size: tuple[int, int]) -> tuple[float, ...] | None:
    """Return the box around points as far as it is in the picture; None if too little of it is."""
    ends = np.stack([points.min(axis=0), points.max(axis=0)]).astype(np.float64)
    low, high = np.clip(ends, 0, size)
    left, whole = high - low, ends[1] - ends[0]
    if (left < _LEAST_SIDE).any() or left.prod() < _LEAST_SHARE * whole.prod():
        return None
    return (*low.tolist(), *high.tolist())


def _border_color(pixels: np.ndarray) -> list[float]:
    border = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return np.median(np.concatenate(border), axis=0).tolist()
