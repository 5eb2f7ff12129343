"""A look at a dataset shows what is there, and what is wrong instead of stopping at it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cia.reporting.look import Split, chosen_pictures, look_at, points_of
from cia.reporting.look_page import write_look
from cia.reporting.sheets import LabelForm
from cia.tables import write_table

DETECTION = LabelForm("detection", ["cat", "dog", "cow"])


def write_split(folder: Path, labels: dict[str, str | None]) -> Path:
    for kind in ("images", "labels", "captions"):
        (folder / kind).mkdir(parents=True)
    for number, (name, label) in enumerate(labels.items()):
        pixels = np.random.default_rng(number).integers(0, 255, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
        if label is not None:
            (folder / "labels" / f"{name}.txt").write_text(label)
    return folder


@pytest.fixture
def train(tmp_path):
    labels = {
        "one": "0 .5 .5 .4 .4\n1 .3 .3 .05 .05",
        "two": "",
        "bad": "9 .5 .5 .1 .1",
        "no": None,
    }
    folder = write_split(tmp_path / "train", labels)
    (folder / "images" / "broken.jpg").write_bytes(b"no picture")
    return folder


def test_a_split_with_mostly_bad_labels_is_looked_at_all_the_same(train):
    split = look_at(train, DETECTION, 1)
    assert [row["id"] for row in split.pictures] == ["bad", "no", "one", "two"]
    assert set(split.labels) == {"one", "two"}
    assert split.classes == {"cat": 1, "dog": 1, "cow": 0}
    assert (split.unusable, split.of, split.unlabeled) == (1, 5, 2)
    points = points_of([split], [], None, max_rejected=0.1)
    assert "2 of 4 labels of train can't be used. A run would stop" in " ".join(points)
    assert "cow 0" in " ".join(points)


def test_what_keeps_a_split_from_being_read_is_said(tmp_path, train):
    missing = look_at(tmp_path / "val", DETECTION, 1)
    assert missing.pictures == [] and "does not exist" in missing.points[0]
    for path in (train / "labels").iterdir():
        path.unlink()
    (train / "labels").rmdir()
    unlabeled = look_at(train, DETECTION, 1)
    assert len(unlabeled.pictures) == 4 and "labels does not exist" in unlabeled.points[0]


def test_what_an_import_refused_counts_and_gives_the_reason_of_a_missing_label(train):
    rows = [
        {"id": "", "file": "/source/x.jpg", "reason": "too blue", "unusable": 1},
        {"id": "no", "file": "/source/no.jpg", "reason": "two classes", "unusable": 1},
    ]
    write_table(train / "refused.csv", rows, "refused")
    split = look_at(train, DETECTION, 1, train / "refused.csv")
    assert (split.unusable, split.of) == (2, 6)
    assert {"file": "/source/x.jpg", "reason": "too blue"} in split.rejected
    assert "two classes" in [row["reason"] for row in split.rejected_labels]


def test_near_duplicates_across_splits_and_classes_that_were_not_chosen_stand_out():
    pair = {"split": "train", "other_split": "val"}
    imported = {"objects_of_other_classes": {"bird": 3}, "notes": {"boxes were cut": 2}}
    points = points_of([], [pair, pair, pair | {"other_split": "train"}], imported, 0.1)
    assert any("2 pairs" in point for point in points)
    assert "Class bird was not chosen: 3 objects left out." in points
    assert "2 boxes were cut." in points


def test_rare_classes_are_among_the_chosen_pictures():
    labels = {str(n): "0 .5 .5 .1 .1" for n in range(500)} | {"rare": "1 .5 .5 .1 .1", "none": ""}
    rows = [{"id": id_} for id_ in labels]
    chosen = chosen_pictures(Split("train", rows, labels), 6)
    ids = [row["id"] for row in chosen]
    assert len(ids) == 6 and {"rare", "none"} <= set(ids)
    assert ids == sorted(ids, key=list(labels).index)


def test_the_page_holds_everything_and_needs_no_other_file(train, tmp_path):
    split = look_at(train, DETECTION, 1)
    image = str(train / "images" / "one.png")
    pair = {"likeness": 0.9, "split": "train", "file": image, "other_split": "val"}
    pairs = [pair | {"other_file": str(train / "images" / "two.png")}]
    page, sheet = tmp_path / "look.html", tmp_path / "look.png"
    write_look(page, sheet, "pets & co", [split], DETECTION, ["A point."], pairs)
    text = page.read_text()
    assert "A look at pets &amp; co" in text and "A point." in text
    assert text.count("alt=") == 2 + 2 + 2  # labeled pictures, those with a bad label, a pair
    assert "://" not in text and "<script" not in text and "<link" not in text
    assert "class 9 is out of range" in text and "not a readable picture" in text
    assert "near-duplicates" in text.lower() and "0.90" in text
    with Image.open(sheet) as image:
        assert image.width > 500


def test_a_classification_and_a_dataset_without_any_picture_have_a_page(tmp_path):
    form = LabelForm("classification", ["cat", "dog"])
    train = look_at(write_split(tmp_path / "train", {"a": "cat", "b": "1"}), form, 1)
    val = look_at(tmp_path / "val", form, 1)
    page, sheet = tmp_path / "look.html", tmp_path / "look.png"
    write_look(page, sheet, "pets", [train, val], form, points_of([train, val], [], None, 0.1), [])
    assert "Pictures of each class and split." in page.read_text()
    write_look(page, sheet, "pets", [val], form, val.points, [])
    assert "0 pictures" in page.read_text()
