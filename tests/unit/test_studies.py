"""Studies: which arms, on which real images; classical augmentation, their control."""

import copy

import numpy as np
import pandas as pd
import pytest
import yaml

from cia.config.checks import checked
from cia.config.experiments import arms, generated_sets, used_config
from cia.config.studies import RANDOM, sizes, study_arms, study_sets, subset
from cia.errors import UserError
from cia.evidence.subsets import draw_subset
from cia.images import load_image, save_png
from cia.mixing.augmenting import augment, augment_pictures
from conftest import ROOT

CLASSICAL = {
    "rotation": 15,
    "translate": 0.1,
    "scale": [0.8, 1.2],
    "shear": 5,
    "brightness": 0.0,
    "contrast": 0.0,
    "saturation": 0.0,
    "hue": 0.0,
    "flip": 0.5,
}


@pytest.fixture
def config():
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config["generators"]["tiny_canny"]["variants"] = 8
    config["generators"]["tiny_warped"]["variants"] = 4
    config["studies"] = {
        "few": {
            "dataset": "digits",
            "real": 20,
            "curve": [10, 80],
            "seeds": [3, 5],
            "generator": "tiny_canny",
            "others": ["tiny_warped"],
            "ratio": 2,
            "ratios": [0.5, 2, 4],
            "selections": ["best_half"],
            "filtered": [{"generator": "tiny_warped", "selection": "best_half"}],
            "classical": {"flip": 0},
            "features": ["tiny"],
            "judges": ["classifier"],
            "trainer": "resnet",
        }
    }
    return config


def test_a_study_has_every_arm_with_every_seed(config):
    found = study_arms(checked(config))
    kinds = {(arm["name"], arm["kind"], arm["real"], arm["ratio"]) for arm in found}
    assert kinds == {
        ("10 real", "curve", 10, 0),
        ("20 real", "real", 20, 0),
        ("40 real", "twice", 40, 0),
        ("80 real", "curve", 80, 0),
        ("duplicated", "duplicated", 20, 2),
        ("classical", "classical", 20, 2),
        ("random", "random", 20, 2),
        ("best_half", "selection", 20, 2),
        ("tiny_warped, best_half", "selection", 20, 2),
        ("tiny_warped", "generator", 20, 2),
        ("all", "all", 20, 8),
        ("ratio 0.5", "ratio", 20, 0.5),
        ("ratio 4", "ratio", 20, 4),
    }
    assert len(found) == 2 * len(kinds)
    against = {arm["name"]: arm["against"] for arm in found if arm["against"]}
    assert against == {
        "best_half": "random",
        "tiny_warped": "random",
        "tiny_warped, best_half": "tiny_warped",
    }
    assert {arm["seed"] for arm in found} == {3, 5}


def test_arms_of_one_seed_share_the_real_images_and_other_seeds_draw_others(config):
    full = checked(config)
    for arm in study_arms(full):
        entry = full["datasets"][arm["dataset"]]["subset"]
        assert entry == {"dataset": "digits", "real": arm["real"], "draw": arm["seed"]}


def test_arms_differ_in_what_they_add_alone(config):
    full = checked(config)
    mixes = {arm["name"]: full["mixes"][arm["mix"]] for arm in study_arms(full)}
    assert mixes["duplicated"]["duplicate"] == 3
    assert mixes["random"] == mixes["best_half"] == mixes["tiny_warped"]
    assert mixes["random"]["synthetic"] == 2 and mixes["all"]["synthetic"] == 8
    assert mixes["classical"]["classical"]["ratio"] == 2
    assert {arm["trainer"] for arm in study_arms(full)} == {"resnet"}


def test_studies_leave_experiments_and_their_report_alone(config):
    without = copy.deepcopy(config)
    without["studies"] = {}
    full = checked(config)
    assert arms(full) == arms(checked(without))
    assert generated_sets(full) == generated_sets(checked(without))
    names = {(entry["dataset"], entry["generator"]) for entry in study_sets(full)}
    assert names == {
        (subset("few", 20, draw), name) for draw in (3, 5) for name in ("tiny_canny", "tiny_warped")
    }
    assert all(RANDOM in entry["selections"] for entry in study_sets(full))


def test_provenance_knows_what_a_study_names(config):
    config["experiments"] = []
    used = used_config(checked(config))
    assert set(used["trainers"]) == {"resnet"} and set(used["datasets"]) == {"digits"}
    assert set(used["generators"]) == {"tiny_canny", "tiny_warped"}


def test_a_learning_curve_has_n_and_twice_n():
    assert sizes({"real": 50, "curve": [25, 100, 400]}) == [25, 50, 100, 400]


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("dataset", "digts", ["studies.few.dataset", "'digits'"]),
        ("trainer", "yolov8n", ["studies.few.trainer", "'yolo'"]),
        ("others", ["tiny_recombined"], ["studies.few.others", "'recombine'"]),
        ("ratios", [9], ["studies.few", "ratio of 9", "8 `variants`", "'tiny_canny'"]),
        ("ratio", 5, ["ratio of 5", "4 `variants`", "'tiny_warped'"]),
        (
            "filtered",
            [{"generator": "tiny_canny", "selection": "best_half"}],
            ["studies.few.filtered", "put 'best_half' into `selections`"],
        ),
        (
            "filtered",
            [{"generator": "tiny_recombined", "selection": "best_half"}],
            ["studies.few.filtered", "'tiny_recombined' is none of `others`"],
        ),
        ("others", ["tiny_canny"], ["studies.few.others", "take it out of `others`"]),
        ("selections", ["ten"], ["'ten' keeps 10 of 160 images", "fewer than the 40"]),
        ("selections", ["edge"], ["'edge' keeps 32 of 160 images", "fewer than the 40"]),
        ("selections", ["faithful"], ["'faithful' goes by 'condition_fidelity'", "`judges`"]),
        ("selections", ["best"], ["studies.few.selections", "'best'"]),
        ("curve", [99999], ["studies.few", "99999 real images", "datasets.digits.prepare.train"]),
        ("generator", "tiny", ["studies.few.generator", "'tiny'"]),
        ("ratio", 3, ["'best_half' keeps 40 of 80 images of 'tiny_warped'", "fewer than the 60"]),
        ("sead", 1, ["studies.few", "'sead'", "'seeds'"]),
    ],
)
def test_mistakes_are_named(config, key, value, words):
    scored = {"features": "tiny", "score": "mahalanobis"}
    config["selections"] |= {
        "ten": {"method": "top_k", "value": 10} | scored,
        "edge": {"method": "band", "low": 0.2, "high": 0.4} | scored,
        "faithful": {"method": "top_p", "value": 0.5} | scored | {"score": "condition_fidelity"},
    }
    config["studies"]["few"][key] = value
    with pytest.raises(UserError) as error:
        checked(config)
    assert all(word in str(error.value) for word in words), error.value


def test_a_study_wants_a_number_of_steps(config):
    config["trainers"]["resnet"] |= {"steps": None, "epochs": 5}
    with pytest.raises(UserError, match="'resnet' trains for epochs.*give it `steps`"):
        checked(config)


def test_a_study_wants_no_training_that_stops_early(config):
    config["trainers"]["yolov8n"]["patience"] = 3
    config["studies"]["few"] |= {"dataset": "digits_scenes", "trainer": "yolov8n", "judges": []}
    with pytest.raises(UserError, match="'yolov8n' has `patience`"):
        checked(config)


def test_two_arms_of_one_name_are_refused(config):
    config["selections"]["random"] = config["selections"]["best_half"]
    config["studies"]["few"]["selections"] = ["random"]
    with pytest.raises(UserError, match="two arms would be named 'random'"):
        checked(config)


@pytest.mark.parametrize(
    "table, name",
    [("mixes", "few.real"), ("datasets", "few.real20.seed3"), ("datasets", "studies")],
)
def test_names_that_a_study_takes_are_not_free(config, table, name):
    config[table][name] = dict(next(iter(config[table].values())))
    with pytest.raises(UserError, match=f"{table}.{name}: .*choose another"):
        checked(config)


def test_a_pair_s_keys_may_come_in_any_order(config):
    names = [arm["name"] for arm in study_arms(checked(config))]
    config["studies"]["few"]["filtered"] = [{"selection": "best_half", "generator": "tiny_warped"}]
    assert [arm["name"] for arm in study_arms(checked(config))] == names


@pytest.fixture
def stock():
    manifest = pd.DataFrame({"id": [f"{n:03d}" for n in range(60)]})
    labels = pd.DataFrame({"id": manifest["id"], "label": [str(n % 3) for n in range(60)]})
    return manifest, labels


def test_a_larger_draw_contains_the_smaller_and_every_class_alike(stock):
    small, labels = draw_subset(*stock, "classification", "digits", 9, 1)
    large, _ = draw_subset(*stock, "classification", "digits", 30, 1)
    other, _ = draw_subset(*stock, "classification", "digits", 9, 2)
    assert set(small["id"]) < set(large["id"]) and set(small["id"]) != set(other["id"])
    assert labels["label"].value_counts().to_dict() == {"0": 3, "1": 3, "2": 3}
    assert labels["id"].tolist() == small["id"].tolist()


def test_other_pictures_in_the_stock_change_no_order_of_draws(stock):
    manifest, labels = stock
    drawn, _ = draw_subset(manifest, labels, "detection", "scenes", 20, 0)
    fewer = manifest[manifest["id"] != drawn["id"].iloc[0]]
    again, _ = draw_subset(fewer, labels, "detection", "scenes", 20, 0)
    assert len(set(drawn["id"]) & set(again["id"])) == 19


def test_a_stock_that_is_too_small_is_named(stock):
    with pytest.raises(UserError, match="61 real training images.*'digits' has 60"):
        draw_subset(*stock, "classification", "digits", 61, 0)


@pytest.fixture
def pictures(tmp_path):
    """A bright ellipse on a dark, even ground, at the same place as its box."""
    rows = []
    y, x = np.mgrid[:48, :64] + 0.5
    ellipse = ((x - 32) / 12) ** 2 + ((y - 18) / 8) ** 2 <= 1
    for number in range(3):
        pixels = np.full((48, 64, 3), 40, np.uint8)
        pixels[ellipse] = 230
        save_png(tmp_path / f"{number}.png", pixels)
        box = f"1 {32 / 64} {18 / 48} {24 / 64} {16 / 48}"
        rows.append({"id": str(number), "image": str(tmp_path / f"{number}.png"), "label": box})
    return pd.DataFrame(rows)


def test_boxes_move_with_their_objects(pictures, tmp_path):
    made = augment_pictures(
        pictures, {"ratio": 8, "augmentation": CLASSICAL}, "detection", 0, tmp_path / "out"
    )
    assert len(made) == 24 and made["id"].is_unique
    assert made["sha256"].nunique() > 20
    for row in made.itertuples():
        pixels = load_image(row.image)
        assert pixels.shape == (48, 64, 3)
        assert row.label.startswith("1 ") and "\n" not in row.label
        cx, cy, w, h = (float(value) for value in row.label.split()[1:])
        ys, xs = np.nonzero(pixels[..., 0] > 135)
        found = [xs.min() / 64, ys.min() / 48, (xs.max() + 1) / 64, (ys.max() + 1) / 48]
        box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
        np.testing.assert_allclose(found, box, atol=0.04)


NO_CLASSICAL = CLASSICAL | dict.fromkeys(
    ("rotation", "translate", "shear", "brightness", "contrast", "saturation", "hue", "flip"), 0
)
"""Classical augmentation with all of it off but the scale, which is 1."""
NO_CLASSICAL["scale"] = [1.0, 1.0]


def drawn(shape: np.ndarray, extent: tuple[int, int, int, int], settings: dict, number: int):
    """Augment a bright shape; return how bright each pixel is of it, and its box in pixels."""
    height, width = shape.shape
    left, top, right, bottom = extent
    sizes = np.array([width, height] * 2)
    numbers = np.array([left + right, top + bottom, 2 * (right - left), 2 * (bottom - top)])
    line = " ".join(map(repr, (numbers / 2 / sizes).tolist()))
    pixels = np.repeat(np.where(shape, 240, 40).astype(np.uint8)[..., None], 3, axis=2)
    moved, label = augment(pixels, f"0 {line}", settings, (0, "a", number))
    cx, cy, w, h = np.array(label.split()[1:], float) * sizes
    box = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
    shown = (moved[..., 0].astype(float) - 40) / 200
    return np.where(shown > 0.05, shown, 0), box  # without the rounding of filled-in ground


def extent_of(shown: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(shown > 0.5)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])


def test_a_mirrored_object_fills_its_box_to_the_pixel():
    shape = np.zeros((48, 64), bool)
    shape[10:30, 5:25] = True
    for width in (64, 63):
        shown, box = drawn(shape[:, :width], (5, 10, 25, 30), NO_CLASSICAL | {"flip": 1.0}, 0)
        np.testing.assert_array_equal(extent_of(shown), [width - 25, 10, width - 5, 30])
        np.testing.assert_allclose(box, extent_of(shown), atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        {"translate": 0.2},
        {"scale": [0.7, 0.7]},
        {"scale": [1.4, 1.4]},
        {"rotation": 45},
        {"shear": 20},
        {"rotation": 20, "scale": [0.8, 1.2], "shear": 5, "translate": 0.1, "flip": 0.5},
    ],
    ids=["shift", "shrink", "grow", "turn", "shear", "all"],
)
def test_no_transform_moves_boxes_beside_their_objects(change):
    """The middle of a disk's pixels is that of its box, to a small part of a pixel on average."""
    y, x = np.mgrid[:97, :128] + 0.5
    disk = ((x - 72) / 14) ** 2 + ((y - 44) / 14) ** 2 <= 1
    gaps = []
    for number in range(12):
        shown, box = drawn(disk, (58, 30, 86, 58), NO_CLASSICAL | change, number)
        middle = [(shown * axis).sum() / shown.sum() for axis in (x, y)]
        gaps.append((box[:2] + box[2:]) / 2 - middle)
        np.testing.assert_allclose(box, extent_of(shown), atol=1.0)
    np.testing.assert_allclose(np.mean(gaps, axis=0), 0, atol=0.05)
    np.testing.assert_allclose(gaps, 0, atol=0.2)


def test_augmentation_depends_on_seed_source_and_number_alone(pictures, tmp_path):
    settings = {"ratio": 2, "augmentation": CLASSICAL}
    whole = augment_pictures(pictures, settings, "detection", 0, tmp_path / "a")
    alone = augment_pictures(pictures.iloc[1:2], settings, "detection", 0, tmp_path / "b")
    other = augment_pictures(pictures, settings, "detection", 1, tmp_path / "c")
    digests = whole.set_index("id")["sha256"]
    assert digests[alone["id"]].tolist() == alone["sha256"].tolist()
    assert not set(other["sha256"]) & set(whole["sha256"])


def test_an_object_that_left_the_picture_has_no_box():
    pixels = np.full((40, 40, 3), 60, np.uint8)
    settings = CLASSICAL | {"rotation": 0, "shear": 0, "translate": 0.9, "flip": 0}
    labels = [augment(pixels, "0 0.05 0.05 0.1 0.1", settings, (0, "a", n))[1] for n in range(40)]
    assert "" in labels
    assert all(len(label.split()) in (0, 5) for label in labels)


def test_the_box_of_a_turned_object_is_no_looser_than_the_object():
    pixels = np.full((64, 64, 3), 60, np.uint8)
    settings = CLASSICAL | {"rotation": 45, "scale": [1, 1], "shear": 0, "translate": 0, "flip": 0}
    label = f"3 0.5 0.5 {40 / 64} {10 / 64}"
    for number in range(20):
        moved = augment(pixels, label, settings, (0, "a", number))[1].split()
        width, height = (64 * float(side) for side in moved[3:])
        # the semiaxes 20 and 5 of an ellipse, turned by any angle, keep this sum of squares
        assert (width / 2) ** 2 + (height / 2) ** 2 == pytest.approx(20**2 + 5**2, rel=0.01)


def test_a_classification_keeps_its_label(pictures, tmp_path):
    labeled = pictures.assign(label="7")
    settings = {"ratio": 1.5, "augmentation": CLASSICAL}
    made = augment_pictures(labeled, settings, "classification", 0, tmp_path / "out")
    assert made["label"].tolist() == ["7"] * 4
