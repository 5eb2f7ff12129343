"""Objects of a label by task; written, they are read again as they were."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cia.labels.objects import Object, box_around, object_line, parse_objects

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
