"""Exports in a run: of both tasks, and made anew where they are gone."""

import json
import shutil

from cia.files import read_yaml
from cia.tables import read_table

MIX = "data/exported/digits/tiny_canny/best_half/plus_synthetic/imagefolder"
REAL = "data/exported/digits/none/none/real/imagefolder"
SET = "data/exported/generated/digits_scenes/tiny_canny/coco"


def test_exports_are_made_in_one_run_and_anew_where_they_are_gone(copy_of_finished):
    project = copy_of_finished
    (digits,) = project.config["experiments"]
    scenes = {"dataset": "digits_scenes", "generators": ["tiny_canny"], "features": ["tiny"]}
    arms = {"selections": ["all"], "mixes": ["real", "plus_synthetic"], "trainers": ["yolov8n"]}
    project.config["experiments"] = [
        digits | {"exports": ["imagefolder"]},
        {**scenes, **arms, "exports": ["coco"]},
    ]
    jobs = project.planned("export_all")
    assert (jobs["export"], jobs["export_generated"]) == (4, 2) and "train" not in jobs
    made = [f"{folder}/export.yaml" for folder in (MIX, REAL, SET)]
    project.run(*made)

    pictures = [read_yaml(project.folder / path)["pictures"] for path in made]
    real = {"train": {"real": 8}, "val": {"real": 4}, "test": {"real": 6}}
    assert pictures[0] == {**real, "train": {"real": 8, "synthetic": 8}}
    assert pictures[1] == real and pictures[2] == {"train": {"synthetic": 16}}
    table = read_table(project.folder / MIX / "dataset.csv")
    made_from = table[table["origin"] == "synthetic"]
    assert made_from["source"].str.match(r"\d{5}$").all()
    assert made_from["tiny.mahalanobis"].notna().all()
    images = json.loads((project.folder / SET / "annotations/instances_train.json").read_text())
    labels = project.folder / "results/generated/digits_scenes/tiny_canny/labels.csv"
    lines = read_table(labels, "labels")["label"].str.count(r"\n").add(1).sum()
    assert len(images["annotations"]) == lines and "tiny.realism" in images["images"][0]["scores"]

    assert project.planned(*made) == {}
    shutil.rmtree(project.folder / SET / "images")  # as if it had been moved away
    assert project.planned(*made) == {"export_generated": 1}
    copied = project.planned("--config", "copy=true", "--", *made)
    assert copied == {"export": 2, "export_generated": 1}


def test_a_format_that_cannot_hold_the_labels_is_told_by_the_dry_run(project):
    project.config["experiments"][0]["exports"] = ["voc"]
    output = project.snakemake("--dry-run", fails=True)
    assert "exports: format 'voc' holds boxes alone" in output and "Traceback" not in output
