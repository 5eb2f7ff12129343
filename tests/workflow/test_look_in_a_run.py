"""`snakemake look` on a folder of one's own, with mistakes in it that would stop a run."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from project import Project


def write_picture(path, seed):
    """Write a picture of coarse blocks: one that is cropped or compressed stays much the same."""
    blocks = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((160, 120), Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def own(project) -> Project:
    """Three of four labels in train can't be used, and a picture of train is in test, too."""
    number = 0
    for split in ("train", "val", "test"):
        folder = project.folder / "data/real/own" / split
        for kind in ("images", "labels"):
            (folder / kind).mkdir(parents=True)
        for name in "abcd":
            write_picture(folder / "images" / f"{name}.png", number)
            (folder / "labels" / f"{name}.txt").write_text(f"{number % 2} 0.5 0.5 0.25 0.5\n")
            number += 1
    train, test = (project.folder / "data/real/own" / split for split in ("train", "test"))
    (train / "images/b.png").write_bytes(b"no picture")
    (train / "labels/c.txt").write_text("zebra 0.5 0.5 0.25 0.5\n")
    (train / "labels/d.txt").unlink()
    with Image.open(train / "images/a.png") as image:
        image.crop((4, 3, 160, 120)).resize((100, 75)).save(test / "images/copy.jpg", quality=60)
    (test / "labels/copy.txt").write_text("")
    project.config["datasets"] = {"own": {"task": "detection", "classes": ["cat", "dog"]}}
    project.config["experiments"] = [
        project.config["experiments"][0] | {"dataset": "own", "judges": [], "trainers": ["yolov8n"]}
    ]
    return project


def test_look_shows_what_would_stop_a_run_and_a_run_still_stops(own):
    assert own.planned("look") == {"near_duplicates": 1, "look_dataset": 1, "look": 1}
    own.run("look")
    look = own.folder / "results/look/own"
    page = (look / "look.html").read_text()
    assert "A run would stop" in page and "zebra" in page and "1 pair" in page
    assert Image.open(look / "look.png").width > 500
    rejected = {row["file"]: row["reason"] for row in csv.DictReader(open(look / "rejected.csv"))}
    assert {file.removeprefix("data/real/own/train/") for file in rejected} == {
        "images/b.png",
        "labels/b.txt",
        "labels/c.txt",
        "labels/d.txt",
    }
    assert own.planned("look") == {}
    shown = own.snakemake("--cores", "1", "results/real/own/train/labels.csv", fails=True)
    assert "can't be used (max_rejected allows 10%)" in shown

    shutil.copy(
        own.folder / "data/real/own/val/labels/a.txt",
        own.folder / "data/real/own/train/labels/d.txt",
    )
    assert own.planned("look") == {"look_dataset": 1, "look": 1}

    assert "near_duplicates" not in own.planned("mix_all")
    own.config["datasets"]["own"]["near_duplicates"] = "error"
    assert own.planned("mix_all")["refuse_near_duplicates"] == 1
    refused = "results/real/own/near_duplicates.yaml"
    assert own.planned(refused) == {"refuse_near_duplicates": 1}
    shown = own.snakemake("--cores", "1", refused, fails=True)
    assert "train: data/real/own/train/images/a.png" in shown or "test: data/real/own" in shown
    assert "data/real/own/test/images/copy.jpg" in shown
    own.config["datasets"]["own"]["near_duplicates"] = "warn"
    own.run(refused)
