"""The config takes classes and splits from a source, keeps what it read, names mistakes."""

import json
from pathlib import Path

import pytest
import yaml

from cia.config import sources
from cia.config.checks import checked
from cia.config.experiments import used_config
from cia.config.sources import KEPT, with_sources
from cia.errors import UserError
from cia.importing.choices import choose_classes, require_splits
from conftest import ROOT
from datasets_elsewhere import picture

SPLIT = {"train": 0.6, "val": 0.2, "test": 0.2}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The demo's configuration, whose detector learns a folder of classes instead."""
    monkeypatch.chdir(tmp_path)
    for kind in ("cat", "dog"):
        picture(tmp_path / "pets" / kind / "1.png")
    full = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    full["datasets"]["pets"] = {
        "task": "classification",
        "source": {"format": "imagefolder", "path": "pets"},
        "split": SPLIT,
    }
    full["experiments"] = [full["experiments"][1] | {"dataset": "pets"}]
    return full


def resolved(config: dict, in_a_run: bool = False) -> dict:
    sources._fingerprint.cache_clear()  # as a new process has it
    full = checked(config)
    return with_sources(full, used_config(full), in_a_run)


def test_classes_come_from_the_source_and_may_be_renamed_and_merged(config):
    entry = resolved(config)["datasets"]["pets"]
    assert entry["classes"] == ["cat", "dog"]
    assert entry["source"]["classes"] == {"cat": ["cat"], "dog": ["dog"]}
    config["datasets"]["pets"]["classes"] = {"pet": ["dog", "cat"]}
    entry = resolved(config)["datasets"]["pets"]
    assert entry["classes"] == ["pet"] and entry["source"]["classes"] == {"pet": ["dog", "cat"]}


def test_a_study_s_subsets_have_the_source_s_classes_too(config):
    study = yaml.safe_load((ROOT / "config/study.yaml").read_text())
    config |= {key: study[key] for key in study if key != "datasets"}
    config["studies"] = {"digits": config["studies"]["digits"] | {"dataset": "pets"}}
    config["experiments"] = []
    full = resolved(config)
    subsets = [entry for entry in full["datasets"].values() if "subset" in entry]
    assert subsets and all(entry["classes"] == ["cat", "dog"] for entry in subsets)
    assert all("source" not in entry for entry in subsets)


def test_a_source_that_nothing_uses_is_not_looked_at(config):
    config["datasets"]["other"] = {
        "task": "detection",
        "source": {"format": "coco", "path": "not there.json"},
    }
    assert resolved(config)["datasets"]["other"]["source"]["path"] == "not there.json"


def test_what_a_source_says_is_read_again_when_its_files_change_and_not_by_jobs(
    config, monkeypatch
):
    read = []
    describe = sources.code(sources.SOURCES["imagefolder"]).describe
    monkeypatch.setattr(
        "cia.importing.imagefolder.describe",
        lambda *given: read.append(given) or describe(*given),
    )
    resolved(config)
    assert resolved(config)["datasets"]["pets"]["classes"] == ["cat", "dog"]
    assert len(read) == 1 and len(list(KEPT.iterdir())) == 1
    picture(Path("pets/cow/1.png"))
    assert resolved(config, in_a_run=True)["datasets"]["pets"]["classes"] == ["cat", "dog"]
    assert resolved(config)["datasets"]["pets"]["classes"] == ["cat", "cow", "dog"]
    assert len(read) == 2


def test_keypoints_are_as_the_source_says_unless_the_config_does(config):
    person = {"id": 1, "name": "person", "keypoints": ["a", "b"], "skeleton": [[1, 2]]}
    picture(Path("photos/1.png"))
    images = [{"id": 1, "file_name": "1.png", "width": 64, "height": 48}]
    content = {"images": images, "annotations": [], "categories": [person]}
    Path("photos/all.json").write_text(json.dumps(content))
    entry = {"task": "pose", "source": {"format": "coco", "path": "photos/all.json"}}
    config["datasets"]["people"] = entry | {"split": SPLIT}
    full = checked(config)
    found = with_sources(full, {"datasets": ["people"]})["datasets"]["people"]
    assert found["kpt_shape"] == [2, 3] and found["skeleton"] == [[0, 1]]
    assert found["keypoints"] == ["a", "b"]
    config["datasets"]["people"]["kpt_shape"] = [1, 3]
    with pytest.raises(UserError, match="no pair of two of the keypoints 0 to 0"):
        with_sources(checked(config), {"datasets": ["people"]})


def test_a_class_with_a_line_break_is_refused(config):
    picture(Path("pets/two\nlines/1.png"))
    with pytest.raises(UserError, match="datasets.pets.classes.2: .*line break"):
        resolved(config)


def test_a_class_that_is_named_with_another_one_s_index_is_to_be_renamed(config):
    for number in (1, 2):
        picture(Path(f"pets/{number}/1.png"))
    config["datasets"]["pets"]["classes"] = ["1", "2"]
    with pytest.raises(UserError, match='\'1\' would be the name of class 0.*"class 1": "1"'):
        resolved(config)
    config["datasets"]["pets"]["classes"] = {"class 1": "1", "class 2": "2"}
    assert resolved(config)["datasets"]["pets"]["classes"] == ["class 1", "class 2"]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"classes": ["cat", "dgo"]}, "datasets.pets: classes: .*no class 'dgo'; did you mean"),
        ({"split": None}, r"datasets.pets.source: it names no splits.* split: \{train: 0.7"),
        ({"split": SPLIT | {"val": 0.3}}, "the shares sum up to 1.1; make it 1"),
        ({"source": {"format": "imagefolder", "path": "pts"}}, "there is no folder 'pts' in "),
        ({"source": {"format": "imagefolder", "path": "~/x"}}, r"'~' stands for nothing here"),
        (
            {"source": {"format": "imagefolder", "path": "."}},
            "path: .* holds data/real, where imports",
        ),
        ({"task": "detection"}, "datasets.pets.source.format: 'imagefolder' has no labels for"),
        ({"prepare": {"kind": "digits", "train": 1, "val": 1, "test": 1}}, "leave one out"),
        ({"source": None}, "datasets.pets: `classes` is missing; only a `source` could name them"),
        ({"source": None, "classes": {"a": "b"}}, "without a `source` there is nothing to rename"),
        ({"source": None, "classes": ["a"]}, "only a dataset with a `source` can be split"),
        ({"source": {"format": "coko", "path": "x"}}, "'coko' is none of coco, yolo, voc"),
        ({"source": {"format": "voc", "pth": "x"}}, "unknown key 'pth'; did you mean 'path'"),
        ({"source": {"format": "coco", "path": {"trian": "x"}}}, "unknown key 'trian'"),
    ],
)
def test_mistakes_are_named(config, change, words):
    entry = {**config["datasets"]["pets"], **change}
    config["datasets"]["pets"] = {key: value for key, value in entry.items() if value is not None}
    with pytest.raises(UserError, match=f"(?s){words}"):
        resolved(config)


@pytest.mark.parametrize(
    "chosen, names, expected",
    [
        (None, ("a", "b"), {"a": ["a"], "b": ["b"]}),
        (["b"], ("a", "b"), {"b": ["b"]}),
        (["zero", "one"], ("0", "1"), {"zero": ["0"], "one": ["1"]}),
        (["1", "0"], ("0", "1"), {"1": ["1"], "0": ["0"]}),
        ({"ab": ["a", "b"]}, ("a", "b"), {"ab": ["a", "b"]}),
        ({"A": "a"}, None, {"A": ["a"]}),
    ],
)
def test_classes_are_chosen_by_list_and_by_table(chosen, names, expected):
    assert choose_classes(chosen, names) == expected


@pytest.mark.parametrize(
    "chosen, names, words",
    [
        (["zero"], ("0", "1"), "1 names for the source's 2 numbers"),
        ({"x": ["a"], "y": ["a"]}, ("a",), "'a' stands for two classes"),
        (None, None, "`classes` is missing, and the source names none"),
    ],
)
def test_classes_that_can_t_be_chosen_are_named(chosen, names, words):
    with pytest.raises(UserError, match=words):
        choose_classes(chosen, names)


def test_splits_that_are_not_known_yet_are_no_mistake():
    require_splits(None, None)
    require_splits(("train", "val", "test"), None)
    require_splits((), SPLIT)
    with pytest.raises(UserError, match=r"it has train, but no val and no test\."):
        require_splits(("train",), None)
