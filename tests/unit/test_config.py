"""A mistake in the config is named with its key and what it may be."""

import re
import subprocess
import sys
from copy import deepcopy

import pytest
import yaml

from cia.config.checks import checked, refuse_repeated_keys
from cia.config.experiments import arms, generated_sets
from cia.errors import UserError
from conftest import ROOT


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


def change(config: dict, key: str, value) -> dict:
    *parents, last = key.split(".")
    for parent in parents:
        config = config[int(parent) if parent.isdigit() else parent]
    config[last] = value
    return config


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("sed", 1, ["unknown key 'sed'", "did you mean 'seed'"]),
        ("datasets.digits.tsk", 1, ["datasets.digits", "'tsk'", "'task'"]),
        (
            "datasets.digits.task",
            "boxes",
            ["datasets.digits.task", "detection, segmentation, pose, classification"],
        ),
        ("generators.tiny_canny.steps", 0, ["generators.tiny_canny.steps", "minimum of 1"]),
        ("generators.tiny_canny.condition", "cany", ["conditions has no entry 'cany'", "'canny'"]),
        ("selections.best_half.value", 1.5, ["selections.best_half.value", "maximum of 1"]),
        ("selections.best_half.methd", 1, ["selections.best_half", "'methd'", "'method'"]),
        ("prompts.recolored.kind", "poem", ["prompts.recolored.kind", "fixed, captions"]),
        ("experiments.0.mixes", ["rael"], ["experiments.0.mixes", "'rael'", "'real'"]),
        ("experiments.0.trainers", ["resnet"], ["experiments.0.trainers", "'timm'"]),
        ("datasets.report", {"task": "detection", "classes": ["a"]}, ["datasets.report"]),
        ("datasets.a/b", {"task": "detection", "classes": ["a"]}, ["a/b"]),
        ("seed", None, ["seed", "integer"]),
        ("generators.tiny_warped.variation", "waped", ["variations has no entry", "'warped'"]),
        ("variations.warped.max_overlap", 1, ["variations.warped", "'max_overlap'"]),
        ("variations.warped.elastic", 0.1, ["variations.warped.elastic", "maximum of 0.025"]),
        ("variations.warped.scale", [2, 1], ["variations.warped.scale", "smallest (2)"]),
        ("variations.recombined.objects", [3, 2], ["variations.recombined.objects"]),
        ("generators.tiny_canny.guidance_scale", float("nan"), ["tiny_canny.guidance_scale: NaN"]),
        ("mixes.real.synthetic", float("inf"), ["mixes.real.synthetic: infinity"]),
        ("trainers.yolov8n.options.lr0", float("nan"), ["trainers.yolov8n.options.lr0: NaN"]),
        (
            "trainers.resnet.crop_scale",
            [1.0, 0.6],
            ["trainers.resnet.crop_scale: the smallest (1)"],
        ),
        ("conditions.canny.low", 300, ["conditions.canny: low and high: the smallest (300)"]),
        (
            "mixes.real.classical",
            {"ratio": 1, "augmentation": {"scale": [1.2, 0.8]}},
            ["mixes.real.classical.augmentation.scale: the smallest (1.2)"],
        ),
        (
            "selections.best_half",
            {"method": "band", "low": 0.75, "high": 0.25, "features": "tiny"},
            ["selections.best_half: low (0.75) must be below high (0.25)"],
        ),
        (
            "selections.best_half",
            {
                "method": "sequence",
                "steps": [
                    {"method": "top_p", "value": 0.5, "features": "tiny"},
                    {"method": "band", "low": 0.5, "high": 0.5, "features": "tiny"},
                ],
            },
            ["selections.best_half.steps.1: low (0.5)"],
        ),
        ("conditions.canny.size", [16384, 16384], ["conditions.canny.size", "178,956,970 pixels"]),
        ("conditions.canny.size", {"resolution": 32}, ["conditions.canny.size: resolution 32"]),
        ("conditions.canny.size", [512, 500], ["conditions.canny.size"]),
        ("conditions.canny.size", {"resolution": 512, "multiple": 12}, ["conditions.canny.size"]),
        ("conditions.canny.thresholds", "otsu", ["conditions.canny.thresholds", "fixed, auto"]),
        ("conditions.canny.empty", "drop", ["conditions.canny.empty", "keep, skip"]),
        (
            "conditions.skeletons",
            {"extractor": "openpose", "size": [64, 64], "body": False},
            ["conditions.skeletons: one of body, hand and face"],
        ),
        (
            "conditions.masks",
            {"extractor": "yolo_segmentation", "size": [64, 64], "image_size": 100},
            ["conditions.masks.image_size", "multiple of 32"],
        ),
        ("trainers.yolov8n.image_size", 640000, ["trainers.yolov8n: 16 pictures", "no machine"]),
        ("trainers.resnet.batch", 10**9, ["trainers.resnet: 1000000000 pictures", "GB"]),
        ("batch_size", 10**7, ["batch_size: 10000000 pictures", "GB"]),
        ("selections.all\n", {"method": "all"}, ["selections: 'all\\n'", "A name becomes part"]),
        ("datasets.digits.classes", ["one", "two\n"], ["datasets.digits.classes.1", "line break"]),
        ("datasets.digits.classes", ["one", True], ["classes.1", "in quotes", '"yes"']),
        ("datasets.digits.classes", ["one", False], ["classes.1", '"no"']),
        ("datasets.digits.classes", ["one", None], ["classes.1", "in quotes"]),
        ("datasets.digits.classes", ["one", 2], ["classes.1", "in quotes"]),
        ("generators.tiny_canny.guidance_scale", "1e-1", ["tiny_canny.guidance_scale", "1.0e-3"]),
        ("generators.tiny_canny.steps", 9.5, ["generators.tiny_canny.steps", "integer"]),
        ("datasets.models", {"task": "detection", "classes": ["a"]}, ["datasets.models"]),
        (
            "prompts.listed.templates",
            ["{objects} on {papr}"],
            ["prompts.listed: templates[0]: no slot 'papr'"],
        ),
        (
            "generators.tiny_canny.scheduler",
            "UniPCMultistepSchedular",
            ["generators.tiny_canny.scheduler", "did you mean 'UniPCMultistepScheduler'"],
        ),
        ("generators.tiny_canny.scheduler", "DPMSolverSDEScheduler", ["images could not be"]),
        ("trainers.resnet.model", "resnet51", ["trainers.resnet.model", "'resnet50'"]),
        ("trainers.resnet.model", "resnet18.mine", ["trainers.resnet.model", "a1_in1k"]),
        ("features.tiny.model", "timm:botnet50ts_256", ["features.tiny.model", "no pretrained"]),
        ("trainers.yolov8n.options", {"mosiac": 1.0}, ["trainers.yolov8n.options", "'mosaic'"]),
        ("trainers.yolov8n.options", {"epochs": 5}, ["trainers.yolov8n.options", "'epochs'"]),
        ("trainers.yolov8n.options", {"device": "0,1"}, ["'device' can't be set", "workflow's"]),
        ("trainers.yolov8n.options", {"cache": "disk"}, ["cache: disk", "ram"]),
        ("trainers.yolov8n.options", {"split": "test"}, ["'split' can't be set", "workflow's"]),
        ("trainers.yolov8n.options", {"mosaic": 2.0}, ["mosaic: 2.0 is not a number from 0 to 1"]),
        ("trainers.yolov8n.options", {"degrees": "ten"}, ["degrees: 'ten' is not a number"]),
        (
            "trainers.yolov8n.options",
            {"close_mosaic": 0.5},
            ["close_mosaic: 0.5 is not an integer"],
        ),
        ("trainers.yolov8n.options", {"cos_lr": "yes"}, ["cos_lr: 'yes' is not true or false"]),
        ("trainers.yolov8n.options", {"optimizer": "adamv"}, ["optimizer 'adamv'", "adamw"]),
        ("trainers.yolov8n.steps", 401, ["trainers.yolov8n.steps: 401", "multiple of 10"]),
        (
            "generators.tiny_recombined.prompts",
            "recolored",
            ["generators.tiny_recombined.prompts", "'recolored'", "captions", "{objects}"],
        ),
        (
            "experiments.1.generators",
            ["tiny_recombined"],
            ["experiments.1.generators", "'recombine'", "classification", "'warp'"],
        ),
    ],
)
def test_mistakes_are_named(config, key, value, words):
    change(config, key, value)
    with pytest.raises(UserError) as error:
        checked(config)
    for word in words:
        assert word in str(error.value)


def test_what_yaml_reads_as_yes_is_to_be_quoted_as_a_name_too(config):
    config["selections"] |= yaml.safe_load("yes: {method: all}")
    with pytest.raises(UserError, match=r'selections: True .* YAML reads yes.* write "yes"'):
        checked(config)


@pytest.mark.parametrize("end", ["objects", "probabilities", "neighbors"])
def test_a_name_whose_files_would_be_another_entry_s_is_refused(config, end):
    config["features"][f"tiny.{end}"] = {"model": "tiny"}
    with pytest.raises(
        UserError, match=rf"features.tiny.{end}: its file tiny.{end}.* features.tiny"
    ):
        checked(config)


def test_a_whole_number_with_a_point_is_an_integer(config):
    change(config, "trainers.yolov8n.steps", 400.0)
    change(config, "conditions.canny.size", [64.0, 64])
    change(config, "variations.recombined.objects", [1.0, 3.0])
    full = checked(config)
    for number in (
        full["trainers"]["yolov8n"]["steps"],
        *full["conditions"]["canny"]["size"],
        *full["variations"]["recombined"]["objects"],
    ):
        assert isinstance(number, int)
    assert full["trainers"]["yolov8n"]["steps"] == 400


def test_the_largest_size_is_what_pillow_opens():
    from PIL import Image

    from cia.config.values import MOST_PIXELS

    assert MOST_PIXELS == 2 * Image.MAX_IMAGE_PIXELS


def test_every_mistake_is_listed_at_once(config):
    config["shards"], config["batch_size"] = 0, "many"
    with pytest.raises(UserError, match=r"(?s)batch_size.*shards"):
        checked(config)


def test_defaults_are_filled_in_and_the_original_is_left_alone(config):
    del config["seed"]
    full = checked(config)
    assert full["seed"] == 0
    assert full["experiments"][0]["seeds"] == [0]
    assert full["generators"]["tiny_canny"]["conditioning_scale"] == 1.0
    assert full["prompts"]["recolored"]["negative"] == ""
    assert "seed" not in config


def test_a_mix_without_synthetic_images_is_trained_once(config):
    found = arms(checked(config))
    scenes = [arm for arm in found if arm["dataset"] == "digits_scenes"]
    real = [arm for arm in scenes if arm["mix"] == "real"]
    assert [(arm["generator"], arm["selection"]) for arm in real] == [("none", "none")]
    assert {arm["selection"] for arm in scenes if arm["mix"] == "plus_synthetic"} == set(
        config["experiments"][0]["selections"]
    )


def test_sets_join_what_several_experiments_ask(config):
    extra = {**config["experiments"][0], "selections": ["all", "best_half"], "features": ["tiny"]}
    config["experiments"].append(extra)
    sets = generated_sets(checked(config))
    assert len({(entry["dataset"], entry["generator"]) for entry in sets}) == len(sets)


@pytest.mark.parametrize("path", sorted((ROOT / "config/examples").glob("*.yaml")), ids=str)
def test_examples_are_valid_on_top_of_the_default(config, path):
    from snakemake.utils import update_config

    update_config(config, yaml.safe_load(path.read_text()))
    checked(config)


POSE = {"task": "pose", "kpt_shape": [2, 3]}


def with_keypoints(config, variation: dict, augmentation: dict, **dataset) -> dict:
    """Ask for poses by a varied generator, and by classical augmentation."""
    del config["judges"]["detector"]
    config["datasets"]["digits_scenes"] |= POSE | dataset
    config["trainers"]["yolov8n"]["model"] = "yolov8n-pose.yaml"
    config["variations"]["warped"] |= variation
    config["mixes"]["real"]["classical"] = {"ratio": 1, "augmentation": augmentation}
    experiment = config["experiments"][0] | {"judges": [], "generators": ["tiny_warped"]}
    config["experiments"] = [experiment]
    return config


@pytest.mark.parametrize(
    "flips, key",
    [
        (({"flip": 0.5}, {"flip": 0}), "variations.warped.flip"),
        (({}, {}), "mixes.real.classical.augmentation.flip"),  # 0.5 by default
    ],
)
def test_a_mirror_image_of_keypoints_needs_flip_idx(config, flips, key):
    with pytest.raises(UserError, match=f"{key}: dataset 'digits_scenes' has keypoints.*flip_idx"):
        checked(with_keypoints(config, *flips))


def test_keypoints_may_be_mirrored_by_flip_idx_and_need_none_without_a_mirror(config):
    unmirrored = with_keypoints(deepcopy(config), {"flip": 0.0}, {"flip": 0})
    assert checked(unmirrored)
    assert checked(with_keypoints(config, {"flip": 0.5}, {}, flip_idx=[1, 0]))


def test_a_study_s_classical_arm_of_keypoints_needs_flip_idx_too():
    study = yaml.safe_load((ROOT / "config/study.yaml").read_text())
    study["datasets"]["scenes"] |= POSE
    study["trainers"]["yolov8n"]["model"] = "yolov8n-pose.yaml"
    assert checked(deepcopy(study))
    study["studies"]["scenes"]["classical"] = {"flip": 0.5}
    with pytest.raises(UserError, match=r"studies\.scenes\.classical\.flip: dataset 'scenes'"):
        checked(study)


def test_pieces_are_recombined_for_every_task_with_objects_and_no_other(config):
    config["experiments"][0]["generators"] = ["tiny_recombined"]
    assert checked(config)
    config["experiments"][1]["generators"] = ["tiny_recombined"]
    words = "for detection or segmentation or pose, but dataset 'digits' is for classification"
    with pytest.raises(UserError, match=words):
        checked(config)


def test_the_config_page_is_what_the_schemas_say():
    command = [sys.executable, ROOT / "tools/config_docs.py", "--check"]
    assert subprocess.run(command).returncode == 0


@pytest.mark.parametrize(
    "text, line",
    [
        ("experiments: &all\n  - *all\n", 1),
        ("mixes:\n  real: &real\n    synthetic: 0\n    classical: {options: [*real]}\n", 2),
        ("mixes: &mixes\n  real: {<<: *mixes}\n", 1),
    ],
)
def test_an_alias_of_itself_is_refused_in_no_time(tmp_path, text, line):
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(UserError, match=f"my.yaml, line {line}: what begins here holds an alias"):
        refuse_repeated_keys(tmp_path / "my.yaml")


def test_aliases_are_walked_through_once_each(tmp_path):
    """Twenty tables of two aliases each stand for a million."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}" for n in range(1, 40)]
    (tmp_path / "my.yaml").write_text("\n".join(lines))
    refuse_repeated_keys(tmp_path / "my.yaml")
    (tmp_path / "my.yaml").write_text("\n".join([*lines, "z: {k: 1, k: 2}"]))
    with pytest.raises(UserError, match="'k' stands in line 41 already"):
        refuse_repeated_keys(tmp_path / "my.yaml")


@pytest.mark.parametrize(
    "place, key, words",
    [
        ([], "controlnets", "the configuration: 'controlnets' has a new name, 'generators'"),
        (["experiments", 0], "controlnets", "experiments.0: 'controlnets' has a new name, 'gener"),
        (["studies", "few"], "controlnet", "studies.few: 'controlnet' has a new name, 'generator'"),
        (
            ["studies", "few", "filtered", 0],
            "controlnet",
            "filtered.0: 'controlnet' has a new name",
        ),
        (["features", "tiny"], "neighbors", "write `scores: {neighbors: ...}` at the top"),
        (["features", "tiny"], "per_class", "write `scores: {per_class: ...}` at the top"),
    ],
)
def test_a_key_of_an_earlier_version_says_its_name_or_place_of_now(config, place, key, words):
    config["studies"] = {
        "few": {"filtered": [{"generator": "a", "selection": "b"}], "generator": "a"}
    }
    table = config
    for name in place:
        table = table[name]
    table[key] = table.pop({"controlnets": "generators", "controlnet": "generator"}.get(key), 3)
    with pytest.raises(UserError) as error:
        checked(config)
    message = str(error.value)
    assert words in message and not re.search("'generators?' is a required", message)


@pytest.mark.parametrize("place", [("generators", "tiny_canny"), ("mixes", "real")])
def test_an_old_key_elsewhere_is_an_unknown_key(config, place):
    config[place[0]][place[1]]["controlnets"] = 3
    with pytest.raises(UserError, match="unknown key 'controlnets'"):
        checked(config)


def posed(config: dict, **labels) -> dict:
    """A configuration whose scenes have keypoints, and whose detector learns them."""
    scenes = config["datasets"]["digits_scenes"]
    scenes |= {"task": "pose", "kpt_shape": [3, 3], "flip_idx": [0, 1, 2], **labels}
    config["trainers"]["yolov8n"] |= {"model": "yolov8n-pose.yaml"}
    return config


@pytest.mark.parametrize(
    "labels, words",
    [
        ({"kpt_shape": None}, ["digits_scenes.kpt_shape", "[17, 3] says"]),
        ({"kpt_shape": False}, ["digits_scenes.kpt_shape", "[17, 3] says"]),
        ({"flip_idx": [0, 1]}, ["flip_idx: [0, 1] does not name each of the keypoints 0 to 2"]),
        ({"flip_idx": [1, 2, 0]}, ["flip_idx: [1, 2, 0]: keypoints that are mirrored twice"]),
        ({"skeleton": [[0, 3]]}, ["skeleton: [0, 3] is no pair of two of the keypoints 0 to 2"]),
        ({"skeleton": [[1, 1]]}, ["skeleton: [1, 1]"]),
        ({"keypoints": ["top", "end"]}, ["keypoints: 2 names for 3 keypoints"]),
        ({"task": "segmentation"}, ["kpt_shape: a dataset for segmentation has no keypoints"]),
        (
            {"task": "detection"},
            ["digits_scenes.flip_idx: a dataset for detection has no keypoints; leave it out"],
        ),
    ],
)
def test_what_a_dataset_says_of_its_keypoints_must_fit(config, labels, words):
    with pytest.raises(UserError) as error:
        checked(posed(config, **labels))
    for word in words:
        assert word in str(error.value)


def test_keypoints_with_all_that_is_said_of_them_are_fine(config):
    labels = {"flip_idx": [1, 0, 2], "skeleton": [[0, 2]], "keypoints": ["left", "right", "end"]}
    checked(posed(config, **labels))


@pytest.mark.parametrize(
    "model, better",
    [
        ("yolov8n.yaml", "which is for detection, .* is for pose; take 'yolov8n-pose.yaml'"),
        ("yolo11n-seg.yaml", "which is for segmentation, .* take 'yolo11n-pose.yaml'"),
        ("weights/yolo11n-seg.pt", "which is for segmentation, .* take 'weights/yolo11n-pose.pt'"),
        ("yolov9c-seg.yaml", "which is for segmentation, but dataset .* is for pose$"),
    ],
)
def test_a_model_whose_name_tells_another_task_is_an_error(config, model, better):
    config = posed(config)
    config["trainers"]["yolov8n"]["model"] = model
    with pytest.raises(UserError) as error:
        checked(config)
    assert re.search(better, str(error.value), re.M)


def test_weights_with_a_name_of_ones_own_may_be_for_any_task(config):
    config = posed(config)
    config["trainers"]["yolov8n"]["model"] = "weights/people-seg.pt"
    checked(config)


def test_mirroring_keypoints_that_nothing_says_how_to_mirror_is_an_error(config):
    config = posed(config)
    del config["datasets"]["digits_scenes"]["flip_idx"]
    checked(config)  # fliplr is 0 in the demo
    config["trainers"]["yolov8n"]["options"]["fliplr"] = 0.5
    with pytest.raises(UserError, match=r"'yolov8n' has options.fliplr, but .* its `flip_idx`"):
        checked(config)


def test_a_classifier_does_not_learn_masks(config):
    config["datasets"]["digits_scenes"]["task"] = "segmentation"
    config["experiments"][0] |= {"trainers": ["resnet"], "judges": []}
    with pytest.raises(UserError, match="is for segmentation, which takes kind 'yolo'"):
        checked(config)


def test_a_study_of_keypoints_knows_what_they_are(config):
    config = posed(config, skeleton=[[0, 1]])
    with_scenes = {"dataset": "digits_scenes", "real": 4, "seeds": [0], "trainer": "yolov8n"}
    with_scenes |= {"features": ["tiny"]}
    config["studies"] = {"few": {**with_scenes, "generator": "tiny_canny", "judges": []}}
    subset = checked(config)["datasets"]["few.real4.seed0"]
    for key in ("task", "kpt_shape", "flip_idx", "skeleton"):
        assert subset[key] == config["datasets"]["digits_scenes"][key]
