"""Folders of classes, CSV tables and Hugging Face datasets become links and labels."""

import csv
import hashlib
import json
import unicodedata
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from cia.errors import UserError
from cia.importing.huggingface import EMBEDDED
from datasets_elsewhere import NAMES, corners, describe, picture, read, source


def table(path: Path, rows: list[dict], **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_class_folders_with_and_without_splits_are_read(tmp_path):
    for split in ("train", "valid", "test"):
        for name in ("cat/1.png", "dog/sub/1.JPG", f"dog/{NAMES[3]}"):
            picture(tmp_path / "split" / split / name)
    settings = source("imagefolder", str(tmp_path / "split"))
    said = describe(settings, "classification")
    assert said.names == ("cat", "dog") and said.splits == ("train", "val", "test")
    found, refused, _ = read(settings, "classification")
    assert not refused and len(found) == 3  # of each split, by the same names
    assert found["dog/sub/1.JPG"].label == "1" and found["dog/sub/1.JPG"].split == "test"

    for name in ("10/a.png", "9/a.png", "0/b.png", "loose.png", "9/notes.docx", ".hidden/c.png"):
        picture(tmp_path / "flat" / name)
    settings = source("imagefolder", str(tmp_path / "flat"))
    assert describe(settings, "classification").names == ("0", "9", "10")
    assert describe(settings, "classification").splits == ()
    found, refused, wanted = read(settings, "classification", {"nine": "9", "ten": "10"})
    assert {name: one.label for name, one in found.items()} == {"9/a.png": "0", "10/a.png": "1"}
    assert wanted.dropped == {"0": 1}
    assert {Path(one.file).name: one.reason for one in refused} == {
        "loose.png": "unlabeled: it is in no class's folder",
        "notes.docx": "not a picture of a known suffix",
    }


def test_a_folder_without_classes_says_so(tmp_path):
    with pytest.raises(UserError, match="has no folder for each class"):
        describe(source("imagefolder", str(tmp_path)), "classification")


def test_a_table_of_classes_is_read_by_usual_names_of_columns(tmp_path):
    rows = [
        {"Filename": name, "Class": ("cat", "dog")[number % 2], "Caption": "a pet, sleeping"}
        for number, name in enumerate(NAMES)
    ]
    path = table(tmp_path / "pets.csv", [*rows, rows[0] | {"Filename": "", "Class": ""}])
    for name in NAMES:
        picture(tmp_path / name)
    said = describe(settings := source("csv", str(path)), "classification")
    assert said.names == ("cat", "dog") and said.splits == ()
    found, refused, _ = read(settings, "classification")
    assert [found[name].label for name in NAMES] == ["0", "1", "0", "1"]
    assert found[NAMES[0]].caption == "a pet, sleeping"
    assert [(one.reason, one.unusable) for one in refused] == [("no picture is named", True)]


def test_ciagen_s_table_is_read(tmp_path):
    """Its own writer makes it: Filename, Emotion, Dataset, with the classes in the captions."""
    path = find_spec("ciagen").submodule_search_locations[0] + "/data/datasets.py"
    spec = spec_from_file_location("peer", path)  # its package wants more than is installed
    peer = module_from_spec(spec)
    spec.loader.exec_module(peer)
    images, captions = {}, {}
    for split in ("train", "val", "test"):
        images[split] = [picture(tmp_path / f"real/{split}/images/{split}{n}.png") for n in (1, 2)]
        captions[split] = []
        for number, path in enumerate(images[split]):
            text = tmp_path / f"real/{split}/captions/{path.stem}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text(("happy", "sad")[number] + "\n")
            captions[split].append(text)
    peer.create_csv_file(*images.values(), *captions.values(), tmp_path / "data.csv")
    settings = source("csv", str(tmp_path / "data.csv"), images=str(tmp_path / "real"))
    said = describe(settings, "classification")
    assert said.names == ("happy", "sad") and said.splits == ("train", "val", "test")
    found, refused, _ = read(settings, "classification")
    assert not refused and {(one.split, one.label) for one in found.values()} == {
        (split, label) for split in ("train", "val", "test") for label in "01"
    }
    assert all(Path(one.path).is_file() for one in found.values())


def test_a_table_of_boxes_has_a_row_for_each_box_and_one_without_for_a_background(tmp_path):
    rows = [
        {"image": NAMES[0], "label": "cat", "a": 10, "b": 5, "w": 20, "h": 8, "who": "A"},
        {"image": NAMES[0], "label": "dog", "a": 0, "b": 0, "w": 64, "h": 48, "who": "A"},
        {"image": NAMES[1], "label": "", "a": "", "b": "", "w": "", "h": "", "who": "B"},
        {"image": NAMES[2], "label": "cat", "a": "wide", "b": 0, "w": 1, "h": 1, "who": "B"},
        {"image": NAMES[3], "label": "", "a": 1, "b": 1, "w": 9, "h": 9, "who": "B"},
    ]
    path = table(tmp_path / "boxes.csv", rows, delimiter=";")
    for name in NAMES:
        picture(tmp_path / "photos" / name)
    picture(tmp_path / "photos/more.png")
    settings = source(
        "csv",
        str(path),
        images=str(tmp_path / "photos"),
        box=["a", "b", "w", "h"],
        box_form="corner_size",
    )
    found, refused, _ = read(settings, "detection", group="who")
    boxes = corners(found[NAMES[0]].label, 64, 48)
    np.testing.assert_allclose(boxes, [[10, 5, 30, 13], [0, 0, 64, 48]], atol=1e-3)
    assert found[NAMES[1]].label == "" and found[NAMES[1]].group == "B"
    assert "line 5: could not convert string to float: 'wide'" in found[NAMES[2]].problem
    assert "line 6: a box without label" in found[NAMES[3]].problem
    assert [one.reason for one in refused] == ["unlabeled: the table does not list it"]


@pytest.mark.parametrize(
    "form, normalized, cells",
    [
        ("corners", False, (16, 12, 48, 36)),
        ("corner_size", True, (0.25, 0.25, 0.5, 0.5)),
        ("center_size", True, (0.5, 0.5, 0.5, 0.5)),
        ("center_size", False, (32, 24, 32, 24)),
    ],
)
def test_boxes_of_every_form_are_the_same(tmp_path, form, normalized, cells):
    picture(tmp_path / "a.png")
    row = {"image": "a.png", "label": "cat"}
    row |= dict(zip(("x1", "y1", "x2", "y2"), cells, strict=True))
    path = table(tmp_path / "a.csv", [row])
    found, _, _ = read(source("csv", str(path), box_form=form, normalized=normalized), "detection")
    assert found["a.png"].label == "0 0.500000 0.500000 0.500000 0.500000"


def test_splits_of_a_table_may_be_files_or_a_column_whose_values_are_checked(tmp_path):
    rows = [{"image": f"{n}.png", "label": "a", "split": s} for n, s in enumerate(("dev", "hold"))]
    path = table(tmp_path / "a.csv", rows)
    found, refused, _ = read(source("csv", str(path)), "classification")
    assert found["0.png"].split == "val"
    assert refused[0].reason == "1.png: split 'hold' is none of train, val, test"
    rows = [{"image": "0.png", "label": "a"}]
    paths = {split: str(table(tmp_path / f"{split}.csv", rows)) for split in ("train", "test")}
    settings = source("csv", paths)
    assert describe(settings, "classification").splits == ("train", "test")
    _, refused, _ = read(settings, "classification")
    assert "listed for train and test" in refused[0].reason


@pytest.mark.parametrize(
    "columns, settings, words",
    [
        (["picture", "label"], {}, "set `image`, its column, in `source`; there are 'picture'"),
        (["image", "kind"], {}, "set `label`"),
        (["image", "label"], {"label": "lable"}, "no column 'lable' .*did you mean 'label'"),
    ],
)
def test_a_column_that_is_not_there_is_named(tmp_path, columns, settings, words):
    path = table(tmp_path / "a.csv", [dict.fromkeys(columns, "x")])
    with pytest.raises(UserError, match=words):
        describe(source("csv", str(path), **settings), "classification")


def test_a_table_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("image,label\nä.png,a\n".encode("latin-1"))
    with pytest.raises(UserError, match="a.csv: no CSV table in UTF-8"):
        describe(source("csv", str(path)), "classification")


def metadata(folder: Path, rows: list[dict]) -> None:
    for row in rows:
        picture(folder / row["file_name"])
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture
def library():
    """The optional library, with a pyarrow that fits the lock's NumPy."""
    return pytest.importorskip("datasets", exc_type=ImportError)


def test_a_folder_with_metadata_is_linked(library, tmp_path):
    for split in ("train", "validation"):
        rows = [
            {
                "file_name": f"{split[0]}{number} {NAMES[number]}",
                "text": f"pet {number}",
                "objects": {"bbox": [[16, 12, 32, 24]] * number, "categories": [number] * number},
            }
            for number in range(3)
        ]
        metadata(tmp_path / split, rows)
    settings = source("huggingface", str(tmp_path))
    said = describe(settings, "detection")
    assert said.names == ("1", "2") and said.splits == ("train", "val")
    found, refused, _ = read(settings, "detection", ["one", "two"])
    assert not refused and {one.split for one in found.values()} == {"train", "val"}
    names = [f"v{number} {NAMES[number]}" for number in range(3)]
    assert set(found) == {*names, *(f"t{name[1:]}" for name in names)}
    box = "0.500000 0.500000 0.500000 0.500000"
    assert [found[name].label for name in names] == ["", f"0 {box}", f"1 {box}\n1 {box}"]
    assert found[names[1]].path == str(tmp_path / "validation" / names[1])
    assert found[names[1]].caption == "pet 1"


def test_pictures_inside_parquet_files_are_written_once_byte_for_byte(library, tmp_path):
    import pyarrow
    from pyarrow import parquet

    contents = [picture(tmp_path / "photos" / name).read_bytes() for name in NAMES]
    features = library.Features(
        {"image": library.Image(), "label": library.ClassLabel(names=["cat", "dog"])}
    )
    images = [{"bytes": content, "path": None} for content in contents]
    rows = {"image": images, "label": [0, 1, 1, -1]}
    (tmp_path / "set/data").mkdir(parents=True)
    parquet.write_table(
        pyarrow.table(rows, schema=features.arrow_schema),
        tmp_path / "set/data/train-00000-of-00001.parquet",
    )
    settings = source("huggingface", str(tmp_path / "set"))
    assert describe(settings, "classification").names == ("cat", "dog")
    folder = tmp_path / "embedded"
    found, _, wanted = read(settings, "classification", ["dog", "cat"], folder=folder)
    assert [one.label for one in found.values()] == ["1", "0", "0", None]
    assert wanted.notes[EMBEDDED] == len(NAMES)
    for one, content in zip(found.values(), contents, strict=True):
        assert Path(one.path).read_bytes() == content
        assert hashlib.sha256(content).hexdigest().startswith(Path(one.path).stem)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    read(settings, "classification", folder=folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_without_the_library_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(UserError, match=r'Install it .*: pip install "datasets'):
        describe(source("huggingface", str(tmp_path)), "classification")


def test_a_folder_that_is_no_dataset_is_named(library, tmp_path):
    (tmp_path / "notes.bin").write_text("x")
    with pytest.raises(UserError, match="load_dataset can't read this folder"):
        describe(source("huggingface", str(tmp_path)), "classification")


def test_classes_of_a_mac_are_found_by_their_usual_letters(tmp_path):
    folder = unicodedata.normalize("NFD", "Käse")
    picture(tmp_path / folder / "1.png")
    pictures, _, _ = read(source("imagefolder", str(tmp_path)), "classification", ["Käse"])
    assert [one.label for one in pictures.values()] == ["0"]


def test_names_of_a_table_without_suffix_are_found_and_no_picture_gets_another_one_s_rows(tmp_path):
    picture(tmp_path / "pics/a.png")
    picture(tmp_path / "pics/b.JPG")
    path = tmp_path / "t.csv"
    path.write_text("image,label\na,cat\nb,dog\n")
    settings = source("csv", str(path), images=str(tmp_path / "pics"))
    pictures, refused, _ = read(settings, "classification")
    assert set(pictures) == {"a.png", "b.JPG"} and not refused
    path.write_text("image,label\na.png,cat\ngone/a.png,dog\n")
    pictures, _, _ = read(settings, "classification")
    assert {name: one.label for name, one in pictures.items()} == {"a.png": "0", "gone/a.png": "1"}
