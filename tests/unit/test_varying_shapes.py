"""Varied maps of segmentations and poses: polygons and keypoints lie where the map shows them."""

import hashlib

import cv2
import numpy as np
import pandas as pd
import pytest

from cia.images import load_image, save_png
from cia.labels.masks import rasterize, trace
from cia.labels.objects import Object, object_line, parse_objects
from cia.variations.recombine import collect_pieces, shared
from cia.variations.varying import vary_maps

SIZE = (96, 80)
MASKS = {"labels": {"task": "segmentation"}}
POSES = {"labels": {"task": "pose", "kpt_shape": [2, 3], "flip_idx": [1, 0]}}
BOXES = {}
WARP = {"kind": "warp", "flip": 0.5, "rotation": 25, "scale": [0.7, 1.3], "elastic": 0.02}
WARP |= {"translation": 0.15, "min_visible": 0.7}
STILL = {"kind": "recombine", "flip": 0.0, "rotation": 0, "scale": [1.0, 1.0], "elastic": 0.0}
STILL |= {"objects": [2, 3], "margin": 2, "max_overlap": 0.0, "background": "blank"}
TURNED = {**STILL, "flip": 0.5, "rotation": 20, "scale": [0.8, 1.2], "elastic": 0.01}
COLORS = [(200, 30, 60), (40, 180, 90), (60, 70, 220)]
"""Of classes, as a map of classes shows them."""
GROUND = (90, 90, 30)


def triangle(left, top, side):
    """The half of a square above a diagonal, which meets no center of a pixel."""
    return np.array([(left, top), (left + side + 0.4, top), (left, top + side + 0.4)])


LAYOUTS = {
    "one": [(0, triangle(10, 10, 34))],
    "two": [(1, triangle(6, 30, 40)), (2, triangle(55, 8, 30))],
    "ring": [(2, np.array([(20, 20), (60, 20), (60, 60), (20, 60)], dtype=float))],
}


def coloring(objects, ground=GROUND):
    """A map of classes: each object in its color, and what is behind them."""
    image = np.full((SIZE[1], SIZE[0], 3), ground, dtype=np.uint8)
    for index, ring in objects:
        image[rasterize(ring / SIZE, *SIZE)] = COLORS[index]
    return image


@pytest.fixture
def write(tmp_path):
    """Write maps, and return their table and labels of a task."""

    def write(images, objects, task):
        rows, labels = [], {}
        for name, image in images.items():
            path = tmp_path / "maps" / f"{name}.png"
            save_png(path, image)
            rows.append({"id": name, "image": str(path), "width": SIZE[0], "height": SIZE[1]})
            labels[name] = "\n".join(object_line(one, task) for one in objects[name])
        return pd.DataFrame(rows).assign(found=1), labels

    return write


def segmented():
    return {
        name: [Object(str(index), (0, 0, 1, 1), ring / SIZE) for index, ring in layout]
        for name, layout in LAYOUTS.items()
    }


def drawn(image, index):
    return (image == COLORS[index]).all(axis=2)


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


def made(varied, task, kpt_shape=None):
    """Each varied map with its objects."""
    for row, label in zip(varied.manifest, varied.labels, strict=True):
        yield load_image(row["image"]), parse_objects(label["label"], task, kpt_shape)


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_warped_polygons_are_where_their_colors_are(write, tmp_path, interpolation):
    images = {name: coloring(layout, (0, 0, 0)) for name, layout in LAYOUTS.items()}
    table, labels = write(images, segmented(), "segmentation")
    varied = vary_maps(table, labels, tmp_path / "v", WARP | MASKS, interpolation, 6, 0)
    assert len(varied.manifest) == 18
    for image, objects in made(varied, "segmentation"):
        together = np.any([rasterize(one.polygon, *SIZE) for one in objects], axis=0)
        assert overlap(together, image.max(axis=2) > 100) >= 0.95
        for one in objects:
            assert (one.polygon >= 0).all() and (one.polygon <= 1).all()


def test_enough_of_every_mask_stays_in_the_picture(write, tmp_path):
    """The square's mask, not its box's: of a triangle more than half could be gone."""
    wild = {**WARP, "translation": 0.5, "scale": [1.0, 1.0], "elastic": 0.0, "rotation": 0}
    table, labels = write(
        {name: coloring(layout) for name, layout in LAYOUTS.items()}, segmented(), "segmentation"
    )
    varied = vary_maps(table, labels, tmp_path / "v", wild | MASKS, "nearest", 8, 0)
    for row, (_, objects) in zip(varied.manifest, made(varied, "segmentation"), strict=True):
        for one, (_, ring) in zip(objects, LAYOUTS[row["source"]], strict=True):
            kept = rasterize(one.polygon, *SIZE).sum() / rasterize(ring / SIZE, *SIZE).sum()
            assert kept >= 0.7 - 0.04  # to a row of pixels


@pytest.mark.parametrize("settings", [STILL, TURNED], ids=["still", "turned"])
def test_pieces_carry_no_background_and_labels_are_their_very_pixels(write, tmp_path, settings):
    images = {name: coloring(layout) for name, layout in LAYOUTS.items()}
    table, labels = write(images, segmented(), "segmentation")
    varied = vary_maps(table, labels, tmp_path / "v", settings | MASKS, "nearest", 10, 0)
    counts = set()
    for image, objects in made(varied, "segmentation"):
        counts.add(len(objects))
        assert not (image == GROUND).all(axis=2).any()
        masks = [rasterize(one.polygon, *SIZE) for one in objects]
        assert not np.logical_and(*masks[:2]).any() or len(masks) < 2
        for index in range(3):
            of = [mask for mask, one in zip(masks, objects, strict=True) if one.index == str(index)]
            shown = drawn(image, index)
            if of and settings is STILL:
                assert (np.any(of, axis=0) == shown).all()
            elif of:
                assert overlap(np.any(of, axis=0), shown) >= 0.95
            else:
                assert not shown.any()
    assert {2, 3} & counts


def test_pieces_may_touch_where_their_boxes_overlap(write, tmp_path):
    """Two triangles fit into a square that two of their boxes would not fit into."""
    images = {name: coloring(layout) for name, layout in LAYOUTS.items()}
    table, labels = write(images, segmented(), "segmentation")
    turned = {**TURNED, "rotation": 180, "objects": [3, 3]}
    varied = vary_maps(table, labels, tmp_path / "v", turned | MASKS, "nearest", 12, 0)
    overlapping = 0
    for _, objects in made(varied, "segmentation"):
        boxes = [one.box for one in objects]
        pairs = [(a, b) for place, a in enumerate(boxes) for b in boxes[place + 1 :]]
        overlapping += any(shared(*pair) > 0.01 for pair in pairs)
    assert overlapping > 3


def test_a_polygon_loses_what_a_later_piece_hides(write, tmp_path):
    images = {name: coloring(layout) for name, layout in LAYOUTS.items()}
    table, labels = write(images, segmented(), "segmentation")
    crowded = {**STILL, "objects": [3, 3], "max_overlap": 0.6}
    varied = vary_maps(table, labels, tmp_path / "v", crowded | MASKS, "nearest", 12, 0)
    whole = {
        rasterize(ring / SIZE, *SIZE).sum() for layout in LAYOUTS.values() for _, ring in layout
    }
    hidden = 0
    for image, objects in made(varied, "segmentation"):
        masks = [rasterize(one.polygon, *SIZE) for one in objects]
        assert (np.sum(masks, axis=0) == image.any(axis=2)).all()  # each pixel is one object's
        hidden += any(mask.sum() not in whole for mask in masks)
    assert hidden > 3


def test_lines_of_a_neighbor_are_spared_and_those_of_the_ground_are_left(write, tmp_path):
    """Outlines lie on a mask's border, so a margin of them comes along, and nothing beyond."""
    rng = np.random.default_rng(0)
    images = {}
    for name, layout in LAYOUTS.items():
        image = np.repeat((rng.random((SIZE[1], SIZE[0], 1)) < 0.2) * 255, 3, axis=2)
        image = np.ascontiguousarray(image, dtype=np.uint8)
        for _, ring in layout:
            cv2.polylines(image, [(ring - 0.5).round().astype(np.int32)], True, (255,) * 3, 1)
        images[name] = image
    table, labels = write(images, segmented(), "segmentation")
    varied = vary_maps(table, labels, tmp_path / "v", STILL | MASKS, "lines", 10, 0)
    for image, objects in made(varied, "segmentation"):
        masks = np.any([rasterize(one.polygon, *SIZE) for one in objects], axis=0)
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
        near = cv2.dilate(masks.astype(np.uint8), disk) > 0
        assert image.any() and not image[~near].any()


def test_what_is_erased_behind_new_pieces_is_the_masks_alone(write, tmp_path):
    images = {name: coloring(layout) for name, layout in LAYOUTS.items()}
    table, labels = write(images, segmented(), "segmentation")
    behind = {**STILL, "background": "source", "margin": 0}
    varied = vary_maps(table, labels, tmp_path / "v", behind | MASKS, "nearest", 6, 0)
    for image, objects in made(varied, "segmentation"):
        masks = np.any([rasterize(one.polygon, *SIZE) for one in objects], axis=0)
        assert (image[~masks] == GROUND).all()


def test_an_object_under_another_one_is_no_piece_and_one_that_touches_it_is():
    under, over = triangle(10, 10, 30), triangle(12, 12, 30)
    beside = np.array([(40.4, 10), (40.4, 40.4), (10, 40.4)])  # the square's other half
    for other, count in ((over, 0), (beside, 2)):
        objects = [
            Object(str(index), (*ring.min(axis=0), *ring.max(axis=0)), ring)
            for index, ring in enumerate((under, other))
        ]
        assert len(collect_pieces("a", objects, SIZE, 2, 0.2, "nearest")) == count


def posed():
    """Crosses with a keypoint at their tops and one at their right ends."""
    images, objects = {}, {}
    for number, (left, top) in enumerate([(10, 12), (50, 30), (30, 40)]):
        image = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
        x, y = left + 10, top + 10
        cv2.line(image, (x, top), (x, top + 20), (255,) * 3, 1)
        cv2.line(image, (left, y), (left + 20, y), (255,) * 3, 1)
        ends = np.array([(x + 0.5, top + 0.5, 2), (left + 20.5, y + 0.5, 2)])
        box = np.array([left, top, left + 21, top + 21]) / (*SIZE, *SIZE)
        ends[:, :2] /= SIZE
        images[str(number)], objects[str(number)] = image, [Object("0", tuple(box), None, ends)]
    return images, objects


@pytest.mark.parametrize("settings", [WARP, STILL, TURNED], ids=["warp", "still", "turned"])
def test_keypoints_move_with_the_lines_that_end_in_them(write, tmp_path, settings):
    images, objects = posed()
    table, labels = write(images, objects, "pose")
    varied = vary_maps(table, labels, tmp_path / "v", settings | POSES, "lines", 10, 0)
    seen = 0
    for image, found in made(varied, "pose", [2, 3]):
        rows, columns = np.nonzero(image.any(axis=2))
        lines = np.column_stack([columns, rows]) + 0.5
        for one in found:
            for x, y, visible in one.keypoints:
                point = np.array([x, y]) * SIZE
                if visible:
                    seen += 1
                    assert np.abs(lines - point).max(axis=1).min() <= 0.5 + 1e-4
                    inside = np.array([x, y, x, y]) - one.box
                    assert (np.abs(inside[:2]) < 0.5).all()
    assert seen > 50


def test_mirrored_keypoints_have_swapped(write, tmp_path):
    images, objects = posed()
    table, labels = write(images, objects, "pose")
    mirror = {**WARP, "flip": 1.0, "rotation": 0, "scale": [1, 1], "elastic": 0, "translation": 0}
    varied = vary_maps(table, labels, tmp_path / "v", mirror | POSES, "lines", 1, 0)
    for row, (_, [one]) in zip(varied.manifest, made(varied, "pose", [2, 3]), strict=True):
        [before] = objects[row["source"]]
        expected = before.keypoints[[1, 0]] * (-1, 1, 1) + (1, 0, 0)
        np.testing.assert_allclose(one.keypoints, expected, atol=1e-6)


def test_a_keypoint_under_a_later_piece_is_hidden(write, tmp_path):
    images, objects = posed()
    table, labels = write(images, objects, "pose")
    crowded = {**STILL, "objects": [3, 3], "max_overlap": 0.6}
    varied = vary_maps(table, labels, tmp_path / "v", crowded | POSES, "lines", 12, 0)
    hidden = 0
    for _, found in made(varied, "pose", [2, 3]):
        for place, one in enumerate(found):
            for x, y, visible in one.keypoints:
                later = [other.box for other in found[place + 1 :]]
                grown = np.array([-2, -2, 2, 2]) / (*SIZE, *SIZE)  # by the margin
                areas = [np.add(box, grown) for box in later]
                under = any(a[0] <= x <= a[2] and a[1] <= y <= a[3] for a in areas)
                assert visible == (1 if under else 2)
                hidden += under
    assert hidden > 3


def test_a_keypoint_that_a_piece_does_not_show_is_not_labeled(write, tmp_path):
    images, objects = posed()
    far = np.array([[0.9, 0.9, 2], [0.1, 0.1, 1]])
    objects = {name: [one._replace(keypoints=far)] for name, [one] in objects.items()}
    table, labels = write(images, objects, "pose")
    varied = vary_maps(table, labels, tmp_path / "v", STILL | POSES, "lines", 3, 0)
    for _, found in made(varied, "pose", [2, 3]):
        assert all((one.keypoints == 0).all() for one in found)


def test_maps_of_boxes_are_what_they_were_before_there_were_masks(write, tmp_path):
    images = {name: coloring(layout) for name, layout in LAYOUTS.items()}
    objects = {
        name: [
            one._replace(box=(*one.polygon.min(axis=0), *one.polygon.max(axis=0))) for one in ones
        ]
        for name, ones in segmented().items()
    }
    table, labels = write(images, objects, "detection")
    digest = hashlib.sha256()
    for settings in (STILL, {**TURNED, "max_overlap": 0.3, "background": "source"}, WARP):
        for interpolation in ("lines", "nearest"):
            varied = vary_maps(table, labels, tmp_path / "v", settings, interpolation, 3, 0)
            texts = [row["label"] for row in varied.labels] + [
                load_image(row["image"]).tobytes().hex() for row in varied.manifest
            ]
            digest.update("\n".join(texts).encode())
    assert digest.hexdigest()[:16] == "20b68b6a0d41556e"


def test_a_mask_traced_from_a_map_of_classes_is_the_same_mask_in_every_new_place(write, tmp_path):
    """A mask with a hole: the hole of the piece shows what is behind it."""
    ring = trace(
        rasterize(LAYOUTS["ring"][0][1] / SIZE, *SIZE)
        & ~rasterize(np.array([(30, 30), (50, 30), (50, 50), (30, 50)]) / SIZE, *SIZE)
    )
    image = coloring([(2, ring * SIZE)])
    table, labels = write({"a": image}, {"a": [Object("2", (0, 0, 1, 1), ring)]}, "segmentation")
    alone = {**STILL, "objects": [1, 1]}
    varied = vary_maps(table, labels, tmp_path / "v", alone | MASKS, "nearest", 5, 0)
    for moved, [one] in made(varied, "segmentation"):
        mask = rasterize(one.polygon, *SIZE)
        assert mask.sum() == 40 * 40 - 20 * 20
        assert (drawn(moved, 2) == mask).all() and not moved[~mask].any()
