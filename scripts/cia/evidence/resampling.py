"""Test scores under resampled test images: the same draws for every arm and seed, so they pair."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cia.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

DRAWS = 1000
"""Draws of the bootstrap."""
_BLOCK = 64
"""Draws that are counted at a time, since each takes a number for every detection."""
_RECALLS = np.linspace(0, 1, 101)
"""Where ultralytics, like COCO, reads precision off."""


class Resampled(NamedTuple):
    """A score on the test images, and on every draw of them.

    Attributes
    ----------
    value : float
    draws : numpy.ndarray
        float64, shape (draws,).
    """

    value: float
    draws: np.ndarray


def draw_images(n: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Draw n images with replacement, again and again (Efron 1979).

    Returns
    -------
    numpy.ndarray
        int64, shape (draws, n): how often each image is in each draw; rows sum to n.
    """
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)


def read_predictions(path: str | Path) -> "pd.DataFrame":
    """Read a trained model's test.csv; image names and `correct` (`0110000000`) stay text."""
    import pandas as pd

    text = dict.fromkeys(("image", "correct", "correct_box"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False)


def accuracy(predictions: "pd.DataFrame", images: Sequence[str], weights: np.ndarray) -> Resampled:
    """Return the share of images whose class was predicted, on the whole test and on every draw.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns image, label, predicted, one row per image in any order.
    images : sequence of str
        The test images, in the order of the weights' columns.
    weights : numpy.ndarray
        Of `draw_images`, shape (draws, images).

    Raises
    ------
    UserError
        If the predictions are not of exactly these images, once each.
    """
    rows = predictions.set_index("image")
    if len(rows) != len(images) or set(rows.index) != set(images):
        raise UserError(
            f"predictions of {rows.index.nunique()} test images ({len(rows)} rows), but the test "
            f"has {len(images)}; delete the test.csv that was made with other test images"
        )
    rows = rows.loc[list(images)]
    correct = (rows["label"] == rows["predicted"]).to_numpy(np.float64)
    return Resampled(float(correct.mean()), weights @ correct / weights.sum(axis=1))


def mean_average_precision(
    detections: "pd.DataFrame",
    truth: "pd.DataFrame",
    images: Sequence[str],
    weights: np.ndarray,
) -> dict[str, Resampled]:
    """Return the mean average precision on the whole test and on every draw of its images.

    As ultralytics 8.4 computes it (`ultralytics.utils.metrics.ap_per_class`): 101 recalls, the mean
    over the classes that the images show. A draw counts as its images do, each as often as it was
    drawn. Detections of equal confidence keep their order in the table; ultralytics leaves their
    order open.

    Parameters
    ----------
    detections : pandas.DataFrame
        Columns image, class, confidence, correct (a string of 0 and 1, one per IoU threshold).
    truth : pandas.DataFrame
        Columns image, class, one row per object.
    images : sequence of str
        The test images, those without objects too, in the order of the weights' columns.
    weights : numpy.ndarray
        Of `draw_images`, shape (draws, images).

    Returns
    -------
    dict
        `mAP50-95` and `mAP50`.

    Raises
    ------
    UserError
        If a detection or an object is of another image, or there is no object.
    """
    if truth.empty:
        raise UserError("the test images have no labelled object: no average precision")
    weights = np.concatenate([np.ones((1, len(images)), dtype=np.int64), weights])
    position = {image: index for index, image in enumerate(images)}
    order = np.argsort(-detections["confidence"].to_numpy(np.float64), kind="stable")
    found = detections.iloc[order]
    found_image = _positions(found["image"], position)
    correct = np.array([list(text) for text in found["correct"]], dtype="U1") == "1"
    truth_image = _positions(truth["image"], position)
    thresholds = correct.shape[1] if correct.ndim == 2 else 1  # else there are no detections
    correct = correct.reshape(len(found), thresholds)

    classes = []
    for name in np.unique(truth["class"]):
        own = (found["class"] == name).to_numpy()
        classes.append(
            _OfClass(
                truth_image[(truth["class"] == name).to_numpy()], found_image[own], correct[own]
            )
        )
    mean = np.concatenate(
        [
            _mean_over_classes(weights[start : start + _BLOCK], classes, thresholds)
            for start in range(0, len(weights), _BLOCK)
        ]
    )
    return {
        "mAP50-95": Resampled(float(mean[0].mean()), mean[1:].mean(axis=1)),
        "mAP50": Resampled(float(mean[0, 0]), mean[1:, 0].copy()),
    }


def _positions(names: "pd.Series", position: Mapping[str, int]) -> np.ndarray:
    strange = set(names) - position.keys()
    if strange:
        raise UserError(
            f"{min(strange)} and {len(strange) - 1} others are no test images of this study; "
            "delete the test.csv that was made with other test images"
        )
    return np.array([position[name] for name in names], dtype=np.int64)


class _OfClass(NamedTuple):
    """The image of each object of a class, the image of each detection, and which of it is true."""

    objects: np.ndarray
    found: np.ndarray
    correct: np.ndarray


def _mean_over_classes(
    weights: np.ndarray, classes: Sequence[_OfClass], thresholds: int
) -> np.ndarray:
    """Return the mean average precision of each draw, shape (draws, thresholds)."""
    # mAP = sum of AP over classes / classes with an object in the draw; AP of the others is 0
    total = np.zeros((len(weights), thresholds))
    shown = np.zeros(len(weights))
    for of_class in classes:
        objects = weights[:, of_class.objects].sum(axis=1)
        shown += objects > 0
        drawn = weights[:, of_class.found]
        hits = of_class.correct.any(axis=1)  # at the lowest threshold: few of all detections
        # a draw shows an image w times, so its detections count w times: ranks are sums of w
        all_found, drawn = np.cumsum(drawn, axis=1)[:, hits], drawn[:, hits]
        for threshold, hit in enumerate(of_class.correct[hits].T):
            total[:, threshold] += _average_precision(all_found[:, hit], drawn[:, hit], objects)
    return total / np.maximum(shown, 1)[:, None]


def _average_precision(all_found: np.ndarray, drawn: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return a class's average precision at one IoU threshold in every draw, shape (draws,).

    Ultralytics follows every detection; only the true ones (hits) matter, since the precision
    between two hits is never above that at the second. Right of a hit its precision curve, the
    envelope, holds what the next hit has, at once if false ones come between, else along a line
    that takes 1 / objects of recall. Beyond the last hit it is 0.

    Parameters
    ----------
    all_found : numpy.ndarray
        int, shape (draws, hits): number of detections, true and false, up to each hit; the hits
        in order of falling confidence.
    drawn : numpy.ndarray
        int, shape (draws, hits): how often each hit's image was drawn.
    objects : numpy.ndarray
        int, shape (draws,): number of objects of the class.
    """
    draws, hits = drawn.shape
    if not hits:
        return np.zeros(draws)
    # With T_j true ones of A_j detections up to hit j, and K objects: recall T_j / K, precision
    # P_j = T_j / A_j, envelope E_j = max(P_j, P_j+1, ...). A hit drawn w times is w hits in a row.
    # From the first to the last precision rises, (t + 1) / (a + 1) >= t / a, so that all w have
    # the envelope of the last.
    true_found = np.cumsum(drawn, axis=1)
    precision = true_found / np.maximum(all_found, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]

    # At recall r the next hit is the first j with T_j / K > r, so with T_j > reached = floor(r K).
    # T rises along a draw; `base` lifts each draw above the one before it, so that one sorted
    # search is over all draws. A hit of weight 0 has the T of the hit before: it is never the next.
    reached = _objects_at_recalls(objects)
    base = (int(true_found.max()) + int(objects.max()) + 2) * np.arange(draws)[:, None]
    keys = (true_found + base).ravel()
    start = hits * np.arange(draws)[:, None]
    following = np.searchsorted(keys, reached + base, side="right") - start
    beyond = following == hits
    following = np.minimum(following, hits - 1)
    right = np.take_along_axis(envelope, following, axis=1)

    # the end on the left: L true ones so far (`left_found`), at the start recall 0, precision 1
    before = np.maximum(following - 1, 0)
    left_found = np.where(following > 0, np.take_along_axis(true_found, before, axis=1), 0)
    left = np.where(left_found > 0, np.take_along_axis(envelope, before, axis=1), 1.0)
    # the last hit drawn is the first with T_j = L: those after it, of weight 0, are not there
    last = np.searchsorted(keys, left_found + base, side="left") - start
    false_found = all_found - true_found
    false_left = np.where(
        left_found > 0, np.take_along_axis(false_found, np.minimum(last, hits - 1), axis=1), 0
    )
    # as many false ones, A_j - T_j, at both ends: none lies between
    adjacent = np.take_along_axis(false_found, following, axis=1) == false_left

    # adjacent: from (L / K, E_left) straight to ((L + 1) / K, E_right), then E_right;
    # else E_right all the way
    count = np.maximum(objects, 1)[:, None]
    from_recall, to_recall = left_found / count, (left_found + 1) / count
    along = left + (right - left) / (to_recall - from_recall) * (_RECALLS - from_recall)
    curve = np.where(adjacent & (_RECALLS < to_recall), along, right)
    curve = np.where(beyond | (objects == 0)[:, None], 0.0, curve)
    return np.trapz(curve, _RECALLS, axis=1)


def _objects_at_recalls(objects: np.ndarray) -> np.ndarray:
    """Return the most objects whose share of all is at most each recall, as floats compare."""
    count = np.maximum(objects, 1)[:, None]
    reached = np.floor(_RECALLS * count).astype(np.int64)
    reached -= reached / count > _RECALLS
    return reached + ((reached + 1) / count <= _RECALLS)
