"""Label survival: does a model trained on real images alone read the label off the image?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cia.catalog import TRAINERS, code
from cia.judging.cases import Case
from cia.labels.lines import split_label
from cia.training.trainings import Reading

MATCH = 0.5
"""Intersection over union from which a found box is a labelled one's."""


def judge(case: Case, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Read the synthetic images with the trained model.

    Returns
    -------
    dict
        Detection: label_recall (share of labelled boxes that are found with their class),
        label_iou (mean IoU over labelled boxes, 0 where not found), extra_objects (found boxes that
        are no labelled one's). An image without labelled boxes has recall and IoU 1.
        Classification: label_confidence (probability of the label).
    """
    found = _read(case, settings)
    if case.task == "classification":
        labels = case.images["label"].astype(int).to_numpy()
        return {"label_confidence": found[np.arange(len(labels)), labels].astype(np.float64)}
    rows = [
        match_boxes(np.array(split_label(label), dtype=np.float64).reshape(-1, 5), boxes)
        for label, boxes in zip(case.images["label"], found, strict=True)
    ]
    recall, iou, extra = np.array(rows, dtype=np.float64).T
    return {"label_recall": recall, "label_iou": iou, "extra_objects": extra}


def _read(case: Case, settings: Mapping[str, Any]) -> np.ndarray | list[np.ndarray]:
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


def match_boxes(labelled: np.ndarray, found: np.ndarray) -> tuple[float, float, int]:
    """Match found boxes to labelled ones of their class, the most overlapping pair first.

    Parameters
    ----------
    labelled, found : numpy.ndarray
        Shapes (n, 5) and (m, 5): class, cx, cy, w, h.

    Returns
    -------
    recall, iou : float
        Share of labelled boxes matched, and the mean IoU over all of them; 1 without any.
    extra : int
        Found boxes without match.
    """
    overlap = box_iou(labelled[:, 1:], found[:, 1:])
    overlap[labelled[:, :1] != found[:, 0]] = 0
    ious = []
    while overlap.size and overlap.max() >= MATCH:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        ious.append(overlap[row, column])
        overlap[row], overlap[:, column] = 0, 0
    extra = len(found) - len(ious)
    if not len(labelled):
        return 1.0, 1.0, extra
    return len(ious) / len(labelled), sum(ious) / len(labelled), extra


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return intersections over union, shape (n, m), of boxes (cx, cy, w, h)."""
    low = np.maximum(_low(first)[:, None], _low(second))
    high = np.minimum(_high(first)[:, None], _high(second))
    common = np.maximum(high - low, 0).prod(axis=2)
    union = first[:, None, 2:].prod(axis=2) + second[:, 2:].prod(axis=1) - common
    return common / np.maximum(union, 1e-12)


def _low(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, :2] - boxes[:, 2:] / 2


def _high(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, :2] + boxes[:, 2:] / 2
