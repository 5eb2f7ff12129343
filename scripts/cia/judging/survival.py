"""Label survival: does a model trained on real images alone read the label off the image?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cia.catalog import TRAINERS, code
from cia.judging.cases import Case
from cia.labels.masks import rasterize
from cia.labels.objects import Object, parse_objects
from cia.labels.shapes import labeled
from cia.training.trainings import Reading

MATCH = 0.5
"""Overlap from which a found object is a labelled one."""

COCO_SIGMAS = np.array(
    [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], dtype=np.float64
)
"""Spread of COCO's 17 keypoints of a person among annotators, in thousandths of its size."""

_AREA_OF_BOX = 0.53
"""Share of its box that an object covers, for OKS; as in ultralytics and xtcocotools."""

Sides = tuple[int, int]
"""Width and height in pixels."""


def judge(case: Case, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Read the synthetic images with the trained model.

    Objects overlap by the IoU of their boxes; of a segmentation by that of their masks; of a pose
    by the OKS of their keypoints.

    Returns
    -------
    dict
        Classification: label_confidence (probability of the label). Other tasks: label_recall
        (share of labelled objects that are found with their class), label_iou (mean overlap over
        labelled objects, 0 where not found), extra_objects (found ones that are no labelled one).
        An image without labelled objects has recall and IoU 1.
    """
    found = _read(case, settings)
    if case.task == "classification":
        labels = case.images["label"].astype(int).to_numpy()
        return {"label_confidence": found[np.arange(len(labels)), labels].astype(np.float64)}
    rows = [
        match_objects(
            parse_objects(row.label, case.task, case.kpt_shape), objects, (row.width, row.height)
        )
        for row, objects in zip(case.images.itertuples(), found, strict=True)
    ]
    recall, iou, extra = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return {"label_recall": recall, "label_iou": iou, "extra_objects": extra}


def _read(case: Case, settings: Mapping[str, Any]) -> np.ndarray | list[list[Object]]:
    """Return what the trained model says of each image, by the trainer's own `predict`."""
    reading = Reading(
        paths=case.images["image"].tolist(),
        classes=case.classes,
        batch_size=case.batch_size,
        threads=case.threads,
        confidence=settings["confidence"],
    )
    trainer = code(TRAINERS[settings["trainer"]["kind"]])
    return trainer.predict(settings["weights"], settings["trainer"], reading)


def match_objects(
    labelled: Sequence[Object], found: Sequence[Object], size: Sides
) -> tuple[float, float, int]:
    """Match found objects to labelled ones of their class, the most overlapping pair first.

    Parameters
    ----------
    labelled, found : sequence of Object
    size : tuple of int
        Width and height of the picture.

    Returns
    -------
    recall, iou : float
        Share of labelled objects matched, and the mean overlap over all of them; 1 without any.
    extra : int
        Found objects without match.
    """
    overlap = overlaps(labelled, found, size)
    ious = []
    while overlap.size and overlap.max() >= MATCH:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        ious.append(overlap[row, column])
        overlap[row], overlap[:, column] = 0, 0
    extra = len(found) - len(ious)
    if not len(labelled):
        return 1.0, 1.0, extra
    return len(ious) / len(labelled), sum(ious) / len(labelled), extra


def overlaps(labelled: Sequence[Object], found: Sequence[Object], size: Sides) -> np.ndarray:
    """Return how much objects overlap, shape (n, m), 0 where their classes differ.

    IoU of masks where they have polygons, OKS where they have keypoints, else IoU of boxes; of a
    labelled object none of whose keypoints is labelled, too.
    """
    if not labelled or not found:
        return np.zeros((len(labelled), len(found)))
    if labelled[0].polygon is not None:
        overlap = mask_iou(labelled, found, size)
    else:
        overlap = box_iou(*(np.array([one.box for one in some]) for some in (labelled, found)))
    for row, one in enumerate(labelled):
        if one.keypoints is not None and labeled(one.keypoints).any():
            overlap[row] = [keypoint_similarity(one, other.keypoints, size) for other in found]
    classes = (np.array([one.index for one in some]) for some in (labelled, found))
    return np.where(np.equal.outer(*classes), overlap, 0.0)


def mask_iou(first: Sequence[Object], second: Sequence[Object], size: Sides) -> np.ndarray:
    """Return intersections over union, shape (n, m), of the pixels of objects with polygons."""
    masks = [
        np.array([rasterize(one.polygon, *size).ravel() for one in some], dtype=np.float32)
        for some in (first, second)
    ]
    common = masks[0] @ masks[1].T
    union = masks[0].sum(axis=1)[:, None] + masks[1].sum(axis=1) - common
    return (common / np.maximum(union, 1)).astype(np.float64)


def keypoint_similarity(labelled: Object, found: np.ndarray, size: Sides) -> float:
    """Return the OKS of found keypoints, (K, 2), over those that the labelled object has.

    COCO's object keypoint similarity (cocodataset.org/#keypoints-eval), with its sigmas for 17
    keypoints of 3 numbers and 1 / K for others, and 0.53 of the box for the object's area, as in
    ultralytics.
    """
    count = len(labelled.keypoints)
    of_people = labelled.keypoints.shape == (len(COCO_SIGMAS), 3)
    sigmas = COCO_SIGMAS / 1000 if of_people else np.full(count, 1 / count)
    left, top, right, bottom = labelled.box
    area = (right - left) * size[0] * (bottom - top) * size[1] * _AREA_OF_BOX
    squares = (((labelled.keypoints[:, :2] - found[:, :2]) * size) ** 2).sum(axis=1)
    likeness = np.exp(-squares / (2 * (2 * sigmas) ** 2 * max(area, 1e-12)))
    return float(likeness[labeled(labelled.keypoints)].mean())


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return intersections over union, shape (n, m), of boxes (left, top, right, bottom)."""
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, 2:], second[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1] - common
    return common / np.maximum(union, 1e-12)
