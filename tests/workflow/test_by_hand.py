"""Verdicts by hand in a run: the file counts by what it says, for its selection alone."""

import os

import pytest

from cia.files import read_yaml
from cia.tables import read_table, write_table

SELECTED = "results/digits/tiny_canny/selected/mine.csv"
METADATA = "data/generated/digits/tiny_canny/metadata.yaml"


def save(project, verdicts: dict[str, str]) -> None:
    """What the gallery saves for images of the finished project."""
    manifest = "results/generated/digits/tiny_canny/manifest.csv"
    table = read_table(project.folder / manifest, "manifest").set_index("id")
    names = {"dataset": "digits", "generator": "tiny_canny"}
    rows = [
        {**names, "id": id_, "verdict": verdict, "sha256": table.at[id_, "sha256"]}
        for id_, verdict in verdicts.items()
    ]
    write_table(project.folder / "picked.csv", rows)


@pytest.fixture
def by_hand(copy_of_finished):
    project = copy_of_finished
    settings = {"method": "picked", "file": "picked.csv", "unseen": "keep"}
    project.config["selections"]["mine"] = settings
    experiment = project.config["experiments"][0]
    experiment["selections"] = [*experiment["selections"], "mine"]
    return project


def test_a_missing_file_is_told_by_the_dry_run(by_hand):
    output = by_hand.snakemake("--dry-run", fails=True)
    assert "selections.mine.file: there is no file 'picked.csv'" in output
    assert "Traceback" not in output


def test_an_edited_file_reruns_its_selection_alone_and_a_saved_one_that_says_the_same_nothing(
    by_hand,
):
    save(by_hand, {"00000_v000": "drop", "00001_v000": "keep"})
    assert by_hand.planned(SELECTED) == {"filter": 1}
    by_hand.run(SELECTED, METADATA)
    kept = set(read_table(by_hand.folder / SELECTED, "selected")["id"])
    assert len(kept) == 15 and "00000_v000" not in kept
    summary = read_yaml(by_hand.folder / METADATA)["results"]["filtering"]["mine"]
    assert (summary["kept"], summary["dropped"]) == (15, 1)
    counts = {"kept": 1, "dropped": 1, "not_looked_at": 14, "gone": 0, "made_anew": 0}
    assert summary["by_hand"] == {"picked.csv": counts}

    os.utime(by_hand.folder / "picked.csv")
    assert by_hand.planned(SELECTED, METADATA) == {}
    save(by_hand, {"00000_v000": "keep", "00001_v000": "keep"})
    assert by_hand.planned(SELECTED, METADATA).keys() == {"filter", "metadata"}
    assert by_hand.planned()["filter"] == 1
