"""A mask is the same as pixels, as one ring with bridges, in a line of a label, and as runs."""

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from cia.labels.masks import join_rings, mask_to_rle, rasterize, rle_to_mask, trace
from cia.labels.objects import Object, box_around, object_line, parse_objects
from cia.quiet_ultralytics import import_ultralytics

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24))
"""Any pixels at all: several parts, holes, parts in holes, parts that touch by a corner."""

BLOBS = st.lists(
    st.tuples(*[st.integers(20, 180)] * 2, st.integers(16, 60), st.booleans()),
    min_size=1,
    max_size=5,
)
"""Disks of a picture of 200 x 160, added or taken away: x, y, radius, added."""


def blobs(disks) -> np.ndarray:
    mask = np.zeros((160, 200), dtype=bool)
    ys, xs = np.mgrid[:160, :200] + 0.5
    for x, y, radius, added in disks:
        mask[(xs - x) ** 2 + (ys - y) ** 2 < radius**2] = added
    return mask


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def by_line(ring: np.ndarray) -> np.ndarray:
    line = object_line(Object("3", box_around(ring), polygon=ring), "segmentation")
    return parse_objects(line, "segmentation")[0].polygon


def drawn_by_ultralytics(ring: np.ndarray, width: int, height: int) -> np.ndarray:
    import_ultralytics()
    from ultralytics.data.utils import polygon2mask

    points = (ring * (width, height)).reshape(-1)
    return polygon2mask((height, width), [points]).astype(bool)


def square(left: float, top: float, side: float) -> np.ndarray:
    return np.array([(0, 0), (side, 0), (side, side), (0, side)]) + (left, top)


@given(MASKS.filter(np.any))
@settings(max_examples=100)
def test_a_traced_mask_is_the_same_pixel_by_pixel_also_after_its_line_is_written_and_read(mask):
    ring = by_line(trace(mask))
    height, width = mask.shape
    np.testing.assert_array_equal(rasterize(ring, width, height), mask)
    # The oracle: pycocotools draws the corners of pixels exactly, at a scale that is odd.
    runs = coco.frPyObjects([(ring * (width, height)).ravel().round(3).tolist()], height, width)
    np.testing.assert_array_equal(coco.decode(coco.merge(runs)).astype(bool), mask)


@given(MASKS)
@settings(max_examples=100)
def test_run_lengths_are_those_of_pycocotools_and_give_the_mask_back(mask):
    rle = mask_to_rle(mask)
    assert coco.area(rle) == mask.sum()
    np.testing.assert_array_equal(rle_to_mask(rle), mask)
    changes = np.flatnonzero(np.diff(mask.ravel(order="F"), prepend=False, append=False))
    bounds = [0, *changes.tolist(), mask.size]
    plain = [int(end - start) for start, end in zip(bounds[:-1], bounds[1:], strict=True)]
    np.testing.assert_array_equal(
        rle_to_mask({"size": list(mask.shape), "counts": plain}), mask, err_msg=str(plain)
    )


@given(BLOBS)
@settings(max_examples=60)
def test_masks_keep_their_iou_through_polygon_runs_and_line(disks):
    mask = blobs(disks)
    if not mask.any():
        return
    through = rle_to_mask(mask_to_rle(rasterize(by_line(trace(mask)), 200, 160)))
    assert iou(through, mask) >= 0.99
    assert coco.iou([mask_to_rle(through)], [mask_to_rle(mask)], [0])[0, 0] >= 0.99


def test_one_pixel_is_a_square_and_no_pixel_is_no_ring():
    mask = np.zeros((3, 4), dtype=bool)
    assert trace(mask) is None
    mask[1, 2] = True
    np.testing.assert_array_equal(
        np.unique(trace(mask) * (4, 3), axis=0), [(2, 1), (2, 2), (3, 1), (3, 2)]
    )
    assert mask_to_rle(mask)["size"] == [3, 4]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
def test_a_mask_may_be_the_whole_picture(shape):
    mask = np.ones(shape, dtype=bool)
    np.testing.assert_array_equal(rasterize(trace(mask), *shape[::-1]), mask)


def test_a_hole_and_a_second_part_stay_what_they_are_in_one_ring():
    rings = [square(0.1, 0.1, 0.4), square(0.2, 0.2, 0.2), square(0.6, 0.5, 0.3)]
    joined = join_rings(rings)
    assert len(joined) == 3 * 4 + 2 * 2
    apart = [rasterize(ring, 200, 100) for ring in rings]
    np.testing.assert_array_equal(rasterize(joined, 200, 100), (apart[0] ^ apart[1]) | apart[2])


def test_a_bridge_starts_at_the_nearest_point_of_all_rings_before_it():
    far, near, third = square(0, 0, 0.1), square(0.5, 0, 0.1), square(0.7, 0, 0.1)
    joined = join_rings([near, far, third])
    steps = np.abs(np.diff(joined, axis=0)).sum(axis=1)
    assert sorted(steps.round(6))[-4:] == [0.1, 0.1, 0.4, 0.4]


@given(BLOBS)
@example([(20, 29, 16, True), (76, 20, 16, True)])
@settings(max_examples=10, phases=set(settings.default.phases) - {Phase.explain})
def test_ultralytics_draws_a_ring_with_bridges_as_its_mask_up_to_the_outline(disks):
    """fillPoly cuts coordinates off to whole pixels, and draws the outline as well, bridges too.

    An end may move by a pixel so, and a slanted line's pixels lie half a pixel beside it.
    """
    mask = blobs(disks)
    if not mask.any():
        return
    ring = trace(mask)
    drawn = drawn_by_ultralytics(ring, 200, 160)
    assert (drawn | ~mask).all()
    more = np.argwhere(drawn & ~mask)[:, None, ::-1] + 0.5
    starts = ring * (200, 160)
    ways = np.roll(starts, -1, axis=0) - starts
    along = ((more - starts) * ways).sum(-1) / np.maximum((ways**2).sum(-1), 1e-9)
    nearest = starts + np.clip(along, 0, 1)[..., None] * ways
    assert (np.abs(more - nearest).max(-1).min(-1) <= 1.5).all()


def test_a_hole_is_a_hole_for_ultralytics():
    ring = join_rings([square(0.1, 0.1, 0.8), square(0.3, 0.3, 0.4)])
    drawn = drawn_by_ultralytics(ring, 100, 100)
    assert not drawn[50, 50] and drawn[20, 20]
    assert iou(drawn, rasterize(ring, 100, 100)) >= 0.94


def test_what_is_outside_of_the_picture_is_cut_off():
    mask = rasterize(square(-0.5, -0.5, 1), 10, 20)
    assert mask[:10, :5].all() and mask.sum() == 50


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=3, max_size=12), st.integers(1, 20))
@settings(max_examples=100)
def test_a_pixel_is_inside_where_a_ray_from_its_center_crosses_the_ring_an_odd_number_of_times(
    points, size
):
    ring = np.array(points) * size
    starts, ends = ring, np.roll(ring, -1, axis=0)
    mask = rasterize(ring / size, size, size)
    ys, xs = np.divmod(np.arange(size * size), size)
    for x, y in zip(xs + 0.5, ys + 0.5, strict=True):
        crosses = (starts[:, 1] <= y) != (ends[:, 1] <= y)
        a, b = starts[crosses], ends[crosses]
        across = a[:, 0] + (y - a[:, 1]) / (b - a)[:, 1] * (b - a)[:, 0]
        if np.abs(across - x).min(initial=1) > 1e-6 and np.abs(ring[:, 1] - y).min() > 1e-6:
            assert mask[int(y), int(x)] == (across > x).sum() % 2


def test_plain_runs_that_do_not_fill_their_size_are_an_error():
    with pytest.raises(ValueError, match="5 pixels for a size of 2 x 3"):
        rle_to_mask({"size": [2, 3], "counts": [2, 3]})
