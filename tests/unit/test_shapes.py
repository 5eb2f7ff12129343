"""Polygons and keypoints follow their picture: through warps, over its border, into a mirror."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cia.labels.masks import join_rings, rasterize, trace
from cia.labels.objects import Object, box_around
from cia.labels.shapes import (
    clipped,
    densified,
    keypoints_inside,
    label_of_pixels,
    objects_in_pixels,
    polygon_inside,
)
from cia.variations.geometry import draw_warp, followed, moved_object, warp_map

SIZE = (128, 96)
WARP = {"flip": 0.5, "rotation": 40, "scale": [0.7, 1.4], "elastic": 0.025, "translation": 0.3}
PARTS = [
    np.array([[20.0, 20.0], [70.0, 20.0], [70.0, 60.0], [20.0, 60.0]]),
    np.array([[30.0, 30.0], [60.0, 30.0], [60.0, 50.0], [30.0, 50.0]]),
    np.array([[90.0, 70.0], [110.0, 70.0], [100.0, 85.0]]),
]
FRAME = join_rings(PARTS)
"""A frame, its hole and a triangle beside it, as one ring with two bridges."""

seeds = st.integers(0, 2**32)


def pixels(ring, size=SIZE):
    return rasterize(ring / size, *size)


def blob(seed):
    """A mask of some ellipses, with a hole, away from the border."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(SIZE[::-1], dtype=np.uint8)
    for value in (1, 1, 1, 0):
        center = rng.integers((44, 36), (84, 60))
        axes = rng.integers(10, 24, 2) if value else (5, 4)
        cv2.ellipse(mask, tuple(map(int, center)), tuple(map(int, axes)), 30, 0, 360, value, -1)
    return mask > 0


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@given(longest=st.floats(0.5, 200))
def test_more_points_leave_the_same_pixels(longest):
    ring = densified(FRAME, longest)
    assert (pixels(ring) == pixels(FRAME)).all()
    assert np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1).max() <= longest + 1e-9


@given(seed=seeds)
def test_a_bridge_encloses_nothing_after_an_elastic_warp(seed):
    warp = draw_warp(np.random.default_rng(seed), {**WARP, "translation": 0.0}, (0, 0, *SIZE))
    whole, *parts = (
        pixels(warp.forward(densified(ring, warp.longest_straight))) for ring in (FRAME, *PARTS)
    )
    assert (whole == np.logical_xor.reduce(parts)).all()


@given(seed=seeds)
def test_a_clipped_polygon_has_the_pixels_that_are_in_the_picture(seed):
    rng = np.random.default_rng(seed)
    warp = draw_warp(rng, {**WARP, "translation": 0.5}, (0, 0, *SIZE))
    ring = warp.forward(densified(FRAME, 4))
    part = clipped(ring, SIZE)
    whole = rasterize((ring + SIZE) / (3 * np.array(SIZE)), 3 * SIZE[0], 3 * SIZE[1])
    seen = whole[SIZE[1] : 2 * SIZE[1], SIZE[0] : 2 * SIZE[0]]
    assert (pixels(part) == seen).all() if len(part) else not seen.any()
    if len(part):
        assert (part >= 0).all() and (part <= SIZE).all()
    _, visible = polygon_inside(ring, SIZE)
    assert abs(visible - seen.sum() / max(whole.sum(), 1)) < 0.02


def test_what_lies_beside_the_picture_has_no_part_in_it():
    assert polygon_inside(FRAME + (200, 0), SIZE) == (None, 0.0)
    part, visible = polygon_inside(FRAME, SIZE)
    assert visible == 1 and (part == FRAME).all()


@given(seed=seeds)
def test_a_warped_polygon_has_the_pixels_of_the_warped_mask(seed):
    mask = blob(seed)
    one = Object("0", (0, 0, 1, 1), trace(mask) * SIZE)
    warp = draw_warp(np.random.default_rng(seed), WARP, (0, 0, *SIZE))
    image = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    moved, visible = moved_object(one, followed(image, one, "nearest"), warp, SIZE)
    assume(visible > 0.3)
    expected = warp_map(image, warp, "nearest").any(axis=2)
    found = pixels(moved.polygon)
    assert overlap(found, expected) >= 0.95
    rows, columns = np.nonzero(found)
    extents = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    assert (
        np.abs(np.subtract(moved.box, extents)).max() <= 2
    )  # a pointed corner holds no pixel's center
    assert moved.box == box_around(moved.polygon)


def test_few_points_bend_as_many_do():
    """A square of four points: without more of them its edges would stay straight."""
    square = np.array([[24.0, 8.0], [104.0, 8.0], [104.0, 88.0], [24.0, 88.0]])
    image = np.repeat(pixels(square)[..., None], 3, axis=2).astype(np.uint8) * 255
    settings = {**WARP, "flip": 0, "rotation": 0, "scale": [1, 1], "translation": 0}
    bent = []
    for seed in range(10):
        warp = draw_warp(np.random.default_rng(seed), settings, (0, 0, *SIZE))
        one = Object("0", (0, 0, 1, 1), square)
        moved, _ = moved_object(one, square, warp, SIZE)
        expected = warp_map(image, warp, "nearest").any(axis=2)
        assert overlap(pixels(moved.polygon), expected) >= 0.97
        bent.append(overlap(pixels(clipped(warp.forward(square), SIZE)), expected))
    assert min(bent) < 0.95


@given(seed=seeds, interpolation=st.sampled_from(["lines", "linear"]))
def test_a_warped_keypoint_is_where_its_pixels_go(seed, interpolation):
    rng = np.random.default_rng(seed)
    point = rng.integers((20, 20), (108, 76)) + 0.5
    image = np.zeros((*SIZE[::-1], 3), dtype=np.uint8)
    warp = draw_warp(rng, WARP, (0, 0, *SIZE))
    if interpolation == "lines":
        image[int(point[1]), int(point[0])] = 255
    else:
        y, x = np.mgrid[: SIZE[1], : SIZE[0]] + 0.5
        spot = np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / 8)
        image[:] = (255 * spot).round().astype(np.uint8)[..., None]
    one = Object("0", (8, 8, 120, 88), keypoints=np.array([[*point, 2]]))
    moved, _ = moved_object(one, followed(image, one, interpolation), warp, SIZE)
    assume(moved is not None and moved.keypoints[0, 2] == 2)
    x, y, _ = moved.keypoints[0]
    assume(6 < x < SIZE[0] - 6 and 6 < y < SIZE[1] - 6)  # the whole spot is there
    weights = warp_map(image, warp, interpolation)[..., 0].astype(float)
    rows, columns = np.indices(weights.shape) + 0.5
    center = (columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()
    assert np.abs(np.subtract((x, y), center)).max() <= 0.5


def test_keypoints_that_leave_the_picture_are_not_labeled_and_hidden_ones_stay_hidden():
    keypoints = np.array([[10.0, 10.0, 2], [120.0, 50.0, 2], [30.0, 30.0, 1], [0.0, 0.0, 0]])
    moved = keypoints_inside(keypoints, keypoints[:, :2] + (20, 5), SIZE)
    assert moved.tolist() == [[30, 15, 2], [0, 0, 0], [50, 35, 1], [0, 0, 0]]
    without = keypoints_inside(keypoints[:, :2], keypoints[:, :2] + (20, 5), SIZE)
    assert without.tolist() == [[30, 15], [0, 0], [50, 35], [0, 0]]


def test_a_mirror_image_swaps_keypoints_by_flip_idx():
    keypoints = np.array([[10.0, 10.0, 2], [100.0, 12.0, 1], [50.0, 40.0, 2]])
    one = Object("0", (0, 0, 128, 96), keypoints=keypoints)
    image = np.zeros((*SIZE[::-1], 3), dtype=np.uint8)
    still = {"rotation": 0, "scale": [1, 1], "elastic": 0, "translation": 0}
    for flip in (0.0, 1.0):
        settings = {**still, "flip": flip}
        warp = draw_warp(np.random.default_rng(0), settings, (0, 0, *SIZE))
        moved, _ = moved_object(one, followed(image, one, "lines"), warp, SIZE, [1, 0, 2])
        mirrored = [[28, 12, 1], [118, 10, 2], [78, 40, 2]]
        assert moved.keypoints.tolist() == (mirrored if flip else keypoints.tolist())


LABELS = {
    "detection": "3 0.500000 0.250000 0.500000 0.125000\n0 0.100000 0.100000 0.200000 0.200000",
    "segmentation": "1 0.100000 0.200000 0.500000 0.250000 0.300000 0.750000",
    "pose": "0 0.500000 0.500000 0.400000 0.200000 0.312500 0.437500 2 0.000000 0.000000 0",
}


@pytest.mark.parametrize("task", LABELS)
def test_a_label_in_pixels_and_back_is_the_same_label(task):
    objects = objects_in_pixels(LABELS[task], (640, 480), task, [2, 3])
    assert label_of_pixels(objects, (640, 480), task) == LABELS[task]
    assert max(objects[0].box) > 100
