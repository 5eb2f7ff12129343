"""What is exported in one format, imported, exported in another and imported, is what it was."""

import os
import tempfile
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cia.catalog import EXPORTS, SOURCES, code
from cia.exporting.pictures import Collection, Picture
from cia.exporting.writing import write_export
from cia.importing.pictures import Picture as Came
from cia.importing.pictures import Wanted
from cia.labels.masks import join_rings, rasterize
from cia.labels.objects import Object, object_line, parse_objects
from datasets_elsewhere import source

CLASSES = ["cat", "dog & <co>", "naïve fox"]
SHAPE = {"kpt_shape": [3, 3], "flip_idx": [1, 0, 2]}
SPLITS = ("train", "val", "test")
SIDES = (40, 28)
WHOLE_PIXELS = {"voc"}
NO_CAPTIONS = {"voc", "yolo", "imagefolder"}
EXACT = 1e-6
"""Of a side; formats of whole pixels are exact to one pixel."""


def pairs() -> list[tuple[str, str, str]]:
    """Every task with every pair of formats that hold its labels, both ways."""
    return [
        (task, *pair)
        for task in ("detection", "segmentation", "pose", "classification")
        for pair in product(
            [f for f, e in EXPORTS.items() if task in e.tasks and task in SOURCES[f].tasks],
            repeat=2,
        )
    ]


@cache
def drawn() -> str:
    """A folder with a picture that all are copies of."""
    folder = tempfile.mkdtemp()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (*SIDES[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(f"{folder}/picture.png")
    return folder


share = st.floats(0, 1, width=32)
part = st.tuples(share, share)


@st.composite
def boxes(draw) -> tuple[float, float, float, float]:
    """Of two pixels at least, so that whole pixels can hold them."""
    sides = []
    for side in SIDES:
        least = 2 / side
        length = draw(st.floats(least, 1))
        start = draw(st.floats(0, 1 - length))
        sides.append((round(start, 6), round(min(start + length, 1), 6)))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


def ring(box, corners: int, turn: float) -> np.ndarray:
    """A star-shaped polygon in a box."""
    left, top, right, bottom = box
    angles = turn + np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = np.where(np.arange(corners) % 2, 0.35, 0.5)[:, None]
    star = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + 0.5
    return (star * (right - left, bottom - top) + (left, top)).round(6)


@st.composite
def masks(draw) -> np.ndarray:
    """One ring, or two parts of which one has a hole."""
    corners, turn = draw(st.integers(4, 9)), draw(st.floats(0, 6))
    if draw(st.booleans()):
        return ring(draw(boxes()), corners, turn)
    outer, hole = (0.05, 0.1, 0.55, 0.9), (0.2, 0.35, 0.4, 0.65)
    other = (0.65, 0.2, 0.95, 0.8)
    return join_rings([ring(box, corners, turn) for box in (outer, hole, other)])


@st.composite
def objects(draw, task: str) -> Object:
    index, box = str(draw(st.integers(0, 2))), draw(boxes())
    if task == "segmentation":
        return Object(index, box, polygon=draw(masks()))
    if task == "pose":
        points = [(*draw(part), draw(st.sampled_from([1, 2]))) for _ in range(3)]
        points[draw(st.integers(0, 2))] = (0, 0, 0)
        return Object(index, box, keypoints=np.array(points, dtype=np.float64))
    return Object(index, box)


letters = st.sampled_from(list("aB1 ._-#%ü&[](),'é"))
stems = st.text(letters, min_size=1, max_size=6).map(lambda text: f"x{text}y")


@st.composite
def collections(draw, task: str) -> tuple[list[tuple[str, str, str, str]], str]:
    """Name, split, label and caption of each picture; every split has one with an object."""
    names = draw(st.lists(stems, min_size=3, max_size=5, unique_by=str.lower))
    rows = []
    for number, name in enumerate(names):
        count = draw(st.integers(1 if number < 3 else 0, 3))
        lines = [object_line(one, task) for one in (draw(objects(task)) for _ in range(count))]
        label = "\n".join(dict.fromkeys(lines))
        if task == "classification":
            label = str(draw(st.integers(0, 2)))
        split = SPLITS[number] if number < 3 else draw(st.sampled_from(SPLITS))
        suffix = draw(st.sampled_from([".png", ".PNG"]))
        caption = draw(st.sampled_from(["", 'a "cat", and 1 dog', "Übermut"]))
        rows.append((f"{name}{suffix}", split, label, caption))
    return rows


def collection(folder: Path, task: str, rows) -> Collection:
    """Pictures of different files, all with the same pixels."""
    pictures = []
    for number, (name, split, label, caption) in enumerate(rows):
        file = folder / "given" / str(number) / name
        file.parent.mkdir(parents=True)
        file.write_bytes(Path(f"{drawn()}/picture.png").read_bytes())
        pictures.append(Picture(str(file), split, "real", name, label, *SIDES, caption=caption))
    return Collection("all", task, CLASSES, pictures, SHAPE if task == "pose" else {})


def moved(folder: Path, data: Collection, form: str) -> Collection:
    """The collection after an export and an import; pictures keep their order.

    Exports link the files, so that a picture is known by its file's number on the disk.
    """
    write_export(folder, data, form, False)
    path = {"csv": folder / "dataset.csv"}.get(form, folder)
    shape = data.shape.get("kpt_shape")
    places = {os.stat(picture.file).st_ino: place for place, picture in enumerate(data.pictures)}
    indices = {name: index for index, name in enumerate(data.classes)}
    wanted = Wanted(data.task, indices, shape)
    found = list(code(SOURCES[form]).read(source(form, str(path)), wanted))
    assert all(isinstance(one, Came) for one in found) and not wanted.dropped, found
    came = {places[os.stat(picture.path).st_ino]: picture for picture in found}
    assert sorted(came) == list(range(len(data.pictures)))
    pictures = [
        old._replace(
            file=came[place].path,
            split=came[place].split,
            label=came[place].label,
            caption=came[place].caption,
        )
        for place, old in enumerate(data.pictures)
    ]
    return Collection(data.name, data.task, data.classes, pictures, data.shape)


def check_same(task: str, before: str, after: str, reach: tuple[float, float]) -> None:
    """Objects in order, of the same class, with boxes, masks and keypoints in place."""
    shape = SHAPE["kpt_shape"] if task == "pose" else None
    old, new = (parse_objects(label, task, shape) for label in (before, after))
    assert [one.index for one in new] == [one.index for one in old]
    for one, other in zip(old, new, strict=True):
        apart = np.abs(np.subtract(one.box, other.box))
        assert (apart <= np.tile(reach, 2)).all() or task == "segmentation", apart
        if task == "segmentation":
            pixels = [rasterize(each.polygon, *SIDES) for each in (one, other)]
            assert (pixels[0] & pixels[1]).sum() >= 0.99 * (pixels[0] | pixels[1]).sum()
        if task == "pose":
            assert (one.keypoints[:, 2] == other.keypoints[:, 2]).all()
            assert np.abs(one.keypoints - other.keypoints).max() <= EXACT


def check_trip(task: str, rows, *forms: str) -> None:
    """Export and import pictures in one format after the other, and compare with what they were."""
    with tempfile.TemporaryDirectory() as folder:
        data = came = collection(Path(folder), task, rows)
        for number, form in enumerate(forms):
            came = moved(Path(folder) / str(number), came, form)
        whole = WHOLE_PIXELS & set(forms)
        reach = tuple((1 / side if whole else 0) + EXACT for side in SIDES)
        for old, new in zip(data.pictures, came.pictures, strict=True):
            assert new.split == old.split
            check_same(task, old.label, new.label, reach)
            if not NO_CAPTIONS & set(forms):
                assert new.caption == old.caption


SOME = settings(max_examples=3, suppress_health_check=list(HealthCheck), database=None)
OFTEN = settings(SOME, max_examples=6)


@pytest.mark.parametrize(("task", "form"), [pair[:2] for pair in pairs() if pair[1] == pair[2]])
def test_a_format_keeps_labels_splits_and_captions(task, form):
    OFTEN(given(collections(task))(lambda rows: check_trip(task, rows, form)))()


@pytest.mark.parametrize(("task", "first", "second"), pairs())
def test_one_format_after_another_keeps_them_too(task, first, second):
    SOME(given(collections(task))(lambda rows: check_trip(task, rows, first, second)))()
