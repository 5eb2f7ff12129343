"""From a COCO file and a flat folder of photographs to checked labels: one entry in the config."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cia.files import read_yaml
from cia.tables import read_table
from project import ROOT, Project

CATEGORIES = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 90, "name": "cow"}]
LABELS = [f"results/real/pets/{split}/labels.csv" for split in ("train", "val", "test")]
COUNT = 20


def write_photograph(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="JPEG")


def write_coco(folder: Path, count: int) -> None:
    """Each photograph shows a cat or a dog, and every fourth a cow as well."""
    images, annotations = [], []
    for number in range(count):
        id_ = 1000 + 3 * number
        size = {"width": 64, "height": 48}
        images.append({"id": id_, "file_name": name(number), **size})
        for category in [7 if number % 2 else 3] + [90] * (number % 4 == 0):
            box = {"image_id": id_, "category_id": category, "bbox": [8, 6, 16, 12]}
            annotations.append({"id": len(annotations), "iscrowd": 0, **box})
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (folder / "pets.json").write_text(json.dumps(content))


def name(number: int) -> str:
    return f"Foto {number:02d} #ü.v%1.JPG"


@pytest.fixture
def pets(tmp_path) -> Project:
    """A project with one dataset, whose source can't be written to."""
    source = tmp_path / "source"
    (source / "photos").mkdir(parents=True)
    for number in range(COUNT):
        write_photograph(source / "photos" / name(number), number)
    write_coco(source, COUNT)
    project = Project(tmp_path / "project")
    project.config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    project.config["datasets"]["pets"] = {
        "task": "detection",
        "classes": {"pet": ["cat", "dog"], "cattle": "cow"},
        "source": {"format": "coco", "path": "../source/pets.json", "images": "../source/photos"},
        "split": {"train": 0.5, "val": 0.25, "test": 0.25},
    }
    experiment = project.config["experiments"][0]
    project.config["experiments"] = [experiment | {"dataset": "pets"}]
    return project


def splits(project: Project) -> dict[str, str]:
    return {
        row.name: split
        for split in ("train", "val", "test")
        for row in read_table(
            project.folder / f"data/real/pets/{split}/imported.csv", "imported"
        ).itertuples(index=False)
    }


def test_a_coco_file_becomes_links_and_labels_and_only_what_changed_there_is_read_again(pets):
    source = pets.folder.parent / "source"
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    assert pets.planned(*LABELS) == {"import": 1, "scan": 3, "label": 3}
    pets.run(*LABELS)
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before
    first = splits(pets)
    counts = [list(first.values()).count(split) for split in ("train", "val", "test")]
    assert counts == [10, 5, 5]
    images = sorted((pets.folder / "data/real/pets/val/images").iterdir())
    assert all(os.readlink(path) == str(source / "photos" / path.name) for path in images)
    labels = [row.label for path in LABELS for row in table(pets, path)]
    assert set(labels) == {
        "0 0.250000 0.250000 0.250000 0.250000",
        "0 0.250000 0.250000 0.250000 0.250000\n1 0.250000 0.250000 0.250000 0.250000",
    }
    assert read_yaml(pets.folder / "results/real/pets/imported.yaml")["classes"] == {
        "pet": ["cat", "dog"],
        "cattle": ["cow"],
    }
    assert pets.planned(*LABELS) == {}

    write_photograph(source / "photos" / name(COUNT), COUNT)
    assert pets.planned(*LABELS)["import"] == 1, "a new picture is not seen"
    write_coco(source, COUNT + 1)
    (source / "photos" / name(0)).unlink()
    write_photograph(source / "photos" / "not listed.jpg", 99)
    pets.config["max_rejected"] = 0.5
    pets.run(*LABELS)
    second = splits(pets)
    assert {key: second[key] for key in first} == first, "a picture changed its split"
    assert set(second) - set(first) == {name(COUNT)}
    rejected = {
        Path(row.file).name: row.reason
        for split in ("train", "val", "test")
        for row in table(pets, f"results/real/pets/{split}/rejected.csv", "rejected")
    }
    assert "broken link" in rejected[name(0)]
    assert rejected["not listed.jpg"] == "unlabeled: pets.json does not list it"
    assert pets.planned(*LABELS) == {}

    write_photograph(source / "photos" / name(1), 77)  # in place: the list of names is the same
    assert set(pets.planned(*LABELS)) == {"import", "scan"} | {"label"}
    pets.config["datasets"]["pets"]["classes"] = ["cat"]
    assert pets.planned(*LABELS) == {"import": 1, "scan": 3, "label": 3}


def test_mistakes_about_a_source_are_told_by_a_dry_run(pets):
    entry = pets.config["datasets"]["pets"]
    entry["classes"] = ["cat", "dgo"]
    output = pets.snakemake("--dry-run", fails=True)
    assert "datasets.pets: classes: the source has no class 'dgo'; did you mean 'dog'?" in output
    del entry["split"]
    output = pets.snakemake("--dry-run", fails=True)
    assert "datasets.pets.source: it names no splits" in output
    assert "split: {train: 0.7, val: 0.15, test: 0.15}" in output
    entry["source"]["path"] = "../source/pet.json"
    output = pets.snakemake("--dry-run", fails=True)
    assert "datasets.pets.source: path: there is no file or folder '../source/pet.json'" in output


def table(project, path, kind="labels"):
    return read_table(project.folder / path, kind).itertuples()
