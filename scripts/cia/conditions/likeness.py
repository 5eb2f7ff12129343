"""How alike two condition maps are: the one asked for, and the one that the result shows.

Every extractor names the comparison that fits its maps. All are 1 for equal maps and at least 0.
"""

import numpy as np

EDGE_REACH = 0.0075
"""Share of the diagonal within which edges match: Martin et al., BSDS benchmark (2004)."""


def edge_f1(wanted: np.ndarray, found: np.ndarray) -> float:
    """Return the F1 score of edge pixels; each is right if the other map has one nearby.

    Nearby is within 0.75 % of the diagonal, and within 2 pixels in any case. 0 if one map has no
    edge and the other has some.

    Parameters
    ----------
    wanted, found : numpy.ndarray
        uint8 RGB maps, shape (height, width, 3), black where there is no edge.
    """
    wanted, found = wanted.any(axis=2), found.any(axis=2)
    if not (wanted.any() and found.any()):
        return float(wanted.any() == found.any())
    reach = max(2.0, EDGE_REACH * np.hypot(*wanted.shape))
    precision = np.mean(_distance_to(wanted)[found] <= reach)
    recall = np.mean(_distance_to(found)[wanted] <= reach)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def mean_iou(wanted: np.ndarray, found: np.ndarray) -> float:
    """Return the mean intersection over union of the classes that either map shows.

    A class is a color; parameters as `edge_f1`.
    """
    ious = []
    wanted, found = _colors(wanted), _colors(found)
    for color in np.union1d(wanted, found):
        first, second = wanted == color, found == color
        ious.append(np.sum(first & second) / np.sum(first | second))
    return float(np.mean(ious))


def keypoint_closeness(wanted: np.ndarray, found: np.ndarray) -> float:
    """Return 1 less the mean distance of drawn points, as a share of the diagonal.

    Joints, limbs and landmarks have colors of their own, so points are held against those of their
    own color: the mean, over colors and both directions, of the distance to the nearest. A color
    that one map lacks is a whole diagonal away. Parameters as `edge_f1`.
    """
    diagonal = np.hypot(*wanted.shape[:2])
    wanted, found = _colors(wanted), _colors(found)
    distances = []
    for color in np.union1d(wanted, found):
        if color == 0:
            continue
        first, second = wanted == color, found == color
        if not (first.any() and second.any()):
            distances.append(1.0)
            continue
        there = _distance_to(second)[first].mean(), _distance_to(first)[second].mean()
        distances.append(np.mean(there) / diagonal)
    return 1 - float(np.mean(distances)) if distances else 1.0


def _distance_to(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~mask)


def _colors(picture: np.ndarray) -> np.ndarray:
    """Return each pixel's color as one number."""
    return picture.astype(np.int64) @ np.array([65536, 256, 1])
