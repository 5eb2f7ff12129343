"""A mistake in the config is named with its key and what it may be."""

import subprocess
import sys

import pytest
import yaml

from cia.config import arms, checked, generated_sets, refuse_repeated_keys
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
        ("datasets.digits.task", "boxes", ["datasets.digits.task", "detection, classification"]),
        ("controlnets.tiny_canny.steps", 0, ["controlnets.tiny_canny.steps", "minimum of 1"]),
        ("controlnets.tiny_canny.condition", "cany", ["conditions has no entry 'cany'", "'canny'"]),
        ("selections.best_half.value", 1.5, ["selections.best_half.value", "maximum of 1"]),
        ("selections.best_half.methd", 1, ["selections.best_half", "'methd'", "'method'"]),
        ("prompts.recolored.kind", "poem", ["prompts.recolored.kind", "fixed, captions"]),
        ("experiments.0.mixes", ["rael"], ["experiments.0.mixes", "'rael'", "'real'"]),
        ("experiments.0.trainers", ["resnet"], ["experiments.0.trainers", "'timm'"]),
        ("datasets.report", {"task": "detection", "classes": ["a"]}, ["datasets.report"]),
        ("datasets.a/b", {"task": "detection", "classes": ["a"]}, ["a/b"]),
        ("seed", None, ["seed", "integer"]),
        ("controlnets.tiny_warped.variation", "waped", ["variations has no entry", "'warped'"]),
        ("variations.warped.max_overlap", 1, ["variations.warped", "'max_overlap'"]),
        ("variations.warped.elastic", 0.1, ["variations.warped.elastic", "maximum of 0.025"]),
        ("variations.warped.scale", [2, 1], ["variations.warped.scale", "smallest (2)"]),
        ("variations.recombined.objects", [3, 2], ["variations.recombined.objects"]),
        (
            "controlnets.tiny_recombined.prompts",
            "recolored",
            ["controlnets.tiny_recombined.prompts", "'recolored'", "captions", "{objects}"],
        ),
        (
            "experiments.1.controlnets",
            ["tiny_recombined"],
            ["experiments.1.controlnets", "'recombine'", "classification", "'warp'"],
        ),
    ],
)
def test_mistakes_are_named(config, key, value, words):
    change(config, key, value)
    with pytest.raises(UserError) as error:
        checked(config)
    for word in words:
        assert word in str(error.value)


def test_every_mistake_is_listed_at_once(config):
    config["shards"], config["batch_size"] = 0, "many"
    with pytest.raises(UserError, match=r"(?s)batch_size.*shards"):
        checked(config)


def test_defaults_are_filled_in_and_the_original_is_left_alone(config):
    del config["seed"]
    full = checked(config)
    assert full["seed"] == 0
    assert full["experiments"][0]["seeds"] == [0]
    assert full["controlnets"]["tiny_canny"]["conditioning_scale"] == 1.0
    assert full["prompts"]["recolored"]["negative"] == ""
    assert "seed" not in config


def test_a_mix_without_synthetic_images_is_trained_once(config):
    found = arms(checked(config))
    scenes = [arm for arm in found if arm["dataset"] == "digits_scenes"]
    real = [arm for arm in scenes if arm["mix"] == "real"]
    assert [(arm["controlnet"], arm["selection"]) for arm in real] == [("none", "none")]
    assert {arm["selection"] for arm in scenes if arm["mix"] == "plus_synthetic"} == set(
        config["experiments"][0]["selections"]
    )


def test_sets_join_what_several_experiments_ask(config):
    extra = {**config["experiments"][0], "selections": ["all", "best_half"], "features": ["tiny"]}
    config["experiments"].append(extra)
    sets = generated_sets(checked(config))
    assert len({(entry["dataset"], entry["controlnet"]) for entry in sets}) == len(sets)


@pytest.mark.parametrize("path", sorted((ROOT / "config/examples").glob("*.yaml")), ids=str)
def test_examples_are_valid_on_top_of_the_default(config, path):
    from snakemake.utils import update_config

    update_config(config, yaml.safe_load(path.read_text()))
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
