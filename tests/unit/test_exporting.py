"""Libraries of each format read what is exported, with the same boxes, masks and keypoints."""

import csv
import json
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO
from snakemake.iocontainers import InputFiles, OutputFiles, Params, Wildcards

import export
import export_generated
from cia import catalog
from cia.config.checks import checked, load_schema
from cia.config.experiments import exports, used_config
from cia.errors import UserError
from cia.exporting.coco import split_ring
from cia.exporting.pictures import Collection, Picture, pictures_of_mix
from cia.exporting.voc import pixels_of
from cia.exporting.writing import write_export
from cia.files import read_yaml
from cia.images import load_image
from cia.labels.masks import join_rings, rasterize, trace
from cia.labels.objects import Object, object_line
from cia.mixing.mixes import write_mix
from cia.quiet_ultralytics import import_ultralytics
from cia.tables import read_table, write_table
from conftest import ROOT

CLASSES = ["cat", "dog & <co>", "naïve fox"]
NAMES = ["a b", "ü.x y", "100%_#1", "[c] 'd'", "e & f", "UPPER"]
SIDES = (160, 120)
SHAPE = {"kpt_shape": [3, 3], "skeleton": [[0, 1], [1, 2]], "flip_idx": [1, 0, 2]}
FORMS = {task: [f for f, e in catalog.EXPORTS.items() if task in e.tasks] for task in (
    "detection", "segmentation", "pose", "classification"
)}  # fmt: skip


def ring(rng, holes=False) -> np.ndarray:
    """A polygon with five corners, or two of them, one with a hole."""
    angles = np.linspace(0, 2 * np.pi, 5, endpoint=False)
    star = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.15, 0.2, (5, 1))
    if not holes:
        return (star + rng.uniform(0.3, 0.7, 2)).round(6)
    first, second = star + (0.25, 0.3), star * 0.8 + (0.7, 0.7)
    hole = star * 0.5 + (0.25, 0.3)
    return join_rings([first.round(6), second.round(6), hole.round(6)])


def label_of(rng, task, count, holes=False) -> str:
    if task == "classification":
        return str(rng.integers(3))
    lines = []
    for _ in range(count):
        (width, height), index = rng.uniform(0.1, 0.4, 2), str(rng.integers(3))
        left, top = rng.uniform(0, 0.55, 2)
        points = np.column_stack([rng.uniform(0.1, 0.9, (3, 2)), [2, 1, 0]])
        lines.append(
            object_line(
                Object(
                    index,
                    (left, top, left + width, top + height),
                    ring(rng, holes) if task == "segmentation" else None,
                    points if task == "pose" else None,
                ),
                task,
            )
        )
    return "\n".join(lines)


def make(folder: Path, task: str, holes=False, splits=("train", "val", "test")) -> Collection:
    """Pictures with odd names, of all origins, some without objects, one of which EXIF turns."""
    rng = np.random.default_rng(0)
    pictures = []
    for split in splits:
        for origin in ("real", "synthetic") if split == "train" else ("real",):
            for number, name in enumerate(NAMES):
                suffix = ".png" if origin == "synthetic" else [".jpg", ".PNG", ".webp"][number % 3]
                file = folder / split / origin / f"{name}{suffix}"
                file.parent.mkdir(parents=True, exist_ok=True)
                turned = number == 3 and origin == "real"
                Image.fromarray(rng.integers(0, 255, (*SIDES[::-1], 3), np.uint8)).save(file)
                if turned:
                    exif = Image.Exif()
                    exif[0x0112] = 6
                    Image.open(file).rotate(90, expand=True).save(file, exif=exif)
                made = origin == "synthetic"
                scores = {"tiny.realism": 0.5 + number} | ({"tiny.odd": 1e-7} if number else {})
                pictures.append(
                    Picture(
                        *(str(file), split, origin, name),
                        label_of(rng, task, number % 3, holes),
                        *SIDES,
                        caption=f'a {name}, "quoted"',
                        sources=("x", "y & z")[: 1 + number % 2] if made else (),
                        scores=scores if made else {},
                        copies=1 + (split == "train" and not made),
                    )
                )
    return Collection("d / g / s / m", task, CLASSES, pictures, SHAPE if task == "pose" else {})


def pixels(data: Collection, picture: Picture) -> np.ndarray:
    """The boxes as left, top, right, bottom in pixels."""
    boxes = [one.box for one in data.objects(picture)]
    return np.array(boxes).reshape(-1, 4) * (SIDES * 2)


def classes(data: Collection, picture: Picture) -> list[int]:
    return [int(one.index) for one in data.objects(picture)]


def of_split(data: Collection, split: str) -> dict[str, Picture]:
    """Pictures by origin and name without suffix."""
    return {f"{p.origin}/{p.id}": p for p in data.pictures if p.split == split}


def key(path: str) -> str:
    return str(path).rpartition(".")[0]


def exported(tmp_path, form, task, copy=False, **more):
    data = make(tmp_path / "in", task, **more)
    folder = tmp_path / "out"
    summary = write_export(folder, data, form, copy)
    return data, folder, summary


# what every format has


@pytest.mark.parametrize("task, form", [(task, form) for task in FORMS for form in FORMS[task]])
def test_a_folder_holds_every_picture_upright_and_can_be_moved(tmp_path, task, form):
    data, folder, summary = exported(tmp_path, form, task)
    moved = tmp_path / "elsewhere"
    os.rename(folder, moved)
    suffixes = {".jpg", ".png", ".webp"}
    files = [path for path in moved.rglob("*") if path.suffix.lower() in suffixes]
    assert len(files) == len(data.pictures) == 24
    assert not any(path.is_symlink() for path in moved.rglob("*"))
    linked = {os.stat(picture.file).st_ino for picture in data.pictures}
    assert sum(os.stat(path).st_ino in linked for path in files) == 21
    assert {load_image(path).shape for path in files} == {(*SIDES[::-1], 3)}
    texts = [path for path in moved.rglob("*") if path.is_file() and path not in files]
    assert all(str(tmp_path) not in path.read_text(encoding="utf-8") for path in texts)
    assert (summary["format"], summary["drawn_upright"]) == (form, 3)
    assert summary["pictures"]["train"] == {"real": 6, "synthetic": 6}
    objects = sum(len(data.objects(picture)) for picture in data.pictures)
    assert sum(summary["classes"].values()) == objects


def test_copies_share_no_bytes_with_what_they_are_of_and_a_second_export_leaves_nothing(tmp_path):
    data, folder, _ = exported(tmp_path, "yolo", "detection", copy=True)
    first = sorted(folder.rglob("*"))
    linked = {os.stat(picture.file).st_ino for picture in data.pictures}
    assert not any(os.stat(path).st_ino in linked for path in first)
    (folder / "images/train/real/left over.png").touch()
    write_export(folder, data, "yolo", True)
    assert sorted(folder.rglob("*")) == first


@pytest.mark.parametrize(
    "form, task, words",
    [
        (
            "voc",
            "segmentation",
            "format voc holds boxes alone; it can't hold labels of segmentation",
        ),
        ("coco", "classification", "format coco holds boxes, masks and keypoints; it can't"),
        ("imagefolder", "pose", "format imagefolder holds one class for each picture; it can't"),
    ],
)
def test_what_a_format_cannot_hold_is_an_error_that_names_it(tmp_path, form, task, words):
    data = Collection("d", task, CLASSES, [])
    with pytest.raises(UserError, match=words):
        write_export(tmp_path / "out", data, form)


def test_two_pictures_of_one_name_are_an_error(tmp_path):
    data = make(tmp_path / "in", "detection")
    twice = data.pictures[0]._replace(file=data.pictures[0].file.replace(".jpg", ".bmp"))
    Image.new("RGB", SIDES).save(twice.file)
    data.pictures.append(twice)
    with pytest.raises(UserError, match="would both be images/train/real/a b.bmp"):
        write_export(tmp_path / "out", data, "coco")


# COCO


@pytest.mark.parametrize(
    "task, holes", [("detection", 0), ("segmentation", 0), ("segmentation", 1)]
)
def test_pycocotools_and_supervision_read_the_same_boxes_areas_and_masks(tmp_path, task, holes):
    import supervision

    data, folder, _ = exported(tmp_path, "coco", task, holes=bool(holes))
    for split in ("train", "val", "test"):
        path = folder / f"annotations/instances_{split}.json"
        coco, pictures = COCO(str(path)), of_split(data, split)
        assert [coco.cats[i]["name"] for i in sorted(coco.cats)] == CLASSES
        dataset = supervision.DetectionDataset.from_coco(
            images_directory_path=str(folder / "images" / split),
            annotations_path=str(path),
            force_masks=task == "segmentation",
        )
        assert dataset.classes == CLASSES and len(dataset) == len(pictures)
        read = {key(os.path.relpath(name, folder / "images" / split)): found
                for name, _, found in dataset}  # fmt: skip
        for image in coco.imgs.values():
            picture = pictures.pop(key(image["file_name"]))
            found = coco.imgToAnns[image["id"]]
            expected = pixels(data, picture)
            boxes = np.array([one["bbox"] for one in found]).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            np.testing.assert_allclose(boxes, expected, atol=1e-6 * max(SIDES))
            assert [one["category_id"] - 1 for one in found] == classes(data, picture)
            other = read[key(image["file_name"])]
            np.testing.assert_allclose(other.xyxy, expected, atol=1e-3)  # it reads float32
            assert list(other.class_id) == classes(data, picture)
            for one, object_, place in zip(found, data.objects(picture), range(9), strict=False):
                if task == "detection":
                    assert one["area"] == pytest.approx(one["bbox"][2] * one["bbox"][3], abs=1e-4)
                    continue
                mask = rasterize(object_.polygon, *SIDES)
                assert isinstance(one["segmentation"], dict) == bool(holes)
                assert one["area"] == pytest.approx(mask.sum(), rel=0.01)
                assert overlap(coco.annToMask(one).astype(bool), mask) > (
                    1 - 1e-9 if holes else 0.95
                )
                assert overlap(other.mask[place], mask) > 0.9
        assert not pictures


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def test_parts_without_holes_are_polygons_of_their_own(tmp_path):
    square = np.array([(0, 0), (0.25, 0), (0.25, 0.25), (0, 0.25)])
    label = object_line(
        Object("0", (0, 0, 1, 1), join_rings([square, square + 0.5])), "segmentation"
    )
    file = tmp_path / "a.png"
    Image.new("RGB", SIDES).save(file)
    data = Collection(
        "d", "segmentation", CLASSES, [Picture(str(file), "train", "synthetic", "a", label, *SIDES)]
    )
    write_export(tmp_path / "out", data, "coco")
    coco = COCO(str(tmp_path / "out/annotations/instances_train.json"))
    assert [len(part) for part in coco.anns[1]["segmentation"]] == [8, 8]
    assert coco.anns[1]["area"] == coco.annToMask(coco.anns[1]).sum() == 2 * 40 * 30


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_rings_that_were_joined_come_apart_as_the_same_mask(seed, blobs):
    rng = np.random.default_rng(seed)
    mask = np.zeros((24, 32), bool)
    for _ in range(blobs):
        x, y = rng.integers(0, (28, 20))
        width, height = rng.integers(1, 12, 2)
        mask[y : y + height, x : x + width] ^= True
    whole = trace(mask)
    if whole is None:
        return
    rings = split_ring(whole)
    apart = np.logical_xor.reduce([rasterize(part, 32, 24) for part in rings])
    np.testing.assert_array_equal(apart, mask)


def test_keypoints_have_visibility_names_and_skeleton(tmp_path):
    data, folder, _ = exported(tmp_path, "coco", "pose")
    coco = COCO(str(folder / "annotations/keypoints_train.json"))
    assert coco.cats[1]["skeleton"] == [[1, 2], [2, 3]] and len(coco.cats[1]["keypoints"]) == 3
    pictures = of_split(data, "train")
    for image in coco.imgs.values():
        objects = data.objects(pictures[key(image["file_name"])])
        for one, object_ in zip(coco.imgToAnns[image["id"]], objects, strict=True):
            assert one["num_keypoints"] == 2
            points = np.array(one["keypoints"]).reshape(-1, 3)
            assert points[:, 2].tolist() == [2, 1, 0] and points[2].tolist() == [0, 0, 0]
            expected = object_.keypoints[:2, :2] * SIDES
            np.testing.assert_allclose(points[:2, :2], expected, atol=1e-6 * max(SIDES))


def test_coco_says_where_a_picture_is_from(tmp_path):
    data, folder, _ = exported(tmp_path, "coco", "detection")
    coco = COCO(str(folder / "annotations/instances_train.json"))
    pictures = of_split(data, "train")
    for image in coco.imgs.values():
        picture = pictures[key(image["file_name"])]
        said = (image["origin"], tuple(image["sources"]), image["scores"], image["caption"])
        assert said == (picture.origin, picture.sources, picture.scores, picture.caption)


# YOLO


@pytest.mark.parametrize("task", ["detection", "segmentation", "pose"])
def test_ultralytics_reads_the_same_labels(tmp_path, task):
    import_ultralytics()
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data, folder, _ = exported(tmp_path, "yolo", task, holes=True)
    found = check_det_dataset(str(folder / "data.yaml"))
    assert found["names"] == dict(enumerate(CLASSES))
    kind = {"detection": "detect", "segmentation": "segment"}.get(task, task)
    dataset = YOLODataset(img_path=found["train"], data=found, task=kind, augment=False)
    read = {key(os.path.relpath(label["im_file"], folder / "images/train")): label
            for label in dataset.labels}  # fmt: skip
    pictures = of_split(data, "train")
    assert read.keys() == pictures.keys() and len(dataset.labels) == 12 + 6  # real ones twice
    for name, label in read.items():
        picture = pictures[name]
        boxes = label["bboxes"] * (SIDES * 2)
        corners = np.concatenate(
            [boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1
        )
        np.testing.assert_allclose(corners, pixels(data, picture), atol=1e-3)
        assert label["cls"].ravel().tolist() == classes(data, picture)
        for place, one in enumerate(data.objects(picture)):
            if task == "segmentation":
                np.testing.assert_allclose(label["segments"][place], one.polygon, atol=1e-6)
            if task == "pose":
                points = label["keypoints"][place]
                np.testing.assert_allclose(points, one.keypoints, atol=1e-6)


def test_supervision_reads_the_yolo_folder_and_a_table_says_where_pictures_are_from(tmp_path):
    import supervision

    data, folder, _ = exported(tmp_path, "yolo", "detection")
    dataset = supervision.DetectionDataset.from_yolo(
        images_directory_path=str(folder / "images/train/synthetic"),
        annotations_directory_path=str(folder / "labels/train/synthetic"),
        data_yaml_path=str(folder / "data.yaml"),
    )
    pictures = of_split(data, "train")
    assert len(dataset) == 6
    for name, _, found in dataset:
        picture = pictures[f"synthetic/{Path(name).stem}"]
        np.testing.assert_allclose(found.xyxy, pixels(data, picture), atol=1e-3)
    table = read_table(folder / "dataset.csv")
    row = table[(table["id"] == "ü.x y") & (table["origin"] == "synthetic")].iloc[0]
    assert row["source"] == "x;y & z" and row["tiny.realism"] == 1.5 and row["tiny.odd"] == 1e-7
    assert row["label"] == "labels/train/synthetic/ü.x y.txt" and (folder / row["label"]).exists()


# VOC


def test_supervision_reads_the_voc_folder_to_a_pixel_and_xml_says_where_pictures_are_from(tmp_path):
    import supervision

    data, folder, _ = exported(tmp_path, "voc", "detection")
    dataset = supervision.DetectionDataset.from_pascal_voc(
        images_directory_path=str(folder / "JPEGImages"),
        annotations_directory_path=str(folder / "Annotations"),
    )
    assert len(dataset) == len(data.pictures)
    pictures = {f"{p.split}_{p.origin}_{p.id}": p for p in data.pictures}
    for name, _, found in dataset:
        picture = pictures[Path(name).stem]
        np.testing.assert_allclose(found.xyxy, pixels(data, picture), atol=0.5 + 1e-6)
        names = [dataset.classes[index] for index in found.class_id]
        assert names == [CLASSES[index] for index in classes(data, picture)]
    lists = {
        path.stem: path.read_text().splitlines() for path in (folder / "ImageSets/Main").iterdir()
    }
    assert set(lists) == {"train", "val", "test"} and set(sum(lists.values(), [])) == set(pictures)
    root = ElementTree.parse(folder / "Annotations/train_synthetic_ü.x y.xml").getroot()
    assert root.findtext("filename") == "train_synthetic_ü.x y.png"
    source = root.find("source")
    assert source.findtext("image") == "synthetic"
    assert [one.text for one in source.findall("picture")] == ["x", "y & z"]
    scores = {one.get("name"): float(one.text) for one in source.findall("score")}
    assert scores == {"tiny.realism": 1.5, "tiny.odd": 1e-7}


@pytest.mark.parametrize(
    "box, expected",
    [((0, 0, 1, 1), (1, 1, 160, 120)), ((0.999, 0, 1, 1e-3), (160, 1, 160, 1))],
)
def test_a_voc_box_has_at_least_one_pixel_and_lies_in_the_picture(box, expected):
    picture = Picture("a.png", "train", "real", "a", "", *SIDES)
    assert pixels_of(Object("0", box), picture) == expected


# folders of classes, CSV, Hugging Face


def test_torchvision_counts_the_same_classes_in_every_split(tmp_path):
    from torchvision.datasets import ImageFolder

    data, folder, _ = exported(tmp_path, "imagefolder", "classification")
    for split in ("train", "val", "test"):
        dataset = ImageFolder(folder / split, allow_empty=True)
        assert dataset.classes == sorted(CLASSES)
        read = {Path(path).stem: dataset.classes[index] for path, index in dataset.samples}
        expected = {
            name.replace("/", "_"): CLASSES[int(p.label)]
            for name, p in of_split(data, split).items()
        }
        assert read == expected
    table = read_table(folder / "dataset.csv")
    assert table["label"].tolist() == [CLASSES[int(p.label)] for p in data.pictures]


@pytest.mark.parametrize("name", ["a/b", "..", " "])
def test_a_class_that_can_be_no_folder_is_an_error(tmp_path, name):
    picture = Picture("a.png", "train", "synthetic", "a", "0", *SIDES)
    with pytest.raises(UserError, match="can't be the name of a folder"):
        write_export(
            tmp_path / "out", Collection("d", "classification", [name], [picture]), "imagefolder"
        )


def test_the_table_has_a_row_for_each_box_and_one_for_a_picture_without(tmp_path):
    data, folder, _ = exported(tmp_path, "csv", "detection")
    with open(folder / "dataset.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for picture in data.pictures:
        path = f"images/{picture.split}/{picture.origin}/{picture.id}."
        own = [row for row in rows if row["image"].startswith(path)]
        assert len(own) == max(1, len(data.objects(picture)))
        assert (folder / own[0]["image"]).is_file() and own[0]["caption"] == picture.caption
        boxes = [
            [float(row[c]) for c in ("xmin", "ymin", "xmax", "ymax")] for row in own if row["xmin"]
        ]
        expected = pixels(data, picture)
        np.testing.assert_allclose(np.reshape(boxes, (-1, 4)), expected, atol=1e-6 * max(SIDES))
        labels = [row["label"] for row in own if row["label"]]
        assert labels == [CLASSES[index] for index in classes(data, picture)]


@pytest.mark.parametrize("task", ["detection", "segmentation", "pose", "classification"])
def test_hugging_face_datasets_reads_the_same_labels(tmp_path, monkeypatch, task):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    data, folder, _ = exported(tmp_path, "huggingface", task, holes=True)
    found = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in found.items()} == {
        "train": 12,
        "validation": 6,
        "test": 6,
    }
    for name, split in (("train", "train"), ("validation", "val")):
        pictures = of_split(data, split)
        for row in found[name]:
            picture = pictures.pop(f"{row['origin']}/{row['id']}")
            assert row["image"].size == SIDES and row["caption"] == picture.caption
            assert row["source"] == ";".join(picture.sources)
            assert json.loads(row["scores"]) == picture.scores
            if task == "classification":
                assert row["label"] == CLASSES[int(picture.label)]
                continue
            objects = row["objects"]
            assert objects["category"] == [CLASSES[index] for index in classes(data, picture)]
            boxes = np.reshape(objects["bbox"], (-1, 4))
            boxes[:, 2:] += boxes[:, :2]
            np.testing.assert_allclose(boxes, pixels(data, picture), atol=1e-6 * max(SIDES))
            for place, one in enumerate(data.objects(picture)):
                if task == "segmentation":
                    (flat,) = objects["segmentation"][place]
                    mask = rasterize(np.reshape(flat, (-1, 2)) / SIDES, *SIDES)
                    assert overlap(mask, rasterize(one.polygon, *SIDES)) == 1
                if task == "pose":
                    assert objects["keypoints"][place][2::3] == [2, 1, 0]
        assert not pictures


# configuration and scripts


def config(**changes) -> dict:
    found = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for experiment in found["experiments"]:
        experiment.update(changes)
    return found


def test_the_config_s_documentation_names_every_format():
    description = load_schema("experiments.yaml")["properties"]["exports"]["description"]
    assert all(form in description for form in catalog.EXPORTS)


def test_a_format_that_cannot_hold_the_labels_is_told_before_anything_runs():
    with pytest.raises(
        UserError, match=r"exports: format 'imagefolder' holds one class.*detection"
    ):
        checked(config(exports=["imagefolder"]))
    with pytest.raises(
        UserError, match="exports: there is no format 'tfrecord'; it may be one of coco, voc"
    ):
        checked(config(exports=["tfrecord"]))


def test_copies_are_asked_for_in_the_config_or_as_a_word_of_the_command_line():
    assert [checked(config() | {"copy": value})["copy"] for value in (True, "true")] == [
        True,
        "true",
    ]
    with pytest.raises(UserError, match="copy: 'yes'"):
        checked(config() | {"copy": "yes"})


def test_an_experiment_exports_its_training_sets_and_synthetic_images_each_once():
    full = checked(config(exports=["huggingface"]))
    first = full["experiments"][0]
    found = [entry for entry in exports(full) if entry["dataset"] == first["dataset"]]
    sets = [entry for entry in found if "mix" not in entry]
    assert [entry["generator"] for entry in sets] == first["generators"]
    assert {entry["mix"] for entry in found if "mix" in entry} == set(first["mixes"])
    assert len({tuple(entry.items()) for entry in found}) == len(found)
    assert exports(checked(config())) == []


def test_what_is_not_exported_changes_nothing_of_what_results_depend_on():
    used = used_config(checked(config()))
    assert "copy" not in used and all("exports" not in one for one in used["experiments"])
    assert used_config(checked(config(exports=["csv"])))["experiments"][0]["exports"] == ["csv"]


def write_inputs(data: Collection) -> None:
    """Tables as the workflow's earlier rules leave them, and the training set."""
    rows = [
        {"id": p.id, "image": p.file, "label": p.label, "split": p.split, "origin": p.origin,
         "width": p.width, "height": p.height, "caption": p.caption, "sha256": "",
         "copies": p.copies}
        for p in data.pictures
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    for split in ("train", "val", "test"):
        own = (table["split"] == split) & (table["origin"] == "real")
        write_table(f"{split}.csv", table[own], "manifest")
    made = table[table["origin"] == "synthetic"]
    write_table("made.csv", made, "manifest")
    write_table("labels.csv", made[["id", "label"]], "labels")
    sources = [
        {"id": p.id, "source": source, "source_sha256": ""}
        for p in data.pictures
        for source in p.sources
    ]
    write_table("sources.csv", sources, "sources")
    synthetic = [p for p in data.pictures if p.origin == "synthetic"]
    scores = [
        {
            "id": p.id,
            "image": p.file,
            "realism": p.scores["tiny.realism"],
            "odd": p.scores.get("tiny.odd"),
        }
        for p in synthetic
    ]
    write_table("scores.csv", scores)
    entries = table.loc[table.index.repeat(table["copies"])].reset_index(drop=True)
    write_mix(Path("data/mixed/d/g/s/m"), entries, data.task, data.classes)


def job_of(inputs: dict, folder: str, task: str, **wildcards):
    params = {
        "task": task,
        "classes": CLASSES,
        "shape": {},
        "features": ["tiny"],
        "as_copies": False,
    }
    return SimpleNamespace(
        input=InputFiles(fromdict=inputs),
        output=OutputFiles(fromdict={"summary": f"{folder}/export.yaml"}),
        params=Params(fromdict=params),
        wildcards=Wildcards(fromdict=wildcards),
    )


def said(picture: Picture) -> tuple:
    name = picture.name.rpartition(".")[0]
    return (picture.split, picture.origin, name, picture.label, *picture[5:])


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_the_scripts_export_what_the_workflow_made(tmp_path, monkeypatch, task):
    monkeypatch.chdir(tmp_path)
    data = make(Path("in"), task)
    write_inputs(data)
    manifests = {f"{split}_manifest": f"{split}.csv" for split in ("train", "val", "test")}
    made = {"synthetic_manifest": "made.csv", "sources": "sources.csv", "scores": ["scores.csv"]}
    mixed = "data/mixed/d/g/s/m/dataset.csv"
    names = {"dataset": "d", "generator": "g", "selection": "s", "mix": "m", "format": "csv"}
    export.main(job_of(manifests | made | {"dataset": mixed}, "data/exported/mix", task, **names))
    summary = read_yaml("data/exported/mix/export.yaml")
    assert summary["pictures"] == {
        "train": {"real": 6, "synthetic": 6}, "val": {"real": 6}, "test": {"real": 6}
    }  # fmt: skip
    read = read_table("data/exported/mix/dataset.csv")
    assert set(read.loc[read["origin"] == "synthetic", "source"]) == {"x", "x;y & z"}
    tables = {name: read_table(f"{name}.csv", "manifest") for name in ("train", "val", "test")}
    tables["synthetic"] = read_table("made.csv", "manifest")
    pictures = pictures_of_mix(
        Path(mixed).parent, read_table(mixed, "mixed"), tables,
        read_table("sources.csv", "sources"), {"tiny": read_table("scores.csv")}, task,
    )  # fmt: skip
    assert sorted(map(said, pictures), key=str) == sorted(map(said, data.pictures), key=str)

    export_generated.main(
        job_of(made | {"labels": "labels.csv"}, "data/exported/set", task, **names)
    )
    assert read_yaml("data/exported/set/export.yaml")["pictures"] == {"train": {"synthetic": 6}}
    assert Path("results/made/exported/set.txt").read_text().count("\n") == 7


# the page


def blocks(heading: str) -> list[str]:
    """The Python that docs/exports.md has under a heading."""
    page = (ROOT / "docs/exports.md").read_text(encoding="utf-8")
    (part,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    return re.findall(r"```python\n(.*?)```", part, re.S)


def run_block(code: str) -> dict:
    names: dict = {}
    exec(compile(code, "docs/exports.md", "exec"), names)
    return names


@pytest.fixture
def page_folders(tmp_path, monkeypatch):
    """Every export that the page loads, under the name that it has there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for task in ("detection", "classification"):
        data = make(tmp_path / "in" / task, task)
        for form in FORMS[task]:
            if task == "detection" or form == "imagefolder":
                write_export(tmp_path / form, data, form)
        if task == "classification":
            write_export(tmp_path / "classes" / "huggingface", data, "huggingface")


def test_the_page_s_lines_for_pytorch_run(page_folders):
    detection, classification = blocks("PyTorch")
    picture, objects = run_block(detection)["data"][0]
    assert picture.size == SIDES and isinstance(objects, list)
    assert len(run_block(classification)["data"]) == 12


def test_the_page_s_lines_for_ultralytics_run(page_folders):
    import_ultralytics()
    (code,) = blocks("ultralytics")
    data = run_block(code)["data"]
    assert data["names"] == dict(enumerate(CLASSES)) and data["train"].endswith("train.txt")


def test_the_page_s_lines_for_hugging_face_run(page_folders):
    pytest.importorskip("datasets", exc_type=ImportError)
    (code,) = blocks("Hugging Face datasets")
    data = run_block(code)["data"]
    assert len(data["train"]) == 12 and data["train"][0]["objects"]["category"]


def test_the_page_has_every_format_and_three_lines_for_each_program():
    page = (ROOT / "docs/exports.md").read_text(encoding="utf-8")
    assert all(f"| `{form}` |" in page for form in catalog.EXPORTS)
    for heading in ("PyTorch", "ultralytics", "FiftyOne", "Hugging Face datasets"):
        for code in blocks(heading):
            lines = [line for line in code.splitlines() if line and not line.startswith("#")]
            assert len(lines) <= 3, heading
    assert "label-studio-converter import coco" in page
