"""A part of one's own is a module and an entry: those of docs/extending.md, added and run."""

import filecmp
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from cia.files import read_yaml
from cia.images import load_image
from cia.tables import read_table
from project import ROOT, Project

EXAMPLE = re.compile(r"^`([\w./]+)`(?:, in `(\w+)`)?:\n\n```\w+\n(.*?)^```$", re.M | re.S)
KINDS = {"CONDITIONS", "VARIATIONS", "FEATURES", "METRICS", "SCORES", "JUDGES", "TRAINERS"}
CATALOG = "scripts/cia/catalog.py"
SET = "results/digits/mirrored"
COPIED = ("Snakefile", "rules", "scripts")


def examples() -> list[tuple[str, str, str]]:
    """Path, name of a registry (or nothing) and text of each example in the page."""
    return EXAMPLE.findall((ROOT / "docs" / "extending.md").read_text())


def add_parts(folder: Path) -> None:
    for path, registry, text in examples():
        target = folder / path
        if registry:
            content = target.read_text()
            start = content.index(f"\n{registry} = {{\n")
            end = content.index("\n}\n", start) + 1
            target.write_text(content[:end] + text + content[end:])
        else:
            assert not target.exists(), path
            target.write_text(text)


def configure(project: Project) -> None:
    config = project.config
    config["shards"] = 1
    config["conditions"] = {"sobel": {"extractor": "sobel", "size": [64, 64], "gain": 2.0}}
    config["variations"] = {"mirror": {"kind": "mirror", "probability": 1}}
    mirrored = {**config["generators"]["tiny_canny"], "condition": "sobel", "variation": "mirror"}
    config["generators"] = {"mirrored": {**mirrored, "variants": 1}}
    config["features"] = {"colors": {"model": "colors", "grid": 1}}
    config["trainers"] = {"softmax": {"kind": "softmax", "model": "pixels", "steps": 10, "rate": 1}}
    config["judges"] = {
        "bright": {"kind": "brightness", "wanted": 0.25},
        "reader": {"kind": "label_survival", "trainer": "softmax", "mix": "real"},
        "fidelity": {"kind": "condition_fidelity"},
    }
    half = {"method": "top_p", "value": 0.5, "features": "colors"}
    config["selections"] = {"near": {**half, "score": "offset"}}
    config["experiments"] = [
        {
            "dataset": "digits",
            "generators": ["mirrored"],
            "features": ["colors"],
            "judges": list(config["judges"]),
            "selections": ["near"],
            "mixes": ["plus_synthetic"],
            "trainers": ["softmax"],
            "seeds": [0],
        }
    ]


@pytest.fixture(scope="module")
def extended(tmp_path_factory, finished) -> Project:
    project = finished.copy(tmp_path_factory.mktemp("extended") / "project")
    for name in COPIED:
        (project.folder / name).unlink()
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, project.folder / name)
    add_parts(project.folder)
    configure(project)
    project.run("all")
    return project


def table(project, path, kind=None):
    return read_table(project.folder / path, kind)


def test_the_page_has_an_example_of_each_kind():
    assert {registry for _, registry, _ in examples()} - {""} == KINDS


def test_nothing_of_the_project_is_touched_but_the_catalog(extended):
    made = {path for path, registry, _ in examples() if not registry}
    for part in ("rules", "scripts", "config/schema"):
        theirs = {
            path.relative_to(ROOT).as_posix(): path
            for path in (ROOT / part).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        ours = {
            path.relative_to(extended.folder).as_posix(): path
            for path in (extended.folder / part).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert set(ours) - set(theirs) == {path for path in made if path.startswith(part)}
        changed = [name for name in theirs if not filecmp.cmp(theirs[name], ours[name], False)]
        assert changed == [CATALOG] * (part == "scripts")


def test_the_extractor_draws_maps_and_the_variation_mirrors_them(extended):
    maps = table(extended, "data/conditions/digits/sobel/manifest.csv", "conditions")
    varied = table(extended, "data/varied/digits/mirrored/manifest.csv", "varied")
    assert len(varied) == len(maps) == 8
    images = maps.set_index("id")["image"]
    for row in varied.itertuples():
        drawn = load_image(extended.folder / images[row.source])
        assert len(np.unique(drawn)) > 2  # gray, where canny's are black and white
        assert (load_image(extended.folder / row.image) == drawn[:, ::-1]).all()


def test_a_varied_classification_keeps_its_class(extended):
    labels = table(extended, "results/generated/digits/mirrored/labels.csv", "labels")
    plan = table(extended, f"{SET}/plan.csv", "plan").set_index("id")
    real = table(extended, "results/real/digits/train/labels.csv", "labels").set_index("id")
    assert len(labels) == 8
    for row in labels.itertuples():
        assert row.label == real.at[plan.at[row.id, "source"], "label"]


def test_the_feature_model_s_features_are_mean_colors(extended):
    root = extended.folder / "results/generated/digits/mirrored/features"
    features, rows = np.load(root / "colors.npy"), read_table(root / "colors.csv", "rows")
    expected = [
        load_image(extended.folder / path).mean(axis=(0, 1)) / 255 for path in rows["image"]
    ]
    np.testing.assert_allclose(features, expected, atol=0.01)


def test_the_metric_has_a_value_an_interval_a_floor_and_a_place_in_the_report(extended):
    metric = read_yaml(extended.folder / SET / "metrics/colors.yaml")["metrics"]["mean_distance"]
    sets = [
        np.load(extended.folder / f"results/{name}/features/colors.npy").mean(axis=0)
        for name in ("real/digits/train", "generated/digits/mirrored")
    ]
    assert metric["value"] == pytest.approx(np.linalg.norm(sets[0] - sets[1]), rel=1e-5)
    assert metric["direction"] == "lower" and 0 <= metric["low"] < metric["high"]
    assert {"floor", "matched"} <= set(metric)
    page = (extended.folder / "results/report/metrics/digits/mirrored.md").read_text()
    assert "mean distance" in page


def test_scores_and_judgements_are_columns_and_a_selection_goes_by_them(extended):
    scores = table(extended, f"{SET}/scores/colors.csv")
    assert {"mahalanobis", "offset", "brightness_error", "label_confidence"} <= set(scores)
    assert scores[["offset", "brightness_error", "label_confidence"]].notna().all(axis=None)
    kept = table(extended, f"{SET}/selected/near.csv", "selected")["id"]
    assert set(kept) == set(scores.nsmallest(4, "offset")["id"])
    report = (extended.folder / "results/report/gallery.html").read_text()
    assert "brightness_error" in report


def test_the_judge_of_labels_reads_by_the_new_trainer(extended):
    judged = table(extended, f"{SET}/judged/reader/0.csv")
    assert judged["label_confidence"].between(0, 1).all()
    model = extended.folder / "results/digits/none/models/none/real/softmax/seed0"
    record = read_yaml(model / "trained.yaml")
    weights = np.load(model / record["weights"]["file"])
    assert record["steps"] == 10 and weights.shape == (65, 10) and weights.any()


def test_the_trained_model_is_tested(extended):
    arm = f"{SET}/models/near/plus_synthetic/softmax/seed0"
    metrics = read_yaml(extended.folder / arm / "metrics.yaml")
    assert metrics["task"] == "classification" and 0 <= metrics["test"]["accuracy"] <= 1
    assert metrics["n"]["train_synthetic"] == 4
    assert len(table(extended, f"{arm}/test.csv")) == 6


def test_a_wrong_setting_of_a_new_part_is_named(extended):
    wrong = Project.__new__(Project)
    wrong.folder, wrong.config = extended.folder, {**extended.config}
    wrong.config["variations"] = {"mirror": {"kind": "mirror", "probabilty": 1}}
    output = wrong.snakemake("--dry-run", fails=True)
    extended.write_config()
    assert "variations.mirror: unknown key 'probabilty'; did you mean 'probability'?" in output
