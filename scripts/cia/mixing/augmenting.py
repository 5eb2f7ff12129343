"""Classical augmentation, the control that synthetic images have to beat."""

from collections.abc import Mapping, Sequence
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
from cia.labels.objects import Object, box_around
from cia.labels.shapes import (
    keypoints_inside,
    label_of_pixels,
    objects_in_pixels,
    polygon_inside,
)
from cia.shares import count_of_ratio

_LEAST_SIDE, _LEAST_SHARE = 2.0, 0.1
"""What must be left of a moved box, in pixels and as a share of its area (of a polygon: its box's
sides, and the polygon's area), for it to count as in the picture; as in ultralytics' own
augmentation."""

_CORNER = np.array([[0.0, 0.0], [64.0, 0.0], [0.0, 64.0]])
"""Points that turn the other way round when they are mirrored."""

_ANGLES = np.linspace(0, 2 * np.pi, 64, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def augment_pictures(
    pictures: pd.DataFrame,
    settings: dict,
    task: str,
    seed: int,
    folder: Path,
    keypoints: Mapping | None = None,
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
        Of the dataset: but for a classification, its objects move along.
    seed : int
    folder : Path
        Where the PNGs go.
    keypoints : mapping, optional
        Of a pose: kpt_shape, and flip_idx if there is one.

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
        key = seed, source.id, number
        pixels, label = augment(
            load_image(source.image), source.label, settings["augmentation"], key, task, keypoints
        )
        path = folder / f"{name}.png"
        save_png(path, pixels)
        rows.append((name, str(path), label, digest_file(path)))
    return pd.DataFrame(rows, columns=["id", "image", "label", "sha256"])


def augment(
    pixels: np.ndarray,
    label: str,
    settings: dict,
    key: tuple,
    task: str = "detection",
    keypoints: Mapping | None = None,
) -> tuple[np.ndarray, str]:
    """Augment one picture with its objects.

    A box follows the ellipse inside it: the box around a rotated box would be too large for
    most objects (Kalra et al.: Towards Rotation Invariance in Object Detection, 2021). A polygon
    and keypoints follow by themselves.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 RGB, shape (height, width, 3).
    label : str
        A checked label of the task.
    settings : dict
        See config/schema/classical.yaml.
    key : tuple
        What the draw depends on.
    task : str
        Of the dataset.
    keypoints : mapping, optional
        Of a pose: kpt_shape, and flip_idx if there is one.

    Returns
    -------
    pixels : numpy.ndarray
        Of the same shape. What comes in from outside has the median color of the border.
    label : str
        The moved objects, cut at the border; those that have left the picture are dropped. That of
        a classification stays.
    """
    height, width = pixels.shape[:2]
    keypoints = keypoints or {}
    objects = []
    if task != "classification":
        objects = objects_in_pixels(label, (width, height), task, keypoints.get("kpt_shape"))
    ellipses = [_ellipse(one.box) for one in objects if one.polygon is None]
    sample = {
        "image": tv_tensors.Image(torch.from_numpy(pixels.copy()).permute(2, 0, 1)),
        "points": _points(np.array(ellipses).reshape(-1, len(_CIRCLE), 2), (width, height)),
        "shapes": [_points(points, (width, height)) for points in map(_shape, objects)],
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draws.number("cia-classical", *key, size=8, byteorder="little") >> 1)
        moved = _transform(settings, _border_color(pixels))(sample)
    augmented = moved["image"].permute(1, 2, 0).contiguous().numpy()
    if task == "classification":
        return augmented, label
    ellipses = iter(moved["points"].numpy())
    found = [
        _object_inside(
            one,
            shape.numpy().astype(np.float64),
            next(ellipses) if one.polygon is None else None,
            (width, height),
            keypoints.get("flip_idx"),
        )
        for one, shape in zip(objects, moved["shapes"], strict=True)
    ]
    return augmented, label_of_pixels(list(filter(None, found)), (width, height), task)


def _points(points: np.ndarray, size: tuple[int, int]) -> tv_tensors.KeyPoints:
    return tv_tensors.KeyPoints(np.asarray(points, np.float32), canvas_size=size[::-1])


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


def _shape(one: Object) -> np.ndarray:
    """Return what of an object moves by itself: a corner of a right angle, and its points."""
    points = one.polygon if one.polygon is not None else one.keypoints
    points = np.empty((0, 2)) if points is None else points[:, :2]
    return np.concatenate([_CORNER, points])


def _object_inside(
    one: Object,
    shape: np.ndarray,
    ellipse: np.ndarray | None,
    size: tuple[int, int],
    flip_idx: Sequence[int] | None,
) -> Object | None:
    """Return an object as far as it is in the picture; None if too little of it is."""
    corner, points = shape[: len(_CORNER)], shape[len(_CORNER) :]
    if one.polygon is not None:
        part, visible = polygon_inside(points, size)
        if visible < _LEAST_SHARE or (np.ptp(part, axis=0) < _LEAST_SIDE).any():
            return None
        return Object(one.index, box_around(part), part)
    box = _box_inside(ellipse, size)
    if box is None or one.keypoints is None:
        return box and Object(one.index, box)
    mirrored = np.linalg.det(corner[1:] - corner[0]) < 0
    swap = flip_idx if mirrored else None
    return Object(one.index, box, None, keypoints_inside(one.keypoints, points, size, swap))


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
