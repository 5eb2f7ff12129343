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
from cia.files import read_yaml
from cia.labels.lines import split_label
from cia.labels.reading import (
    inherit_labels,
    label_parser,
    name_objects,
    parse_boxes,
    parse_class,
    read_labels,
    read_objects,
    write_label_files,
    write_objects,
)
from cia.tables import read_table, write_table

CLASSES = ["car", "traffic light", "traffic", "7 up"]


def test_a_line_that_stands_twice_is_one_object():
    line = "0 0.5 0.5 0.2 0.2"
    assert len(parse_boxes(f"{line}\n{line}\n1 0.5 0.5 0.2 0.2\n", ["a", "b"]).splitlines()) == 2


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
        ("0 0.5 nan 0.2 0.2", "'nan' is NaN or infinity"),
        ("0 0.5 inf 0.2 0.2", "'inf' is NaN or infinity"),
        ("4 0.5 0.5 0.2 0.2", "out of range"),
        ("-1 0.5 0.5 0.2 0.2", "no class '-1'"),
        ("dog 0.5 0.5 0.2 0.2", "no class 'dog'"),
        ("0 0.05 0.5 0.2 0.2", "out of bounds: sticks out"),
        ("0 0.5 0.95 0.2 0.2", "sticks out"),
        (
            "0 320 240 64 64",
            "not normalized: 320 looks like pixels; divide by the picture's width and height",
        ),
        ("0 10 10 300 10 300 200", "300 looks like pixels"),
        ("0 0.5 0.5 0.0000009 0.2", "no area"),
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


@given(st.floats(1e-6, 1e-3), st.floats(1e-6, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_tiny_box_keeps_its_size_for_us_and_for_32_bit_numbers(width, height, x, y):
    cx, cy = width / 2 + x * (1 - width), height / 2 + y * (1 - height)
    written = parse_boxes(f"0 {cx!r} {cy!r} {width!r} {height!r}", CLASSES)
    numbers = np.array(written.split()[1:], float)
    np.testing.assert_allclose(numbers[2:], [width, height], rtol=0.006)
    np.testing.assert_allclose(numbers[:2], [cx, cy], atol=5.1e-7)
    assert parse_boxes(written, CLASSES).count(" ") == 4  # none sticks out, none is of no area
    center, sides = np.split(numbers.astype(np.float32), 2)
    assert np.all(center + sides / 2 > center - sides / 2)


def test_a_label_is_split_at_every_space_and_line():
    assert split_label("0 0.5 0.5 0.2 0.2\n\n 3\t0.1  0.1 0.1 0.1\n") == [
        ["0", "0.5", "0.5", "0.2", "0.2"],
        ["3", "0.1", "0.1", "0.1", "0.1"],
    ]
    assert split_label("7") == [["7"]]
    assert split_label("") == split_label(" \n") == []


def test_a_moved_tiny_box_keeps_its_size():
    line = write_objects([("3", (10.0, 20.0, 11.0, 40.0))], (100_000, 400))
    assert line == "3 0.0001050 0.075000 0.0000100 0.050000"
    ((index, box),) = read_objects(line, (100_000, 400))
    assert index == "3" and box == pytest.approx((10.0, 20.0, 11.0, 40.0), abs=0.01)


def test_a_box_that_six_decimals_hold_is_written_as_ever():
    for side in (0.5, 0.0123456, 0.0001):
        line = f"0 0.500000 0.250000 {side:.6f} 0.100000"
        assert parse_boxes(line, CLASSES) == line


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
    rows, rejected, unusable, kinds = read_labels(source, ids, "detection", CLASSES)
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
    assert unusable == 3 and kinds == {"boxes": 1}  # not the good line of a file that is not


def test_a_label_that_misses_its_picture_by_a_hair_is_told_why(tmp_path):
    (tmp_path / "labels").mkdir()
    for name in ("upper.TXT", "gro\u0308\u00dfe.txt", "other.txt"):
        (tmp_path / "labels" / name).write_text("car\n")
    ids = ["gr\u00f6\u00dfe", "upper"]  # the first in one character, its label's in two
    rows, rejected, unusable, _ = read_labels(tmp_path, ids, "classification", CLASSES)
    reasons = {os.path.basename(row["file"]): row["reason"] for row in rejected[unusable:]}
    assert (rows, unusable) == ([], 2)
    assert reasons["upper.TXT"] == "write .TXT as .txt, in lower case"
    assert "looks the same" in reasons["gro\u0308\u00dfe.txt"]
    assert reasons["other.txt"] == "a label without usable picture"


def test_no_labels_folder_says_what_is_expected(tmp_path):
    with pytest.raises(UserError, match=r"labels/NAME\.txt"):
        read_labels(tmp_path, ["a"], "detection", CLASSES)


def pose(rng, keypoints: int, numbers: int) -> str:
    """A line of a box and keypoints in it, some of which are not shown."""
    width, height = rng.uniform(0.1, 0.8, 2)
    box = np.array([rng.uniform(width / 2, 1 - width / 2), rng.uniform(height / 2, 1 - height / 2)])
    values = [*box, width, height]
    for _ in range(keypoints):
        shown = rng.random() < 0.8
        point = (box + rng.uniform(-0.5, 0.5, 2) * (width, height)) * shown
        values += [*point, *[2 * shown][: numbers - 2]]
    return "0 " + " ".join(f"{value:.6f}" for value in values)


def polygon(rng, points: int, size: float = 0.3) -> str:
    angles = np.sort(rng.uniform(0, 2 * np.pi, points))
    radii = rng.uniform(0.5, 1, points) * size / 2
    outline = np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
    place = rng.uniform(size / 2, 1 - size / 2, 2)
    return "0 " + " ".join(f"{value:.6f}" for value in (place + outline).ravel())


def labels_of(folder, lines: list[str], kpt_shape=None):
    (folder / "labels").mkdir(exist_ok=True)
    for number, line in enumerate(lines):
        (folder / "labels" / f"{number}.txt").write_text(line + "\n")
    ids = [str(number) for number in range(len(lines))]
    return read_labels(folder, ids, "detection", ["thing"], kpt_shape)


def boxes_of(lines: list[str]) -> list[str]:
    """The box with which each line begins, as it is written."""
    return [parse_boxes(" ".join(line.split()[:5]), ["thing"]) for line in lines]


@pytest.mark.parametrize("shape", [[17, 3], [17, 2], [4, 3], [4, 2], [1, 2], [2, 3]], ids=str)
def test_keypoints_are_never_taken_for_polygons(tmp_path, shape):
    rng = np.random.default_rng(0)
    lines = [pose(rng, *shape) for _ in range(30)]
    with pytest.raises(
        UserError, match=rf"labels: \d+ lines of .*kpt_shape: \[{shape[0]}, {shape[1]}"
    ):
        labels_of(tmp_path, lines)
    found = labels_of(tmp_path, lines, shape)
    assert [row["label"] for row in found.rows] == boxes_of(lines)
    assert found.kinds == {"keypoints": 30}
    mixed = [*lines, "0 0.5 0.5 0.2 0.2"]  # an object of which no keypoints are known
    assert labels_of(tmp_path, mixed, shape).kinds == {"keypoints": 30, "boxes": 1}
    with pytest.raises(UserError, match="kpt_shape: false"):
        labels_of(tmp_path, [*mixed, "0 0.5 0.5 0.1"])  # one line cut short makes no polygons


def test_lines_that_are_not_of_the_kpt_shape_are_named(tmp_path):
    found = labels_of(
        tmp_path, ["0 0.5 0.5 0.2 0.2 0.5 0.5 0.4 0.4", "0 .1 .1 .2 .1 .2 .2"], [2, 2]
    )
    assert found.kinds == {"keypoints": 1}
    (rejected,) = found.rejected
    assert "6 numbers" in rejected["reason"] and "4 (cx cy w h) or 8" in rejected["reason"]


def test_polygons_of_many_counts_or_in_every_corner_are_polygons(tmp_path):
    rng = np.random.default_rng(0)
    for lines in (
        [polygon(rng, int(rng.integers(3, 20))) for _ in range(30)],
        [polygon(rng, 4) for _ in range(30)],  # oriented boxes
        [polygon(rng, 12, 0.1) for _ in range(30)] + ["0 0.5 0.5 0.2 0.2"],
    ):
        found = labels_of(tmp_path, lines)
        assert found.kinds["polygons"] == 30 and len(found.rows) == len(lines)
        for row, line in zip(found.rows[:30], lines[:30], strict=True):
            points = np.array(line.split()[1:], float).reshape(-1, 2)
            sides = [*(points.min(0) + points.max(0)) / 2, *np.ptp(points, axis=0)]
            np.testing.assert_allclose(np.array(row["label"].split()[1:], float), sides, atol=1e-6)


def test_what_may_be_either_is_what_the_config_says(tmp_path):
    lines = ["0 0.5 0.5 0.5 0.5 0.3 0.3 0.7 0.7"]
    with pytest.raises(UserError, match=r"2 keypoints \(4 \+ 2 x 2\), or polygons of 4 points"):
        labels_of(tmp_path, lines)
    (row,) = labels_of(tmp_path, lines, [2, 2]).rows
    assert row["label"] == "0 0.500000 0.500000 0.500000 0.500000"
    (row,) = labels_of(tmp_path, lines, False).rows
    assert row["label"] == "0 0.500000 0.500000 0.400000 0.400000"


def test_a_reduction_to_boxes_is_said(tmp_path, caplog):
    rng = np.random.default_rng(0)
    lines = [polygon(rng, points) for points in (5, 6, 7)]
    labels_of(tmp_path, lines)
    ids = [{"id": str(n), "image": f"{n}.png", "width": 1, "height": 1} for n in range(3)]
    write_table(tmp_path / "manifest.csv", ids, "manifest")
    outputs = {name: tmp_path / f"{name}.out" for name in ("labels", "rejected", "summary")}
    job = SimpleNamespace(
        input=SimpleNamespace(manifest=tmp_path / "manifest.csv"),
        output=SimpleNamespace(**outputs),
        params=SimpleNamespace(
            folder=tmp_path, task="detection", classes=["thing"], kpt_shape=None
        ),
        resources=SimpleNamespace(max_rejected="0"),
        wildcards=SimpleNamespace(split="val"),
    )
    script.main(job)
    assert "3 polygons became boxes: task detection uses boxes alone" in caplog.text
    assert "few examples" not in caplog.text  # to measure a class, one is enough
    assert read_yaml(outputs["summary"])["reduced"] == {"polygons": 3, "keypoints": 0}


def test_label_script(source, tmp_path, caplog):
    rows = [{"id": id_, "image": f"{id_}.png"} for id_ in ("a b.c", "empty", "missing")]
    rows = [row | {"width": 1, "height": 1, "sha256": "", "caption": ""} for row in rows]
    write_table(tmp_path / "manifest.csv", rows, "manifest")
    job = SimpleNamespace(
        input=SimpleNamespace(manifest=tmp_path / "manifest.csv"),
        output=SimpleNamespace(
            labels=tmp_path / "labels.csv",
            rejected=tmp_path / "rejected.csv",
            summary=tmp_path / "labels.yaml",
        ),
        params=SimpleNamespace(folder=source, task="detection", classes=CLASSES, kpt_shape=None),
        resources=SimpleNamespace(max_rejected="0.34"),
        wildcards=SimpleNamespace(split="train"),
    )
    script.main(job)
    table = read_table(tmp_path / "labels.csv", "labels")
    assert table.label.tolist() == ["0 0.500000 0.500000 0.500000 0.500000", ""]
    assert read_yaml(tmp_path / "labels.yaml") == {
        "pictures": 2,
        "classes": {"car": 1, "traffic light": 0, "traffic": 0, "7 up": 0},
        "backgrounds": 1,
        "reduced": {"polygons": 0, "keypoints": 0},
    }
    few = "classes with few examples, or none: 7 up 0, traffic 0, traffic light 0, car 1"
    assert few in caplog.text and "not used yet" not in caplog.text
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
    assert name_objects(table, CLASSES, "detection") == {
        "a": ["car", "traffic", "traffic light"],
        "b": [],
        "c": ["7 up"],
    }
    # by the centers of their boxes, not by the points that come first
    masks = pd.DataFrame({"id": ["a"], "label": ["0 0.9 0 0.5 1 0.5 0\n1 0.1 0 0.9 0 0.1 1"]})
    assert name_objects(masks, CLASSES, "segmentation") == {"a": ["traffic light", "car"]}
