"""Labels are checked line by line, and follow a picture to its variants by the plan."""

import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import label as script
import label_generated
from cia.errors import UserError
from cia.labels import (
    inherit_labels,
    label_parser,
    name_objects,
    parse_boxes,
    parse_class,
    read_labels,
    write_label_files,
)
from cia.tables import read_table, write_table

CLASSES = ["car", "traffic light", "traffic", "7 up"]


def test_boxes_come_in_one_form():
    text = "0 0.5 0.5 0.2 0.4\n\ntraffic light .25 0.25 0.5 5e-1\r\n  2 0.5 0.5 1 1  \n"
    assert parse_boxes(text, CLASSES) == (
        "0 0.500000 0.500000 0.200000 0.400000\n"
        "1 0.250000 0.250000 0.500000 0.500000\n"
        "2 0.500000 0.500000 1.000000 1.000000"
    )


def test_names_that_start_alike_or_with_a_digit():
    assert parse_boxes("traffic 0.5 0.5 1 1", CLASSES).startswith("2 ")
    assert parse_boxes("traffic light 0.5 0.5 1 1", CLASSES).startswith("1 ")
    assert parse_boxes("7 up 0.5 0.5 1 1", CLASSES).startswith("3 ")


def test_an_empty_file_is_a_labeled_background():
    assert parse_boxes("", CLASSES) == parse_boxes(" \n\n", CLASSES) == ""


def test_a_polygon_becomes_its_box():
    assert parse_boxes("car 0.1 0.2 0.5 0.1 0.3 0.7", CLASSES) == (
        "0 0.300000 0.400000 0.400000 0.600000"
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.2", "3 numbers"),
        ("0 0.5 0.5 0.2 0.2 0.9", "5 numbers"),
        ("0", "0 numbers"),
        ("0 0.5 x 0.2 0.2", "'x' is not a number"),
        ("0 0.5 nan 0.2 0.2", "finite"),
        ("0 0.5 inf 0.2 0.2", "finite"),
        ("4 0.5 0.5 0.2 0.2", "out of range"),
        ("-1 0.5 0.5 0.2 0.2", "no class '-1'"),
        ("dog 0.5 0.5 0.2 0.2", "no class 'dog'"),
        ("0 0.05 0.5 0.2 0.2", "sticks out"),
        ("0 0.5 0.95 0.2 0.2", "sticks out"),
        ("0 320 240 64 64", "sticks out"),
        ("0 0.5 0.5 0 0.2", "no area"),
        ("0 0.5 0.5 0.2 -0.2", "no area"),
        ("0 0.1 0.1 0.1 0.5 0.1 0.9", "no area"),
        ("0 0.1 0.1 0.1 0.5 0.4 1.9", "sticks out"),
    ],
)
def test_bad_lines_are_named(line, reason):
    with pytest.raises(ValueError, match=f"line 2: .*{reason}"):
        parse_boxes(f"0 0.5 0.5 0.2 0.2\n{line}", CLASSES)


def test_many_bad_lines_are_counted():
    with pytest.raises(ValueError, match="line 1: .*line 3: .*2 more"):
        parse_boxes("9 1 1 1 1\n" * 5, CLASSES)


def test_rounding_errors_are_clipped():
    assert parse_boxes("0 0.5 0.5 1.000001 1", CLASSES) == "0 0.500000 0.500000 1.000000 1.000000"
    with pytest.raises(ValueError, match="sticks out"):
        parse_boxes("0 0.5 0.5 1.00001 1", CLASSES)


@settings(deadline=None)  # imports and a busy machine count too
@given(*[st.floats(0, 1)] * 4, st.integers(0, 3))
def test_a_box_that_was_written_reads_the_same(x1, y1, x2, y2, index):
    left, right = sorted([x1, x2])
    top, bottom = sorted([y1, y2])
    if min(right - left, bottom - top) < 1e-5:
        return
    box = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    line = " ".join([str(index), *map(repr, box)])
    written = parse_boxes(line, CLASSES)
    again = np.array(parse_boxes(written, CLASSES).split(), float)
    np.testing.assert_allclose(again, np.array(written.split(), float), atol=1.1e-6)
    np.testing.assert_allclose(again, np.array(line.split(), float), atol=2e-6)


def test_classes():
    assert parse_class("car\n", CLASSES) == "0"
    assert parse_class("\n 2 \n", CLASSES) == "2"
    assert parse_class("7 up", CLASSES) == "3"
    for text, reason in [("", "0 lines"), ("0\n1", "2 lines"), ("9", "range"), ("dog", "no class")]:
        with pytest.raises(ValueError, match=reason):
            parse_class(text, CLASSES)


def test_class_names_that_are_other_indices_are_refused():
    label_parser("classification", ["0", "1", "2"])
    with pytest.raises(UserError, match="ambiguous"):
        label_parser("classification", ["1", "2", "0"])


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "train"
    (folder / "labels").mkdir(parents=True)
    for name, content in {
        "a b.c.txt": b"0 0.5 0.5 0.5 0.5\n",
        "empty.txt": b"",
        "latin.txt": b"caf\xe9",
        "bad.txt": b"0 0.5 0.5 0.5 0.5\n0 2 2 1 1\n",
        "orphan.txt": b"0 0.5 0.5 0.5 0.5\n",
        "notes.json": b"{}",
    }.items():
        (folder / "labels" / name).write_bytes(content)
    return folder


def test_read_labels_gives_rows_in_order_and_a_reason_for_the_rest(source):
    ids = ["a b.c", "bad", "empty", "latin", "missing"]
    rows, rejected, unusable = read_labels(source, ids, "detection", CLASSES)
    assert [row["id"] for row in rows] == ["a b.c", "empty"]
    assert rows[1]["label"] == ""
    found = {os.path.basename(row["file"]): row["reason"] for row in rejected}
    assert list(found) == [
        "bad.txt",
        "latin.txt",
        "missing.txt",
        "notes.json",
        "orphan.txt",
    ]
    assert "line 2" in found["bad.txt"] and "UTF-8" in found["latin.txt"]
    assert "missing" in found["missing.txt"] and "without" in found["orphan.txt"]
    assert unusable == 3


def test_a_label_that_misses_its_picture_by_a_hair_is_told_why(tmp_path):
    (tmp_path / "labels").mkdir()
    for name in ("upper.TXT", "gro\u0308\u00dfe.txt", "other.txt"):
        (tmp_path / "labels" / name).write_text("car\n")
    ids = ["gr\u00f6\u00dfe", "upper"]  # the first in one character, its label's in two
    rows, rejected, unusable = read_labels(tmp_path, ids, "classification", CLASSES)
    reasons = {os.path.basename(row["file"]): row["reason"] for row in rejected[unusable:]}
    assert (rows, unusable) == ([], 2)
    assert reasons["upper.TXT"] == "write .TXT as .txt, in lower case"
    assert "looks the same" in reasons["gro\u0308\u00dfe.txt"]
    assert reasons["other.txt"] == "a label without usable picture"


def test_no_labels_folder_says_what_is_expected(tmp_path):
    with pytest.raises(UserError, match=r"labels/NAME\.txt"):
        read_labels(tmp_path, ["a"], "detection", CLASSES)


def test_label_script(source, tmp_path):
    rows = [{"id": id_, "image": f"{id_}.png"} for id_ in ("a b.c", "empty", "missing")]
    rows = [row | {"width": 1, "height": 1, "sha256": "", "caption": ""} for row in rows]
    write_table(tmp_path / "manifest.csv", rows, "manifest")
    job = SimpleNamespace(
        input=SimpleNamespace(manifest=tmp_path / "manifest.csv"),
        output=SimpleNamespace(labels=tmp_path / "labels.csv", rejected=tmp_path / "rejected.csv"),
        params=SimpleNamespace(folder=source, task="detection", classes=CLASSES),
        resources=SimpleNamespace(max_rejected="0.34"),
    )
    script.main(job)
    table = read_table(tmp_path / "labels.csv", "labels")
    assert table.label.tolist() == ["0 0.500000 0.500000 0.500000 0.500000", ""]
    job.resources.max_rejected = "0.33"
    with pytest.raises(UserError, match=r"1 of 3 labels(.|\n)*missing\.txt"):
        script.main(job)


def test_labels_follow_the_plan_and_never_the_name():
    ids = ["a_v000_v001", "a_v000_v000", "b", "x"]
    sources = {"a_v000_v001": "a_v000", "a_v000_v000": "a", "b": "c"}
    rows, unlabeled = inherit_labels(ids, sources, {"a": "A", "a_v000": "A0", "b": "B"})
    assert rows == [
        {"id": "a_v000_v001", "label": "A0"},
        {"id": "a_v000_v000", "label": "A"},
    ]
    assert [row["id"] for row in unlabeled] == ["b", "x"]
    assert "'c'" in unlabeled[0]["reason"] and "plan" in unlabeled[1]["reason"]


def test_label_files_change_only_where_they_must(tmp_path):
    rows = [{"id": "a", "label": "0 1\n1 2"}, {"id": "b", "label": ""}, {"id": "c", "label": "3"}]
    write_label_files(tmp_path / "labels", rows)
    folder = tmp_path / "labels"
    assert (folder / "a.txt").read_text() == "0 1\n1 2\n" and (folder / "b.txt").read_text() == ""
    for path in folder.iterdir():
        os.utime(path, ns=(0, 0))
    write_label_files(folder, [rows[0], {"id": "b", "label": "5"}])
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "b.txt"]
    assert (folder / "a.txt").stat().st_mtime_ns == 0
    assert (folder / "b.txt").stat().st_mtime_ns > 0 and (folder / "b.txt").read_text() == "5\n"


def test_label_generated_script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ids = ["s_v000", "s_v001", "t_v000"]
    base = {"width": 8, "height": 8, "sha256": "", "caption": ""}
    rows = [base | {"id": id_, "image": f"images/{id_}.png"} for id_ in ids]
    write_table(tmp_path / "manifest.csv", rows, "manifest")
    plan = [
        {"id": id_, "source": id_[0], "variant": 0, "seed": 1, "width": 8, "height": 8}
        for id_ in ids
    ]
    write_table(tmp_path / "plan.csv", plan, "plan")
    write_table(tmp_path / "labels.csv", [{"id": "s", "label": "0 0.5 0.5 1 1"}], "labels")
    job = SimpleNamespace(
        input=SimpleNamespace(
            manifest=tmp_path / "manifest.csv",
            plan=tmp_path / "plan.csv",
            real=tmp_path / "labels.csv",
        ),
        output=SimpleNamespace(labels=tmp_path / "out.csv", rejected=tmp_path / "rejected.csv"),
        params=SimpleNamespace(folder=tmp_path / "set"),
    )
    label_generated.main(job)
    assert read_table(tmp_path / "out.csv", "labels").id.tolist() == ["s_v000", "s_v001"]
    files = sorted(path.name for path in (tmp_path / "set" / "labels").iterdir())
    assert files == ["s_v000.txt", "s_v001.txt"]
    rejected = read_table(tmp_path / "rejected.csv", "rejected")
    assert rejected.file.tolist() == ["images/t_v000.png"]
    write_table(tmp_path / "labels.csv", [], "labels")
    with pytest.raises(UserError, match="valid label"):
        label_generated.main(job)


def test_an_image_from_a_varied_map_has_that_map_s_label(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = {"width": 8, "height": 8, "sha256": "", "caption": "", "image": "i.png"}
    ids = ["s_v000", "s_v001"]
    write_table(tmp_path / "manifest.csv", [row | {"id": id_} for id_ in ids], "manifest")
    plan = [{"id": id_, "source": "s", "variant": 0, "seed": 1} | row for id_ in ids]
    write_table(tmp_path / "plan.csv", plan, "plan")
    labels = [{"id": "s_v000", "label": "0 0.5 0.5 1 1"}, {"id": "s_v001", "label": ""}]
    write_table(tmp_path / "labels.csv", labels, "labels")
    label_generated.main(
        SimpleNamespace(
            input=SimpleNamespace(
                manifest=tmp_path / "manifest.csv",
                plan=tmp_path / "plan.csv",
                varied=tmp_path / "labels.csv",
            ),
            output=SimpleNamespace(labels=tmp_path / "out.csv", rejected=tmp_path / "no.csv"),
            params=SimpleNamespace(folder=tmp_path / "set"),
        )
    )
    assert read_table(tmp_path / "out.csv", "labels").label.tolist() == ["0 0.5 0.5 1 1", ""]


def test_objects_are_named_from_left_to_right():
    table = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "label": ["1 0.8 0.1 0.1 0.1\n0 0.25 0.9 0.5 0.1\n2 0.3 0.5 0.6 1", "", "3"],
        }
    )
    assert name_objects(table, CLASSES) == {
        "a": ["car", "traffic", "traffic light"],
        "b": [],
        "c": ["7 up"],
    }
