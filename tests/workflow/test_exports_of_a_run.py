"""Exports in a run: made from what is there, anew where they are gone, and of what is asked for."""

import shutil

from cia.files import read_yaml

EXPORTED = "data/exported/digits/tiny_canny/all/plus_synthetic/imagefolder"
ALONE = "data/exported/generated/digits/tiny_canny/huggingface"


def test_exports_are_made_from_what_is_there_and_anew_where_they_are_gone(copy_of_finished):
    project = copy_of_finished
    project.config["experiments"][0]["exports"] = ["imagefolder", "huggingface"]
    jobs = project.planned()
    assert jobs.keys() == {"export", "export_generated", "provenance", "all"}
    made = [f"{EXPORTED}/export.yaml", f"{ALONE}/export.yaml"]
    project.run(*made)
    mixed = read_yaml(project.folder / EXPORTED / "export.yaml")["pictures"]
    assert mixed["train"] == {"real": 8, "synthetic": 8} and mixed["test"] == {"real": 6}
    alone = read_yaml(project.folder / ALONE / "export.yaml")["pictures"]
    assert alone == {"train": {"synthetic": 16}}
    row = (project.folder / ALONE / "train/metadata.jsonl").read_text().splitlines()[0]
    assert '"tiny.mahalanobis' in row.replace("\\", "") and '"source":"0000' in row
    assert project.planned(*made) == {}

    shutil.rmtree(project.folder / ALONE / "train" / "synthetic")  # as if it had been moved away
    assert project.planned(*made) == {"export_generated": 1}
    copied = project.planned("--config", "copy=true", "--", *made)
    assert copied == {"export": 1, "export_generated": 1}


def test_a_format_that_cannot_hold_the_labels_is_told_by_the_dry_run(project):
    project.config["experiments"][0]["exports"] = ["voc"]
    output = project.snakemake("--dry-run", fails=True)
    assert "exports: format 'voc' holds boxes alone" in output and "Traceback" not in output
