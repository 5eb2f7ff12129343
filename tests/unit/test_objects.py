"""Objects of a label by task; written, they are read again as they were."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cia.labels.masks import join_rings, rasterize
from cia.labels.objects import Object, box_around, object_line, parse_objects
from cia.labels.reading import parse_shapes, read_labels, summarize_labels

SHARES = st.floats(0, 1)
SMALL = st.floats(1e-5, 1)


@st.composite
def boxes(draw):
    width, height = draw(SMALL), draw(SMALL)
    left, top = draw(SHARES) * (1 - width), draw(SHARES) * (1 - height)
    return left, top, left + width, top + height


@given(boxes(), st.lists(st.tuples(SHARES, SHARES, st.sampled_from([0, 1, 2])), min_size=1))
@settings(max_examples=100)
def test_a_pose_is_read_as_it_was_written(box, keypoints):
    keypoints = np.array(keypoints, dtype=float)
    for numbers in (2, 3):
        line = object_line(Object("7", box, keypoints=keypoints[:, :numbers]), "pose")
        (read,) = parse_objects(line, "pose", (len(keypoints), numbers))
        assert read.index == "7"
        np.testing.assert_allclose(read.box, box, atol=1e-6)
        np.testing.assert_allclose(read.keypoints[:, :2], keypoints[:, :2], atol=1e-6)
        np.testing.assert_array_equal(read.keypoints[:, 2:], keypoints[:, 2:numbers])
        assert object_line(read, "pose").split()[5:] == line.split()[5:]


@given(st.lists(st.tuples(SHARES, SHARES), min_size=3, max_size=30))
@settings(max_examples=100)
def test_a_polygon_is_read_as_it_was_written_and_has_the_box_around_it(points):
    polygon = np.array(points)
    line = object_line(Object("0", box_around(polygon), polygon=polygon), "segmentation")
    (read,) = parse_objects(line, "segmentation")
    np.testing.assert_allclose(read.polygon, polygon, atol=1e-6)
    assert read.box == (*read.polygon.min(axis=0), *read.polygon.max(axis=0))
    assert object_line(read, "segmentation") == line


@given(boxes())
def test_a_box_is_read_as_it_was_written(box):
    (read,) = parse_objects(object_line(Object("2", box), "detection"), "detection")
    assert read.polygon is None and read.keypoints is None
    np.testing.assert_allclose(read.box, box, atol=1e-6)


def test_a_tiny_polygon_keeps_its_shape():
    polygon = np.array([(0.5, 0.5), (0.500003, 0.5), (0.5, 0.500002)])
    line = object_line(Object("0", box_around(polygon), polygon=polygon), "segmentation")
    np.testing.assert_allclose(
        parse_objects(line, "segmentation")[0].polygon, polygon, rtol=0, atol=1e-8
    )


def test_objects_come_in_the_order_of_the_lines_and_an_empty_label_has_none():
    label = "1 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.1 0.1"
    assert [found.index for found in parse_objects(label, "detection")] == ["1", "0"]
    assert parse_objects("", "segmentation") == []


def test_the_object_of_a_classification_is_the_picture():
    (found,) = parse_objects("3", "classification")
    assert found == ("3", (0, 0, 1, 1), None, None)
    assert object_line(found, "classification") == "3"


def test_a_line_of_other_keypoints_than_the_data_set_has_is_an_error():
    with pytest.raises(ValueError, match="reshape"):
        parse_objects("0 0.5 0.5 0.2 0.2 0.5 0.5 2", "pose", (2, 3))


CLASSES = ["car", "traffic light"]
RING = "0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6"


def test_polygons_come_in_one_form_and_once():
    text = f"traffic light {RING}\n\n1 .1 .1 .5 .1 .5 .6 .1 .6\r\ncar 0 0 1 0 1 1\n"
    numbers = " ".join(f"{float(number):.6f}" for number in RING.split())
    assert parse_shapes(text, CLASSES, "segmentation") == (
        f"1 {numbers}\n0 0.000000 0.000000 1.000000 0.000000 1.000000 1.000000"
    )
    assert parse_shapes(" \n", CLASSES, "segmentation") == ""


@pytest.mark.parametrize(
    "line, words",
    [
        ("car 0.5 0.5 0.2 0.2", "4 numbers after the class are a box"),
        ("car 0.1 0.1 0.2 0.2 0.3", "5 numbers after the class"),
        ("car 0.1 0.1", "2 numbers after the class"),
        ("car 0.1 0.1 0.5 0.1 0.3 0.1", "a polygon of no area"),
        ("car 0.1 0.1 0.3 0.3 0.5 0.5", "a polygon of no area"),
        ("car 0.1 0.1 0.5 0.1 0.5 0.4 0.5 0.1", "a polygon of no area"),
        ("car 0.1 0.1 0.1 0.1 0.1 0.1", "a polygon of no area"),
        ("car 0.1 0.1 1.2 0.1 0.5 0.4", "sticks out of the picture"),
        ("car -0.1 0.1 0.2 0.1 0.5 0.4", "sticks out of the picture"),
        ("car 10 10 200 10 50 40", "looks like pixels"),
        ("bus 0.1 0.1 0.2 0.1 0.5 0.4", "no class 'bus'"),
        ("car 0.1 0.1 nan 0.1 0.5 0.4", "NaN"),
    ],
)
def test_a_line_that_is_no_polygon_is_named(line, words):
    with pytest.raises(ValueError, match=f"^line 2: .*{words}"):
        parse_shapes(f"car {RING}\n{line}\n", CLASSES, "segmentation")


def test_a_polygon_that_crosses_itself_is_kept_as_it_is():
    """Even-odd, it has two parts."""
    label = parse_shapes("car 0.1 0.1 0.5 0.5 0.5 0.1 0.1 0.5", CLASSES, "segmentation")
    (found,) = parse_objects(label, "segmentation")
    assert rasterize(found.polygon, 100, 100).sum() == pytest.approx(0.08 * 100**2, rel=0.05)


def test_points_a_hair_outside_are_moved_to_the_edge():
    label = parse_shapes("0 -1e-7 0 1.0000001 0 1 1", CLASSES, "segmentation")
    assert label.split()[1:] == [
        "0.000000",
        "0.000000",
        "1.000000",
        "0.000000",
        "1.000000",
        "1.000000",
    ]


def test_a_hole_with_its_bridge_is_a_polygon():
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=float)
    ring = join_rings([square * 0.8 + 0.1, square * 0.2 + 0.4])
    line = object_line(Object("0", box_around(ring), polygon=ring), "segmentation")
    assert parse_shapes(line, CLASSES, "segmentation") == line


@given(st.lists(st.tuples(SHARES, SHARES), min_size=3, max_size=8))
def test_a_checked_polygon_encloses_something_and_one_that_encloses_a_lot_is_none_of_no_area(
    points,
):
    ring = np.array(points)
    line = object_line(Object("0", box_around(ring), polygon=ring), "segmentation")
    pixels = rasterize(parse_objects(line, "segmentation")[0].polygon, 300, 300).sum()
    try:
        assert parse_shapes(line, CLASSES, "segmentation") == line
    except ValueError:
        assert pixels == 0


POSE = "0.5 0.5 0.4 0.4"


def test_keypoints_come_in_one_form():
    text = f"traffic light {POSE} .4 .4 2 0.6 5e-1 1 0.7 0.9 0\n0 {POSE} 0 0 0 0 0 0 -1 -1 0"
    box = "0.500000 0.500000 0.400000 0.400000"
    gone = "0.000000 0.000000 0"
    assert parse_shapes(text, CLASSES, "pose", [3, 3]) == (
        f"1 {box} 0.400000 0.400000 2 0.600000 0.500000 1 {gone}\n0 {box} {gone} {gone} {gone}"
    )
    assert parse_shapes(f"0 {POSE} .4 .4 0 0 -1 -1", CLASSES, "pose", [3, 2]) == (
        f"0 {box} 0.400000 0.400000 0.000000 0.000000 0.000000 0.000000"
    )


@pytest.mark.parametrize(
    "line, words",
    [
        (f"car {POSE}", r"4 numbers after the class; 10 are expected: .* is 0 0 0"),
        (f"car {POSE} 0.4 0.4 2", "7 numbers after the class; 10 are expected"),
        (f"car {POSE} 0.4 0.4 2 0.4 0.4 3", "visibility 3 of a keypoint"),
        (f"car {POSE} 0.4 0.4 2 0.4 0.4 0.5", "visibility 0.5 of a keypoint"),
        (f"car {POSE} 0.4 0.4 2 1.2 0.4 2", r"keypoint 1 .* outside of the picture \(1.2 0.4\)"),
        (f"car {POSE} 0.4 0.4 2 -0.2 0.4 1", "keypoint 1"),
        (f"car {POSE} 40 0.4 2 0 0 0", "looks like pixels"),
        ("car 0.5 0.5 1.4 0.4 0.4 0.4 2 0 0 0", "sticks out of the picture"),
        ("car 0.5 0.5 0 0.4 0.4 0.4 2 0 0 0", "a bounding box of no area"),
    ],
)
def test_a_line_that_is_no_pose_is_named(line, words):
    good = f"0 {POSE} 0.4 0.4 2 0 0 0"
    with pytest.raises(ValueError, match=f"^line 2: .*{words}"):
        parse_shapes(f"{good}\n{line}\n", CLASSES, "pose", [2, 3])


@pytest.mark.parametrize(
    "task, shape, good, bad",
    [
        ("segmentation", None, f"car {RING}", f"car {POSE}"),
        ("pose", [1, 3], f"car {POSE} 0.4 0.4 2", f"car {POSE}"),
    ],
)
def test_a_file_with_a_bad_line_is_rejected_whole_and_what_is_left_is_counted(
    tmp_path, task, shape, good, bad
):
    (tmp_path / "labels").mkdir()
    for name, text in {"a": f"{good}\n{good}", "b": f"{good}\n{bad}", "c": ""}.items():
        (tmp_path / "labels" / f"{name}.txt").write_text(text)
    labels = read_labels(tmp_path, ["a", "b", "c"], task, CLASSES, shape)
    assert [row["id"] for row in labels.rows] == ["a", "c"] and labels.unusable == 1
    assert labels.rejected[0]["reason"].startswith("line 2: 4 numbers after the class")
    summary = summarize_labels(labels, task, CLASSES)
    assert summary == {
        "pictures": 2,
        "classes": {"car": 1, "traffic light": 0},  # the line stands twice
        "backgrounds": 1,
    }
