"""What is drawn over a picture lies where its label says, in its class's color."""

import numpy as np
import pytest
from PIL import ImageColor

from cia.labels.masks import join_rings, rasterize
from cia.labels.objects import Object
from cia.reporting.overlays import COLORS, draw_objects

NAMES = ["cat", "dog", "fox"]
GRAY = np.full((300, 400, 3), 120, dtype=np.uint8)
RING = join_rings(
    [
        np.array([[0.2, 0.3], [0.8, 0.3], [0.8, 0.9], [0.2, 0.9]]),
        np.array([[0.4, 0.5], [0.6, 0.5], [0.6, 0.7], [0.4, 0.7]]),
    ]
)
"""A square with a hole, as one ring with a bridge."""


def color(index):
    return np.array(ImageColor.getrgb(COLORS[index]))


def changed(image):
    return (image != GRAY).any(axis=2)


def test_a_mask_is_half_transparent_with_an_outline_and_no_bridge():
    image = draw_objects(GRAY, [Object("1", (0.2, 0.3, 0.8, 0.9), RING)], NAMES)
    mask = rasterize(RING, 400, 300)
    below = np.s_[100:]  # of the class name
    assert (changed(image)[below] == mask[below]).all()
    full = (image == color(1)).all(axis=2)
    blended = (image == (0.55 * 120 + 0.45 * color(1)).round()).all(axis=2)
    assert ((full | blended)[below] == mask[below]).all()
    assert blended.sum() > 10 * full.sum() > 1000
    near_the_bridge = np.s_[105:140, 90:150]
    assert blended[near_the_bridge].all()


def test_keypoints_are_dots_and_their_skeleton_lines_of_what_is_labeled():
    points = np.array([[0.25, 0.5, 2], [0.75, 0.5, 1], [0.5, 0.9, 0], [0.5, 0.7, 2]])
    posed = [Object("2", (0.1, 0.2, 0.9, 0.95), None, points)]
    image = draw_objects(GRAY, posed, NAMES, [[0, 1], [1, 2], [0, 3]])
    hit = (image == color(2)).all(axis=2)
    assert hit[150, 100] and hit[150, 200] and hit[210, 200]  # a dot, a line, a dot
    assert (image[150, 300] == 0).all()  # a hidden one is hollow
    assert not changed(image)[262:275, 190:210].any()  # one that is not labeled
    assert not hit[240:, 250:].any()  # nor a line to it
    without = draw_objects(GRAY, posed, NAMES)
    assert not changed(without)[150, 200] and changed(without)[150, 100]


def test_a_box_is_a_line_around_it_and_nothing_in_it():
    image = draw_objects(GRAY, [Object("0", (0.25, 0.5, 0.75, 0.9))], NAMES)
    assert not changed(image)[152:268, 102:298].any()
    assert changed(image)[150, 100:300].all() and changed(image)[150:270, 100].all()
    assert GRAY.ptp() == 0  # the picture itself is as it was


@pytest.mark.parametrize("size", [(8, 8), (40, 1000), (1000, 40)])
def test_pictures_of_any_shape_are_drawn_on(size):
    gray = np.full((*size, 3), 120, dtype=np.uint8)
    objects = [
        Object("0", (0.0, 0.0, 1.0, 1.0)),
        Object("1", (0.0, 0.3, 1.0, 1.0), RING),
        Object("2", (0.9, 0.9, 1.0, 1.0), None, np.array([[1.0, 1.0, 2.0], [0.0, 0.0, 1.0]])),
    ]
    image = draw_objects(gray, objects, ["a name that is far too long for it" * 3] * 3, [[0, 1]])
    assert image.shape == gray.shape and (image != gray).any()
