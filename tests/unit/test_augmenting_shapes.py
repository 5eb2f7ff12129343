"""Classical augmentation moves polygons and keypoints as it moves the picture."""

import cv2
import numpy as np
import pandas as pd
import pytest

from cia.images import load_image
from cia.labels.masks import rasterize, trace
from cia.labels.objects import Object, object_line, parse_objects
from cia.mixing.augmenting import augment, augment_pictures

SIZE = (128, 96)
STRONG = {"rotation": 30, "translate": 0.3, "scale": [0.7, 1.3], "shear": 10, "flip": 0.5}
STRONG |= dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0)
POSE = {"kpt_shape": [2, 3], "flip_idx": [1, 0]}


def moved(pixels, label, task, number, keypoints=None, settings=STRONG):
    augmented, text = augment(pixels, label, settings, (0, "a", number), task, keypoints)
    return augmented, parse_objects(text, task, keypoints and keypoints["kpt_shape"])


def test_a_polygon_has_the_pixels_of_its_object_in_every_copy():
    image = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
    cv2.ellipse(image, (60, 50), (34, 22), 20, 0, 360, (255, 255, 255), -1)
    cv2.ellipse(image, (60, 50), (12, 8), 20, 0, 360, (0, 0, 0), -1)
    label = object_line(Object("0", (0, 0, 1, 1), trace(image.any(axis=2))), "segmentation")
    cut = 0
    for number in range(30):
        augmented, found = moved(image, label, "segmentation", number)
        white = augmented[..., 0] > 127
        ((_, box, polygon, _),) = found
        mask = rasterize(polygon, *SIZE)
        assert (mask & white).sum() / (mask | white).sum() >= 0.95
        assert (polygon >= 0).all() and (polygon <= 1).all()
        cut += min(box) == 0 or max(box) == 1
    assert cut > 2


def test_a_keypoint_is_where_its_spot_went_and_a_lost_one_is_not_labeled():
    y, x = np.mgrid[: SIZE[1], : SIZE[0]] + 0.5
    spot = np.exp(-((x - 30.5) ** 2 + (y - 24.5) ** 2) / 8)
    image = np.repeat((255 * spot).round().astype(np.uint8)[..., None], 3, axis=2)
    points = np.array([[30.5, 24.5, 2], [110.0, 80.0, 1]]) / (*SIZE, 1)
    label = object_line(Object("0", (0.1, 0.1, 0.9, 0.9), None, points), "pose")
    lost = 0
    for number in range(60):
        augmented, ((_, _, _, found),) = moved(image, label, "pose", number, POSE)
        bright = int(np.flatnonzero(found[:, 2] == 2)[0]) if (found[:, 2] == 2).any() else None
        assert set(found[:, 2]) <= {0, 1, 2}
        lost += int((found[:, 2] == 0).any())
        assert (found[found[:, 2] == 0] == 0).all()
        if bright is None:
            continue
        place = found[bright, :2] * SIZE
        if not ((place > 6) & (place < np.array(SIZE) - 6)).all():
            continue
        weights = augmented[..., 0].astype(float)
        center = np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()
        assert np.abs(place - center).max() <= 0.5
    assert lost > 5


def test_mirrored_keypoints_swap_by_flip_idx():
    still = STRONG | {"rotation": 0, "translate": 0.0, "scale": [1, 1], "shear": 0, "flip": 1.0}
    points = np.array([[0.25, 0.25, 2], [0.75, 0.5, 1]])
    label = object_line(Object("0", (0.2, 0.2, 0.8, 0.8), None, points), "pose")
    image = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
    _, ((_, _, _, found),) = moved(image, label, "pose", 0, POSE, still)
    np.testing.assert_allclose(found, [[0.25, 0.5, 1], [0.75, 0.25, 2]], atol=1e-6)


@pytest.mark.parametrize("task", ["segmentation", "pose"])
def test_an_object_of_which_little_is_left_is_dropped(task):
    corner = np.array([[0.0, 0.0], [0.1, 0.0], [0.1, 0.1], [0.0, 0.1]])
    points = np.array([[0.05, 0.05, 2], [0.02, 0.02, 2]])
    label = object_line(Object("0", (0.0, 0.0, 0.1, 0.1), corner, points), task)
    image = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
    kinds = {len(moved(image, label, task, number, POSE)[1]) for number in range(40)}
    assert kinds == {0, 1}


def test_copies_of_a_pose_dataset_get_moved_labels(tmp_path):
    points = np.array([[0.25, 0.25, 2], [0.75, 0.5, 1]])
    label = object_line(Object("0", (0.2, 0.2, 0.8, 0.8), None, points), "pose")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8))
    table = pd.DataFrame([{"id": "a", "image": str(tmp_path / "a.png"), "label": label}])
    settings = {"ratio": 3, "augmentation": STRONG}
    copies = augment_pictures(table, settings, "pose", 0, tmp_path / "copies", POSE)
    assert len(set(copies["label"])) == 3
    for copy in copies.itertuples():
        assert len(parse_objects(copy.label, "pose", [2, 3])[0].keypoints) == 2
        assert load_image(copy.image).shape == (96, 128, 3)
