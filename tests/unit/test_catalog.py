"""The catalog's entries lead to code and schemas, and its import costs a dry run nothing."""

import inspect
import re
import subprocess
import sys
from dataclasses import is_dataclass

import pytest

from cia import catalog
from cia.config.checks import SCHEMA_FOLDER, load_schema
from conftest import ROOT

ARGUMENTS = {
    "VARIATIONS": ["maps", "objects", "settings", "interpolation"],
    "FEATURES": ["settings", "device", "variant"],
    "METRICS": ["sets"],
    "SCORES": ["inputs"],
    "JUDGES": ["case", "settings"],
}
"""What the functions of each kind take."""

REGISTRIES = ("SOURCES", "CONDITIONS", *ARGUMENTS, "TRAINERS", "EXPORTS")


def arguments(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_importing_the_catalog_imports_no_library():
    code = "import sys, cia.catalog; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "cia" in loaded
    assert not loaded & {"numpy", "pandas", "torch", "PIL", "cv2", "yaml", "scipy", "sklearn"}
    assert [name for name in done.stdout.split() if name.startswith("cia")] == [
        "cia",
        "cia.catalog",
    ]


@pytest.mark.parametrize(
    "kind, name", [(kind, name) for kind in ARGUMENTS for name in getattr(catalog, kind)]
)
def test_every_function_takes_what_its_kind_takes(kind, name):
    found = catalog.code(getattr(catalog, kind)[name])
    assert arguments(found) == ARGUMENTS[kind]


@pytest.mark.parametrize("name", catalog.CONDITIONS)
def test_every_extractor_is_a_dataclass_that_says_how_its_maps_are_moved_and_compared(name):
    found = catalog.code(catalog.CONDITIONS[name])
    assert is_dataclass(found) and found.nothing and callable(found.compare)
    assert found.interpolation in ("lines", "linear", "nearest")
    assert arguments(found.extract) == ["self", "pictures", "sizes"]
    assert arguments(found.weights) == ["self"]


@pytest.mark.parametrize("name", catalog.TRAINERS)
def test_every_trainer_trains_tests_and_predicts_by_the_same_signatures(name):
    found = catalog.code(catalog.TRAINERS[name])
    assert arguments(found.train) == ["training"]
    assert arguments(found.test) == ["training", "weights"]
    assert arguments(found.predict) == ["weights", "settings", "reading"]


@pytest.mark.parametrize("name", catalog.SOURCES)
def test_every_source_describes_watches_and_reads_by_the_same_signatures(name):
    found = catalog.code(catalog.SOURCES[name])
    assert arguments(found.describe) == ["settings", "task"]
    assert arguments(found.watch) == ["settings"]
    assert arguments(found.read) == ["settings", "wanted"]


@pytest.mark.parametrize("name", catalog.SOURCES)
def test_a_dry_run_describes_a_source_without_heavy_libraries(name):
    module = catalog.SOURCES[name].code
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "cia" in loaded and not loaded & {"numpy", "pandas", "PIL", "datasets", "pycocotools"}


@pytest.mark.parametrize("name", catalog.EXPORTS)
def test_every_format_writes_by_the_same_signatures(name):
    found = catalog.code(catalog.EXPORTS[name])
    assert arguments(found.picture_path) == ["picture", "name", "classes"]
    assert arguments(found.write) == ["folder", "data", "paths"]


def test_names_are_words_that_a_pattern_and_a_path_can_hold():
    for kind in REGISTRIES:
        assert all(re.fullmatch(r"[a-z]\w*", name) for name in getattr(catalog, kind)), kind


def test_no_two_parts_give_a_number_of_one_name_and_each_has_a_better_end():
    parts = [*catalog.METRICS.values(), *catalog.SCORES.values(), *catalog.JUDGES.values()]
    names = [name for part in parts for name in part.gives]
    assert len(names) == len(set(names))
    numbers = catalog.metric_numbers() | catalog.score_numbers()
    assert set(numbers) == set(names)
    assert {number.better for number in numbers.values()} == {"lower", "higher"}
    assert all(number.least < number.most for number in numbers.values())


def test_a_column_of_a_judge_leads_to_its_kind():
    assert catalog.judge_of("label_iou") == "label_survival"
    assert catalog.judge_of("realism") is None


def test_judges_need_what_the_rules_know():
    known = {"condition", "labels", "model"}
    assert {need for judge in catalog.JUDGES.values() for need in judge.needs} == known


@pytest.mark.parametrize("table", catalog.KINDS)
def test_a_table_s_schema_has_a_branch_for_each_part_and_no_file_is_left_over(table):
    schema = load_schema(f"{table}.yaml")
    parts = catalog.KINDS[table].parts
    branches = [branch["then"]["$ref"].removeprefix("#/$defs/") for branch in schema["allOf"]]
    assert branches == list(parts)
    assert {path.stem for path in (SCHEMA_FOLDER / table).glob("*.yaml")} == set(parts)
    for name in parts:
        assert not schema["$defs"][name]["additionalProperties"]
        assert f"{name} - " in schema["properties"][catalog.KINDS[table].key][
            "description"
        ].replace(":NAME", "")


def test_the_embedded_weights_are_there():
    folders = [feature.embedded for feature in catalog.FEATURES.values() if feature.embedded]
    assert folders and all((ROOT / folder / "config.json").is_file() for folder in folders)
