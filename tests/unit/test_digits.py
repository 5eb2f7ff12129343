"""The demo datasets: real handwriting, split before it is drawn."""

import hashlib
from itertools import combinations

import numpy as np
import pytest

from cia.digits import (
    CLASSES,
    INKS,
    PAPERS,
    POOLS,
    STROKE,
    _stroke,
    draw_scene,
    pool,
    prepare,
    scene_rng,
)
from cia.errors import UserError
from cia.images import load_image
from cia.labels.masks import rasterize
from cia.labels.objects import parse_objects
from cia.strokes import skeleton, stroke_points


def test_pools_share_no_handwriting_and_use_all_of_it():
    for one, other in combinations(POOLS, 2):
        assert not set(pool(one)) & set(pool(other))
    assert sorted(sum((pool(name) for name in POOLS), ())) == list(range(1797))


@pytest.mark.parametrize("name", POOLS)
def test_pools_hold_every_class_in_its_share(name):
    from sklearn.datasets import load_digits

    target = load_digits().target
    counts = np.bincount(target[list(pool(name))], minlength=10)
    np.testing.assert_allclose(counts / np.bincount(target), POOLS[name], atol=0.005)


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(scene_rng("test", number), pool("val")) for number in range(60)]


def test_boxes_are_tight_around_ink(scenes):
    for scene in scenes:
        pixels, paper = scene.image.astype(float), np.array(PAPERS[scene.paper])
        for box, ink in zip(scene.boxes * 64, scene.inks, strict=True):
            (left, top), (right, bottom) = box[:2] - box[2:] / 2, box[:2] + box[2:] / 2
            to_ink = np.linalg.norm(pixels - INKS[ink], axis=2)
            inked = to_ink < np.linalg.norm(pixels - paper, axis=2) + 25
            inside = inked[round(top) : round(bottom), round(left) : round(right)]
            for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert edge.any()


def test_boxes_do_not_overlap_and_run_from_left_to_right(scenes):
    for scene in scenes:
        assert (np.diff(scene.boxes[:, 0]) > 0).all()
        for one, other in combinations(scene.boxes, 2):
            assert (np.abs(one - other)[:2] >= (one + other)[2:] / 2).any()


def test_captions_name_what_is_seen(scenes):
    for scene in scenes:
        words = scene.caption.replace(",", "").split()
        named = [CLASSES.index(word) for word in words if word in CLASSES]
        assert named == list(scene.digits)
        assert [word for word in words if word in INKS] == list(scene.inks)
        assert [word for word in words if word in PAPERS] == [scene.paper]
        assert "a orange" not in scene.caption


def test_another_count_changes_no_picture_and_leaves_no_stale_file(tmp_path):
    prepare(tmp_path / "a", "digits_scenes", {"train": 5, "val": 2, "test": 2}, seed=1)
    prepare(tmp_path / "b", "digits_scenes", {"train": 3, "val": 2, "test": 2}, seed=1)
    prepare(tmp_path / "a", "digits_scenes", {"train": 3, "val": 2, "test": 2}, seed=1)
    files = {path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*")}
    assert files == {path.relative_to(tmp_path / "b") for path in (tmp_path / "b").rglob("*.*")}
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


def test_digits_hold_one_digit_whose_class_is_the_label(tmp_path):
    prepare(tmp_path, "digits", {"train": 20}, seed=0)
    for label in (tmp_path / "train/labels").iterdir():
        caption = (tmp_path / "train/captions" / label.name).read_text()
        assert CLASSES[int(label.read_text())] in caption.split()
        assert sum(word in CLASSES for word in caption.split()) == 1
        assert load_image(tmp_path / f"train/images/{label.stem}.png").shape == (64, 64, 3)


def test_pictures_of_one_s_own_are_never_overwritten(tmp_path):
    own = tmp_path / "train/images/00000.png"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    with pytest.raises(UserError, match="not the demo's .00000.png"):
        prepare(tmp_path, "digits", {"train": 3}, seed=0)
    assert own.read_bytes() == b"mine"


def test_labels_of_other_tasks_change_no_picture_and_no_caption(tmp_path):
    for task in (None, "segmentation", "pose"):
        prepare(tmp_path / str(task), "digits_scenes", {"train": 4}, seed=0, task=task)
    for path in (tmp_path / "None").rglob("*.*"):
        for task in ("segmentation", "pose"):
            other = tmp_path / task / path.relative_to(tmp_path / "None")
            assert (other.read_bytes() == path.read_bytes()) == (path.parent.name != "labels")


def test_the_demo_s_pictures_and_boxes_are_what_they_were(tmp_path):
    """Masks and keypoints came later; what was made before them must not be made anew."""
    prepare(tmp_path, "digits_scenes", {"train": 2}, seed=0)
    assert (tmp_path / "train/labels/00001.txt").read_text() == (
        "2 0.382812 0.296875 0.234375 0.343750\n"
        "7 0.500000 0.773438 0.250000 0.390625\n"
        "1 0.828125 0.500000 0.218750 0.437500\n"
    )
    pixels = load_image(tmp_path / "train/images/00001.png").tobytes()
    assert hashlib.sha256(pixels).hexdigest().startswith("44108b9b47108af9")


def test_masks_are_the_ink_in_tight_boxes(scenes):
    for scene in scenes[:20]:
        pixels, paper = scene.image.astype(float), np.array(PAPERS[scene.paper])
        for number, ink in enumerate(scene.inks):
            mask = scene.mask(number)
            nearer = np.linalg.norm(pixels - INKS[ink], axis=2) < np.linalg.norm(
                pixels - paper, axis=2
            )
            rows, columns = np.nonzero(mask)
            box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            cx, cy, width, height = scene.boxes[number] * 64
            expected = cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
            np.testing.assert_allclose(box, expected)
            area = np.s_[box[1] : box[3], box[0] : box[2]]
            assert (mask == nearer)[area].mean() > 0.95


def test_label_files_hold_the_masks_and_the_keypoints(tmp_path):
    prepare(tmp_path / "masks", "digits_scenes", {"val": 3}, seed=2, task="segmentation")
    prepare(tmp_path / "points", "digits_scenes", {"val": 3}, seed=2, task="pose")
    for number in range(3):
        scene = draw_scene(scene_rng(2, "digits_scenes", "val", number), pool("val"))
        texts = [
            (tmp_path / kind / f"val/labels/{number:05d}.txt").read_text()
            for kind in ("masks", "points")
        ]
        masks = parse_objects(texts[0], "segmentation")
        posed = parse_objects(texts[1], "pose", [len(STROKE), 3])
        assert [one.index for one in masks] == [str(digit) for digit in scene.digits]
        for place, (mask, pose) in enumerate(zip(masks, posed, strict=True)):
            assert (rasterize(mask.polygon, 64, 64) == scene.mask(place)).all()
            np.testing.assert_allclose(pose.keypoints, scene.keypoints(place), atol=1e-6)
            np.testing.assert_allclose(mask.box, pose.box, atol=1e-6)


def test_keypoints_lie_on_the_ink_from_top_to_bottom(scenes):
    on_ink = []
    for scene in scenes:
        for number in range(len(scene.digits)):
            x, y, visible = scene.keypoints(number).T
            assert (visible == 2).all() and y[0] < y[2]
            mask = scene.mask(number)
            on_ink += mask[(y * 64).astype(int), (x * 64).astype(int)].tolist()
    assert np.mean(on_ink) > 0.97  # a pixel's rounding apart


def test_keypoints_are_the_scan_s_wherever_and_however_large_it_is_drawn(scenes):
    for scene in scenes:
        for number, (glyph, corner) in enumerate(zip(scene.glyphs, scene.corners, strict=True)):
            points = scene.keypoints(number)[:, :2] * 64
            on_scan = (points - corner + glyph.cut) / glyph.side
            np.testing.assert_allclose(on_scan, _stroke(glyph.scan), atol=1e-9)


def test_the_stroke_of_plain_shapes():
    seven = np.zeros((40, 40), dtype=bool)
    seven[5:9, 5:33] = True
    seven[5:37, 29:33] = True
    upper, middle, lower = stroke_points(seven) * 40
    assert np.abs(upper - (6, 7)).max() < 3 and np.abs(lower - (31, 36)).max() < 3
    assert np.abs(middle - (31, 7)).max() < 4  # half way is at the corner
    rows, columns = np.mgrid[:40, :40] - 19.5
    ring = np.abs(np.hypot(rows / 1.4, columns) - 11) < 2
    upper, middle, lower = stroke_points(ring) * 40
    assert upper[1] < 8 and lower[1] > 32 and middle[0] < 12  # along its left side
    gap = seven.copy()
    gap[18:22] = False
    np.testing.assert_allclose(stroke_points(gap), stroke_points(seven), atol=0.1)


def test_a_skeleton_is_thin_and_as_connected_as_the_ink():
    from scipy.ndimage import label

    rows, columns = np.mgrid[:40, :40] - 19.5
    disk, ring = np.hypot(rows, columns) < 12, np.abs(np.hypot(rows, columns) - 11) < 3
    for ink in (disk, ring):
        thin = skeleton(ink)
        assert thin.any() and not (thin & ~ink).any()
        assert label(thin, np.ones((3, 3)))[1] == 1
        assert label(~thin)[1] == label(~ink)[1]  # a hole stays one, and none comes to be
    assert not (thin[1:, 1:] & thin[:-1, :-1] & thin[1:, :-1] & thin[:-1, 1:]).any()
