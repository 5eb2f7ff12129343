"""The demo datasets: real handwriting, split before it is drawn."""

from itertools import combinations

import numpy as np
import pytest

from cia.digits import CLASSES, INKS, PAPERS, POOLS, draw_scene, pool, prepare, scene_rng
from cia.errors import UserError
from cia.images import load_image


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
