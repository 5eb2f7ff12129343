"""Varied condition maps: labels follow the picture, every ancestor is known, seeds repeat."""

from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vary as script
from cia.catalog import CONDITIONS, code
from cia.errors import UserError
from cia.images import load_image, save_png
from cia.labels.objects import Object
from cia.tables import read_table, write_table
from cia.variations.geometry import draw_warp, outline, warp_map, warped_box
from cia.variations.recombine import collect_pieces, compose, erase, shared
from cia.variations.varying import vary_maps

PLAIN = {"flip": 0.0, "rotation": 0, "scale": [1.0, 1.0], "elastic": 0.0}
WARP = {
    "kind": "warp",
    "flip": 0.5,
    "rotation": 25,
    "scale": [0.7, 1.3],
    "elastic": 0.02,
    "translation": 0.15,
    "min_visible": 0.7,
}
RECOMBINE = {
    "kind": "recombine",
    **PLAIN,
    "objects": [1, 3],
    "margin": 2,
    "max_overlap": 0.0,
    "background": "blank",
}
SIZE = (96, 80)


def extents(image):
    """The box of what is not black."""
    rows, columns = np.nonzero(image.any(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def blank(size=SIZE):
    return np.zeros((size[1], size[0], 3), dtype=np.uint8)


def draw(image, shape, box, color=(255, 255, 255)):
    """Draw one of three outlines of one pixel that fill a box."""
    left, top, right, bottom = box[0], box[1], box[2] - 1, box[3] - 1
    x, y = (left + right) // 2, (top + bottom) // 2
    outlines = {
        "triangle": [(x, top), (right, bottom), (left, bottom)],
        "seven": [(left, top), (right, top), (left, bottom), (right, top)],
        "cross": [(x, top), (x, bottom), (x, y), (left, y), (right, y), (x, y)],
    }
    cv2.polylines(image, [np.array(outlines[shape], dtype=np.int32)], True, color, 1)
    return image


def yolo(index, box, size=SIZE):
    """The label line of a box in pixels."""
    left, top, right, bottom = np.array(box) / (*size, *size)
    sides = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    return " ".join([str(index), *(f"{value:.6f}" for value in sides)])


def pixels(label, size=SIZE):
    """Class index and box in pixels of each line of a label."""
    found = []
    for line in label.splitlines():
        index, *numbers = line.split()
        cx, cy, w, h = np.array(numbers, dtype=float) * (*size, *size)
        found.append((index, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)))
    return found


@pytest.fixture
def maps(tmp_path):
    """Four maps with one to three objects each; a class has a color of its own, but for edges."""
    layouts = {
        "a b": [("triangle", (10, 10, 30, 34))],
        "c.d": [("seven", (40, 8, 60, 40)), ("cross", (8, 44, 29, 65))],
        "Ä": [
            ("triangle", (5, 5, 25, 25)),
            ("seven", (40, 30, 58, 62)),
            ("cross", (66, 40, 91, 61)),
        ],
        "empty": [],
    }
    rows, labels = [], {}
    for name, objects in layouts.items():
        image = blank()
        for shape, box in objects:
            draw(image, shape, box)
        path = tmp_path / "maps" / f"{name}.png"
        save_png(path, image)
        rows.append(
            {
                "id": name,
                "image": path.as_posix(),
                "width": SIZE[0],
                "height": SIZE[1],
                "sha256": "0",
                "found": int(image.any()),
            }
        )
        order = ["triangle", "seven", "cross"]
        labels[name] = "\n".join(yolo(order.index(shape), box) for shape, box in objects)
    return pd.DataFrame(rows), labels


def vary(maps, labels, folder, settings, interpolation="lines", variants=4, seed=0):
    return vary_maps(maps, labels, folder, settings, interpolation, variants, seed)


@given(
    seed=st.integers(0, 2**32),
    shape=st.sampled_from(["triangle", "seven", "cross"]),
    box=st.tuples(
        st.integers(20, 40), st.integers(20, 35), st.integers(12, 40), st.integers(12, 30)
    ),
)
def test_a_warped_box_is_where_the_warped_pixels_are(seed, shape, box):
    box = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    image = draw(blank(), shape, box)
    warp = draw_warp(np.random.default_rng(seed), {**WARP, "translation": 0.0}, (0, 0, *SIZE))
    points = outline(image, box, "lines")
    found, visible = warped_box(points, warp, SIZE)
    warped = warp_map(image, warp, "lines")
    if visible == 1:
        assert np.abs(np.subtract(found, extents(warped))).max() <= 1.01
    elif found is not None and warped.any():
        assert np.abs(np.subtract(found, extents(warped))).max() <= 2
        assert visible < 1


@given(seed=st.integers(0, 2**32))
def test_a_warp_is_undone_by_its_inverse(seed):
    rng = np.random.default_rng(seed)
    warp = draw_warp(rng, {**WARP, "elastic": 0.025}, (0, 0, *SIZE))
    points = rng.uniform(0, SIZE, (200, 2))
    assert np.abs(warp.inverse(warp.forward(points)) - points).max() < 0.05


@given(seed=st.integers(0, 2**32), interpolation=st.sampled_from(["linear", "nearest"]))
def test_maps_of_colors_move_as_their_boxes(seed, interpolation):
    image = blank()
    cv2.ellipse(image, (48, 40), (14, 9), 0, 0, 360, (200, 30, 60), -1)
    box = extents(image)
    settings = {**WARP, "translation": 0.05, "scale": [0.8, 1.1], "elastic": 0.01}
    warp = draw_warp(np.random.default_rng(seed), settings, (0, 0, *SIZE))
    found, visible = warped_box(outline(image, box, interpolation), warp, SIZE)
    warped = warp_map(image, warp, interpolation)
    assert visible == 1
    assert np.abs(np.subtract(found, extents(warped))).max() <= 1.7
    if interpolation == "nearest":
        colors = np.unique(warped.reshape(-1, 3), axis=0).tolist()
        assert colors == [[0, 0, 0], [200, 30, 60]]  # no class that was not there


def test_no_warp_changes_nothing():
    image = draw(draw(blank(), "seven", (10, 10, 30, 50)), "cross", (50, 30, 81, 61))
    warp = draw_warp(np.random.default_rng(0), PLAIN, (0, 0, *SIZE))
    for interpolation in ("lines", "linear", "nearest"):
        assert (warp_map(image, warp, interpolation) == image).all()
        box, visible = warped_box(outline(image, (10, 10, 30, 50), interpolation), warp, SIZE)
        np.testing.assert_allclose(box, (10, 10, 30, 50), atol=1e-9)
        assert visible == 1


def test_canny_lines_stay_whole_thin_and_white():
    circle = blank((128, 128))
    cv2.circle(circle, (64, 64), 20, (255, 255, 255), 1)
    warp = draw_warp(np.random.default_rng(3), {**PLAIN, "scale": [2, 2]}, (0, 0, 128, 128))
    warped = warp_map(circle, warp, "lines")
    assert set(np.unique(warped)) == {0, 255}
    outside, _ = cv2.connectedComponents((warped[..., 0] == 0).astype(np.uint8), connectivity=4)
    assert outside == 3  # the line itself, inside and outside: the circle has no gap
    assert (warped[..., 0] > 0).sum() < 1.2 * 8 * 40 / np.sqrt(2)  # a line of one pixel: 226


def test_a_mirror_image_mirrors_the_box():
    image = draw(blank(), "seven", (10, 10, 30, 50))
    warp = draw_warp(np.random.default_rng(0), {**PLAIN, "flip": 1.0}, (0, 0, *SIZE))
    assert (warp_map(image, warp, "lines") == image[:, ::-1]).all()
    box, _ = warped_box(outline(image, (10, 10, 30, 50), "lines"), warp, SIZE)
    np.testing.assert_allclose(box, (66, 10, 86, 50))


def test_a_sliver_at_the_border_keeps_a_box():
    """An object cut off by the picture's border may be narrower than a pixel of the map."""
    image = draw(blank(), "seven", (10, 10, 30, 50))
    for flip, left, right in ((0.0, 95, 96), (1.0, 0, 1)):
        warp = draw_warp(np.random.default_rng(0), {**PLAIN, "flip": flip}, (0, 0, *SIZE))
        box, visible = warped_box(outline(image, (95.7, 10, 96, 50), "lines"), warp, SIZE)
        assert left <= box[0] < box[2] <= right and (box[1], box[3]) == (10, 50)
        assert visible == 1


def test_a_box_full_of_background_follows_an_ellipse():
    """A texture fills the box to its corners, so its pixels do not show where the object ends."""
    rng = np.random.default_rng(0)
    image = np.repeat((rng.random((80, 96, 1)) < 0.3).astype(np.uint8) * 255, 3, axis=2)
    warp = draw_warp(np.random.default_rng(1), {**PLAIN, "rotation": 45}, (0, 0, *SIZE))
    box, _ = warped_box(outline(image, (38, 30, 58, 50), "lines"), warp, SIZE)
    assert np.abs(np.subtract(box, (38, 30, 58, 50))).max() < 0.6  # a turned disk is a disk


def test_every_variant_has_a_map_and_labels_that_fit_it(maps, tmp_path):
    table, labels = maps
    made = vary(table, labels, tmp_path / "varied", WARP, variants=6)
    assert len(made.manifest) == len(made.labels) == 24 and not made.rejected
    assert [row["id"] for row in made.labels] == [row["id"] for row in made.manifest]
    assert {row["id"]: row["source"] for row in made.sources} == {
        row["id"]: row["source"] for row in made.manifest
    }
    digests = {row["sha256"] for row in made.manifest if row["source"] != "empty"}
    assert len(digests) == 18  # all differ
    for row, label in zip(made.manifest, made.labels, strict=True):
        image = load_image(row["image"])
        boxes = pixels(label["label"])
        before = pixels(labels[row["source"]])
        assert [index for index, _ in boxes] == [index for index, _ in before]
        if not boxes:
            assert not image.any() and row["found"] == 0
            continue
        whole = np.array([box for _, box in boxes])
        union = (*whole[:, :2].min(axis=0), *whole[:, 2:].max(axis=0))
        assert np.abs(np.subtract(union, extents(image))).max() <= 2
        assert (whole >= 0).all() and (whole <= [*SIZE, *SIZE]).all()


def test_an_object_never_leaves_the_picture(maps, tmp_path):
    """However wild the settings: the last resort is no warp at all."""
    table, labels = maps
    wild = {**WARP, "translation": 0.5, "scale": [2.5, 4.0], "min_visible": 0.9}
    made = vary(table, labels, tmp_path / "varied", wild, variants=5)
    for row, label in zip(made.manifest, made.labels, strict=True):
        image = load_image(row["image"])
        for _, (left, top, right, bottom) in pixels(label["label"]):
            part = image[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
            assert part.any() and right - left > 5 and bottom - top > 5


def test_a_classification_keeps_its_drawing_in_the_picture(maps, tmp_path):
    table, _ = maps
    wild = {**WARP, "translation": 0.5, "elastic": 0.0, "scale": [1.0, 1.0], "min_visible": 1.0}
    made = vary(table, None, tmp_path / "varied", wild, variants=5)
    assert made.labels == [] and len(made.manifest) == 20
    drawn = {row.id: load_image(row.image).any(axis=2).sum() for row in table.itertuples()}
    for row in made.manifest:
        now = load_image(row["image"]).any(axis=2).sum()
        assert now >= 0.8 * drawn[row["source"]]


@pytest.mark.parametrize("interpolation", ["lines", "linear", "nearest"])
@pytest.mark.parametrize("background", ["blank", "source"])
def test_recombined_boxes_are_the_extents_of_what_is_drawn(
    maps, tmp_path, interpolation, background
):
    table, labels = maps
    settings = {**RECOMBINE, "background": background}
    made = vary(table, labels, tmp_path / "varied", settings, interpolation, variants=8)
    assert len(made.manifest) == 32 and not made.rejected
    shapes = {"0": "triangle", "1": "seven", "2": "cross"}
    counts = set()
    for row, label in zip(made.manifest, made.labels, strict=True):
        boxes = pixels(label["label"])
        counts.add(len(boxes))
        assert row["found"] == len(boxes)
        expected = blank()
        for index, box in boxes:
            whole = np.round(box).astype(int)
            np.testing.assert_allclose(whole, box, atol=1e-3)  # moved by whole pixels
            draw(expected, shapes[index], whole)
        # the very pixels, and no other
        assert (load_image(row["image"]) == expected).all()
        for place, (_, one) in enumerate(boxes):
            assert all(shared(one, other) == 0 for _, other in boxes[place + 1 :])
    assert counts == {1, 2, 3}


def test_turned_and_scaled_pieces_keep_true_boxes(maps, tmp_path):
    table, labels = maps
    settings = {**RECOMBINE, "rotation": 20, "scale": [0.8, 1.3], "flip": 0.5, "objects": [1, 1]}
    made = vary(table, labels, tmp_path / "varied", settings, variants=12)
    for row, label in zip(made.manifest, made.labels, strict=True):
        [(_, box)] = pixels(label["label"])
        assert np.abs(np.subtract(box, extents(load_image(row["image"])))).max() <= 1.01


def test_every_ancestor_of_a_new_layout_is_listed(maps, tmp_path):
    """Each picture's lines get a color of their own, so a map itself tells where they are from."""
    table, labels = maps
    colors = {}
    for number, row in enumerate(table.itertuples(), start=1):
        image = load_image(row.image).copy()
        colors[(number * 40, 0, 255)] = row.id
        image[image.any(axis=2)] = (number * 40, 0, 255)
        save_png(row.image, image)
    made = vary(table, labels, tmp_path / "varied", RECOMBINE, "nearest", variants=10)
    listed = pd.DataFrame(made.sources).groupby("id")["source"].agg(list)
    several = 0
    for row in made.manifest:
        image = load_image(row["image"]).reshape(-1, 3)
        shown = {colors[tuple(c)] for c in np.unique(image[image.any(axis=1)], axis=0).tolist()}
        assert shown <= set(listed[row["id"]])
        assert set(listed[row["id"]]) == shown | {row["source"]}
        assert listed[row["id"]][0] == row["source"]
        several += len(shown) > 1
    assert several > 10


def test_as_many_objects_as_the_source_where_no_number_is_set(maps, tmp_path):
    table, labels = maps
    made = vary(table, labels, tmp_path / "varied", {**RECOMBINE, "objects": None}, variants=3)
    for row, label in zip(made.manifest, made.labels, strict=True):
        assert len(pixels(label["label"])) == len(pixels(labels[row["source"]]))


@pytest.mark.parametrize("settings", [WARP, RECOMBINE], ids=lambda settings: settings["kind"])
def test_maps_repeat_and_depend_on_seed_and_variant(maps, tmp_path, settings):
    table, labels = maps
    first = vary(table, labels, tmp_path / "1", settings)
    again = vary_maps(
        table.sample(frac=1, random_state=0), labels, tmp_path / "2", settings, "lines", 5, 0, 2
    )
    kept = [row for row in again.manifest if row["variant"] < 4]
    assert [row["sha256"] for row in first.manifest] == [row["sha256"] for row in kept]
    others = vary(table, labels, tmp_path / "3", settings, seed=1)
    same = [
        a["sha256"] == b["sha256"] for a, b in zip(first.manifest, others.manifest, strict=True)
    ]
    assert sum(same) <= 4  # the empty map is empty with every seed


def test_a_warp_depends_on_its_own_picture_alone(maps, tmp_path):
    table, labels = maps
    together = {r["id"]: r["sha256"] for r in vary(table, labels, tmp_path / "1", WARP).manifest}
    for row in vary(table[1:2], labels, tmp_path / "2", WARP).manifest:
        assert together[row["id"]] == row["sha256"]


def test_objects_that_others_cover_are_no_pieces():
    boxes = [(10, 10, 30, 30), (20, 10, 40, 30), (60, 10, 80, 30)]
    objects = [Object(str(index), box) for index, box in enumerate(boxes)]
    pieces = collect_pieces("a", objects, SIZE, 2, 0.2, "lines")
    assert [piece.object.index for piece in pieces] == ["2"]
    assert len(collect_pieces("a", objects, SIZE, 2, 0.5, "lines")) == 3


def test_a_piece_takes_no_line_of_its_neighbor(tmp_path):
    """The margin around a box reaches into the next box, whose lines belong to another object."""
    image = draw(draw(blank(), "triangle", (10, 10, 30, 30)), "seven", (31, 10, 50, 30))
    objects = [("0", (10, 10, 30, 30)), ("1", (31, 10, 50, 30))]
    labels = {"a": "\n".join(yolo(index, box) for index, box in objects)}
    save_png(tmp_path / "a.png", image)
    table = pd.DataFrame(
        [{"id": "a", "image": str(tmp_path / "a.png"), "width": 96, "height": 80, "found": 1}]
    )
    made = vary(table, labels, tmp_path / "v", {**RECOMBINE, "objects": [1, 1]}, variants=12)
    seen = set()
    for row, label in zip(made.manifest, made.labels, strict=True):
        [(index, box)] = pixels(label["label"])
        seen.add(index)
        np.testing.assert_allclose(box, extents(load_image(row["image"])), atol=1e-3)
    assert seen == {"0", "1"}


@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
def test_what_the_border_cut_off_stays_at_that_border(tmp_path, side):
    box = {
        "left": (0, 30, 20, 50),
        "top": (30, 0, 50, 20),
        "right": (76, 30, 96, 50),
        "bottom": (30, 60, 50, 80),
    }[side]
    save_png(tmp_path / "a.png", draw(blank(), "cross", box))
    table = pd.DataFrame(
        [{"id": "a", "image": str(tmp_path / "a.png"), "width": 96, "height": 80, "found": 1}]
    )
    settings = {**RECOMBINE, "objects": [1, 1], "rotation": 20, "scale": [0.8, 1.2]}
    made = vary(table, {"a": yolo(0, box)}, tmp_path / "v", settings, variants=10)
    axis = ["left", "top", "right", "bottom"].index(side)
    places = [pixels(row["label"])[0][1] for row in made.labels]
    assert max(abs(place[axis] - box[axis]) for place in places) <= 1.5
    along = [place[1 - axis % 2] for place in places]
    assert np.ptp(along) > 10  # and goes along it


def test_erasing_takes_the_nearest_class_or_black():
    image = np.full((20, 20, 3), 7, dtype=np.uint8)
    image[:, 10:] = 9
    image[5:15, 5:9] = 200
    gone = (image == 200).all(axis=2)
    assert set(np.unique(erase(image, gone, "nearest"))) == {7, 9}
    assert (erase(image, gone, "nearest")[:, :10] == 7).all()
    assert (erase(image, gone, "lines")[5:15, 5:9] == 0).all()
    assert (compose(image, [], None, "lines") == image).all()


def test_the_source_s_own_lines_stay_behind_the_pieces(maps, tmp_path):
    table, labels = maps
    image = load_image(table["image"][0]).copy()
    image[70, :] = 255  # no object's
    save_png(table["image"][0], image)
    settings = {**RECOMBINE, "background": "source", "objects": [1, 1]}
    made = vary(table, labels, tmp_path / "varied", settings, variants=5)
    for row, label in zip(made.manifest, made.labels, strict=True):
        if row["source"] == "a b":
            [(_, box)] = pixels(label["label"])
            behind = load_image(row["image"])[70].any(axis=1)
            free = np.ones(96, dtype=bool)
            if box[3] + 2 >= 70:
                free[max(int(box[0]) - 2, 0) : int(box[2]) + 2] = False
            assert behind[free].all()


def test_a_picture_without_label_is_left_out_with_its_reason(maps, tmp_path):
    table, labels = maps
    del labels["a b"]
    for settings in (WARP, RECOMBINE):
        made = vary(table, labels, tmp_path / "varied", settings)
        assert "a b" not in {row["source"] for row in made.sources}
        [rejected] = made.rejected
        assert rejected["file"].endswith("a b.png") and "no valid label" in rejected["reason"]


def test_an_object_that_the_map_does_not_show_is_never_placed(maps, tmp_path):
    table, labels = maps
    labels["a b"] += "\n" + yolo(5, (60, 50, 80, 70))  # nothing is drawn there
    made = vary(table, labels, tmp_path / "varied", RECOMBINE, variants=20)
    assert "5" not in {index for row in made.labels for index, _ in pixels(row["label"])}


def test_no_room_for_any_piece_is_an_error(maps, tmp_path):
    table, labels = maps
    with pytest.raises(UserError, match="no piece of a condition map fits"):
        vary(table[:1], labels, tmp_path / "v", {**RECOMBINE, "scale": [4.0, 4.0]})


def test_maps_of_an_earlier_run_are_removed(maps, tmp_path):
    table, labels = maps
    vary(table, labels, tmp_path / "v", WARP, variants=4)
    made = vary(table[:2], labels, tmp_path / "v", WARP, variants=2)
    files = sorted(path.name for path in (tmp_path / "v/images").iterdir())
    assert files == sorted(f"{row['id']}.png" for row in made.manifest) and len(files) == 4


def test_every_extractor_says_how_its_maps_move():
    assert {code(e).interpolation for e in CONDITIONS.values()} <= {"lines", "linear", "nearest"}
    assert code(CONDITIONS["canny"]).interpolation == "lines"


def test_the_script_writes_its_tables(maps, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table, labels = maps
    del labels["empty"]
    write_table(tmp_path / "conditions.csv", table, "conditions")
    rows = [{"id": id_, "label": label} for id_, label in labels.items()]
    write_table(tmp_path / "labels.csv", rows, "labels")
    outputs = {name: tmp_path / f"out/{name}.csv" for name in ("manifest", "labels", "sources")}
    outputs["rejected"] = tmp_path / "out/rejected.csv"

    script.main(
        SimpleNamespace(
            input=SimpleNamespace(
                conditions=tmp_path / "conditions.csv", labels=tmp_path / "labels.csv"
            ),
            output=SimpleNamespace(**outputs),
            params=SimpleNamespace(
                folder=tmp_path / "out", settings=RECOMBINE, extractor="canny", variants=2, seed=0
            ),
            threads=1,
        )
    )
    manifest = read_table(outputs["manifest"], "varied")
    assert set(manifest["source"]) == {"a b", "c.d", "Ä"} and len(manifest) == 6
    assert len(read_table(outputs["labels"], "labels")) == 6
    assert set(read_table(outputs["sources"], "sources")["id"]) == set(manifest["id"])
    assert len(read_table(outputs["rejected"], "rejected")) == 1
