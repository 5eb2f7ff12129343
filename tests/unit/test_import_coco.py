"""COCO files, of Roboflow too, become labels that pycocotools and supervision agree with."""

import json
from pathlib import Path

import numpy as np
import pytest
import supervision
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from cia.catalog import SOURCES, code
from cia.errors import UserError
from cia.importing.coco import CAPTIONS, CROWD
from cia.importing.frames import CUT
from cia.importing.shapes import UNITED
from cia.labels.lines import LineReader
from cia.labels.masks import rasterize
from cia.labels.reading import label_parser
from datasets_elsewhere import NAMES, corners, describe, numbers, picture, read, source

CATEGORIES = [{"id": 90, "name": "cow"}, {"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
SQUARE = [8, 6, 24, 6, 24, 18, 8, 18]


def box(image: int, category: int, bbox, **more) -> dict:
    return {"image_id": image, "category_id": category, "bbox": list(bbox), "iscrowd": 0, **more}


def write(
    path: Path, images: dict, annotations: list, categories=CATEGORIES, size=(64, 48)
) -> Path:
    """Write an annotation file; images are names by id."""
    listed = [
        {"id": id_, "file_name": name, "width": size[0], "height": size[1]}
        for id_, name in images.items()
    ]
    numbered = [{"id": number, "area": 1, **one} for number, one in enumerate(annotations)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"images": listed, "annotations": numbered, "categories": categories})
    )
    return path


@pytest.fixture
def photos(tmp_path) -> Path:
    for name in (*NAMES, "sub/dir/deep.png"):
        picture(tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_boxes_are_those_that_supervision_reads(photos, tmp_path):
    rng = np.random.default_rng(0)
    images = {10 + 7 * number: name for number, name in enumerate((*NAMES, "sub/dir/deep.png"))}
    annotations = [
        box(image, category, [*rng.uniform(0, 20, 2).round(2), *rng.uniform(2, 20, 2).round(2)])
        for image in images
        for category in (7, 3, 90, 3)
    ]
    path = write(tmp_path / "all.json", images, annotations)
    found, refused, _ = read(source("coco", str(path), images=str(photos)), "detection")
    assert not refused and set(found) == set(images.values())
    theirs = supervision.DetectionDataset.from_coco(str(photos), str(path))
    assert describe(source("coco", str(path)), "detection").names == ("cat", "dog", "cow")
    for name, one in found.items():
        _, _, detections = theirs[list(images.values()).index(name)]
        names = [theirs.classes[index] for index in detections.class_id]
        assert [("cat", "dog", "cow")[int(row[0])] for row in numbers(one.label)] == names
        np.testing.assert_allclose(corners(one.label, 64, 48), detections.xyxy, atol=1e-4)


def test_a_picture_without_annotations_is_one_without_objects_and_one_not_listed_is_refused(
    photos, tmp_path
):
    path = write(tmp_path / "some.json", {1: NAMES[0], 2: NAMES[1]}, [box(1, 3, [1, 1, 9, 9])])
    found, refused, _ = read(source("coco", str(path), images=str(photos)), "detection")
    assert found[NAMES[1]].label == "" and found[NAMES[0]].label
    assert {Path(one.file).name for one in refused} == {*NAMES[2:], "deep.png"}
    assert {one.reason for one in refused} == {"unlabeled: some.json does not list it"}
    assert not any(one.unusable for one in refused)


def test_names_of_windows_of_a_mac_and_of_another_machine_are_found(photos, tmp_path):
    names = {1: "sub\\dir\\deep.png", 2: "U\u0308mlaut.JPG", 3: f"/home/else/{NAMES[3]}"}
    path = write(tmp_path / "some.json", names, [])
    found, _, _ = read(source("coco", str(path), images=str(photos)), "detection")
    assert set(found) == {"sub/dir/deep.png", NAMES[1], NAMES[3]}
    assert all(Path(one.path).is_file() for one in found.values())


def test_crowds_are_left_out_and_counted_and_classes_are_chosen_merged_and_counted(
    photos, tmp_path
):
    annotations = [
        box(1, 3, [1, 1, 9, 9]),
        box(1, 7, [20, 1, 9, 9]),
        box(1, 90, [30, 1, 9, 9]),
        box(1, 3, [1, 1, 60, 40], iscrowd=1, segmentation={"counts": [3072], "size": [48, 64]}),
    ]
    path = write(tmp_path / "all.json", {1: NAMES[0]}, annotations)
    settings = source("coco", str(path), images=str(photos))
    found, _, wanted = read(settings, "detection", {"pet": ["dog", "cat"]})
    assert numbers(found[NAMES[0]].label)[:, 0].tolist() == [0, 0]
    assert wanted.dropped == {"cow": 1} and wanted.notes[CROWD] == 1
    found, _, _ = read(settings, "detection", ["cow", "cat"])
    assert numbers(found[NAMES[0]].label)[:, 0].tolist() == [1, 0]


def test_masks_are_those_of_pycocotools_with_parts_overlaps_holes_and_run_lengths(photos, tmp_path):
    outer = np.zeros((48, 64), dtype=np.uint8)
    outer[5:40, 5:50] = 1
    outer[15:25, 20:35] = 0
    packed = coco_masks.encode(np.asfortranarray(outer))
    plain, value = [], 0
    flat = outer.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[value], flat, [2]])))
    plain = np.diff(np.concatenate([[0], edges])).tolist()
    shapes = {
        "one part": [SQUARE],
        "two parts": [SQUARE, [40, 20, 60, 20, 50, 40]],
        "parts that overlap": [SQUARE, [16, 10, 40, 10, 40, 30, 16, 30]],
        "compressed": {"counts": packed["counts"].decode(), "size": [48, 64]},
        "not compressed": {"counts": plain, "size": [48, 64]},
    }
    annotations = [box(1, 3, [0, 0, 9, 9], segmentation=shape) for shape in shapes.values()]
    path = write(tmp_path / "all.json", {1: NAMES[0]}, annotations)
    settings = source("coco", str(path), images=str(photos))
    found, _, wanted = read(settings, "segmentation")
    theirs = COCO(str(path))
    lines = found[NAMES[0]].label.splitlines()
    assert len(lines) == len(shapes) and wanted.notes[UNITED] == 1
    for (name, _), line, annotation in zip(
        shapes.items(), lines, theirs.dataset["annotations"], strict=True
    ):
        ours = rasterize(np.array(line.split()[1:], dtype=float).reshape(-1, 2), 64, 48)
        mask = theirs.annToMask(annotation).astype(bool)
        assert (ours & mask).sum() / (ours | mask).sum() >= 0.99, name
    checked = label_parser("segmentation", ["cat"])("\n".join(lines)).splitlines()
    assert checked == list(dict.fromkeys(lines))  # both kinds of run lengths are the same mask
    boxes, _, _ = read(settings, "detection")
    assert numbers(boxes[NAMES[0]].label)[0, 1:].tolist() == [0.070312, 0.09375, 0.140625, 0.1875]


def test_keypoints_keep_their_visibility_and_say_shape_names_and_skeleton(photos, tmp_path):
    person = {"id": 1, "name": "person", "keypoints": ["nose", "hand", "foot"]}
    person["skeleton"] = [[1, 2], [2, 3]]
    points = [10, 12, 2, 32, 24, 1, 0, 0, 0]
    path = write(
        tmp_path / "pose.json",
        {1: NAMES[0]},
        [box(1, 1, [8, 6, 32, 24], keypoints=points, num_keypoints=2)],
        [person],
    )
    settings = source("coco", str(path), images=str(photos))
    assert describe(settings, "pose").keys == {
        "kpt_shape": [3, 3],
        "keypoints": ["nose", "hand", "foot"],
        "skeleton": [[0, 1], [1, 2]],
    }
    found, _, _ = read(settings, "pose", kpt_shape=[3, 3])
    checked = label_parser("pose", ["person"], LineReader([3, 3]))(found[NAMES[0]].label)
    assert checked == found[NAMES[0]].label
    row = numbers(checked)[0]
    np.testing.assert_allclose(row[:5], [0, 24 / 64, 18 / 48, 0.5, 0.5])
    expected = [10 / 64, 12 / 48, 2, 0.5, 0.5, 1, 0, 0, 0]
    np.testing.assert_allclose(row[5:], expected, atol=1e-6)
    found, _, _ = read(settings, "pose", kpt_shape=[3, 2])
    row = numbers(found[NAMES[0]].label)[0]
    np.testing.assert_allclose(row[5:], [10 / 64, 12 / 48, 0.5, 0.5, 0, 0], atol=1e-6)


def test_a_keypoint_out_by_a_hair_is_cut_and_one_without_visibility_is_nowhere(photos, tmp_path):
    person = {"id": 1, "name": "person", "keypoints": ["nose", "hand", "foot"]}
    points = [65, 12, 2, 32, 24, 0, 32, 24, 1]
    path = write(
        tmp_path / "pose.json",
        {1: NAMES[0]},
        [box(1, 1, [8, 6, 32, 24], keypoints=points)],
        [person],
    )
    found, _, wanted = read(source("coco", str(path), images=str(photos)), "pose", kpt_shape=[3, 3])
    row = numbers(found[NAMES[0]].label)[0]
    np.testing.assert_allclose(row[5:], [1, 0.25, 2, 0, 0, 0, 0.5, 0.5, 1], atol=1e-6)
    assert wanted.notes == {CUT: 1}


def test_captions_come_from_a_file_of_their_own(photos, tmp_path):
    objects = write(tmp_path / "instances.json", {1: NAMES[0]}, [box(1, 3, [1, 1, 9, 9])])
    caption = {"image_id": 5, "caption": "a cat\n on a mat "}
    second = {"image_id": 5, "caption": "another cat"}
    captions = write(tmp_path / "captions.json", {5: NAMES[0], 6: NAMES[1]}, [caption, second], [])
    settings = source("coco", [str(objects), str(captions)], images=str(photos))
    found, _, wanted = read(settings, "detection")
    assert wanted.notes == {CAPTIONS: 1}
    assert found[NAMES[0]].caption == "a cat on a mat" and found[NAMES[0]].label
    assert found[NAMES[1]].label is None
    assert found[NAMES[1]].problem == "its annotations are captions alone"


def test_exports_are_found_with_their_splits(tmp_path):
    roboflow = [{"id": 0, "name": "pets", "supercategory": "none"}]
    roboflow += [{"id": 1, "name": "cat", "supercategory": "pets"}]
    for split in ("train", "valid", "test"):
        picture(tmp_path / "roboflow" / split / "1.jpg")
        annotations = [box(1, 1, [0, 0, 32, 24])]
        write(
            tmp_path / f"roboflow/{split}/_annotations.coco.json",
            {1: "1.jpg"},
            annotations,
            roboflow,
        )
    for split in ("train2017", "val2017"):
        picture(tmp_path / "coco" / split / f"{split}.jpg")
        path = tmp_path / f"coco/annotations/instances_{split}.json"
        write(path, {1: f"{split}.jpg"}, [box(1, 3, [0, 0, 32, 24])])
    settings = source("coco", str(tmp_path / "roboflow"))
    said = describe(settings, "detection")
    assert said.names == ("cat",) and said.splits == ("train", "val", "test")
    _, refused, wanted = read(settings, "detection")
    assert not refused and not wanted.dropped
    settings = source("coco", str(tmp_path / "coco"))
    assert describe(settings, "detection").splits == ("train", "val")
    found, _, _ = read(settings, "detection")
    assert {one.split for one in found.values()} == {"train", "val"}
    assert found["val2017.jpg"].path == str(tmp_path / "coco/val2017/val2017.jpg")


def test_exports_of_cvat_and_fiftyone_are_found_and_are_to_be_split(tmp_path):
    picture(tmp_path / "cvat/images/default/1.jpg")
    write(tmp_path / "cvat/annotations/instances_default.json", {1: "1.jpg"}, [])
    picture(tmp_path / "fiftyone/data/1.jpg")
    write(tmp_path / "fiftyone/labels.json", {1: "1.jpg"}, [])
    for name, folder in (("cvat", "images/default"), ("fiftyone", "data")):
        settings = source("coco", str(tmp_path / name))
        assert describe(settings, "detection").splits == ()
        found, refused, _ = read(settings, "detection")
        assert not refused
        assert found["1.jpg"].path == str(tmp_path / name / folder / "1.jpg")


def test_of_a_folder_with_the_project_in_it_only_the_folders_of_pictures_are_watched(
    tmp_path, monkeypatch
):
    picture(tmp_path / "photos/1.jpg")
    picture(tmp_path / "results/2.jpg")
    write(tmp_path / "all.json", {1: "photos/1.jpg"}, [])
    monkeypatch.chdir(tmp_path)
    settings = source("coco", "all.json")
    watched = code(SOURCES["coco"]).watch(settings)
    assert watched == [tmp_path / "all.json", tmp_path / "photos"]
    found, refused, _ = read(settings, "detection")
    assert set(found) == {"photos/1.jpg"} and not refused


def test_a_classification_takes_the_one_class_of_a_picture(photos, tmp_path):
    annotations = [box(1, 3, [0, 0, 5, 5]), box(1, 3, [9, 9, 5, 5]), box(2, 3, [0, 0, 5, 5])]
    annotations += [box(2, 7, [0, 0, 5, 5]), box(3, 90, [0, 0, 5, 5])]
    images = dict(enumerate(NAMES, start=1))
    path = write(tmp_path / "all.json", images, annotations)
    settings = source("coco", str(path), images=str(photos))
    found, _, wanted = read(settings, "classification", ["cat", "dog"])
    assert found[NAMES[0]].label == "0"
    assert found[NAMES[1]].problem.startswith("2 classes")
    assert NAMES[2] not in found and wanted.dropped == {"cow": 1}
    assert found[NAMES[3]].problem == "no annotation says its class"


def test_a_box_out_by_a_hair_is_cut_and_one_far_out_stays_for_the_check_of_labels(photos, tmp_path):
    annotations = [box(1, 3, [-0.5, 0, 10, 48.4]), box(2, 3, [-9, 0, 20, 20])]
    path = write(tmp_path / "all.json", {1: NAMES[0], 2: NAMES[1]}, annotations)
    found, _, wanted = read(source("coco", str(path), images=str(photos)), "detection")
    np.testing.assert_allclose(
        corners(found[NAMES[0]].label, 64, 48)[0], [0, 0, 9.5, 48], atol=1e-4
    )
    assert corners(found[NAMES[1]].label, 64, 48)[0, 0] == pytest.approx(-9, abs=1e-3)
    assert wanted.notes[CUT] == 1


@pytest.mark.parametrize(
    "annotation, reason",
    [
        (box(1, 3, [1, 2, 3]), "annotation 0: its bbox is [1, 2, 3], and not four numbers"),
        (box(1, 3, [], segmentation=SQUARE), "its segmentation is no list of polygons"),
        (box(1, 3, [1, 2, "x", 3]), "annotation 0: could not convert"),
        ({"image_id": 1, "bbox": [1, 2, 3, 4]}, "annotation 0: it has no category_id"),
        (box(1, 3, [], segmentation=[]), "it has no segmentation and no bbox"),
        (box(1, 3, [], segmentation=[[1, 2, 3, 4]]), "fewer than 3 points"),
        (
            box(1, 3, [], segmentation={"counts": [9], "size": [3, 4]}),
            "run lengths of 9 pixels for a size of 3 x 4",
        ),
    ],
)
def test_a_broken_annotation_makes_its_picture_s_label_unusable_with_a_reason(
    photos, tmp_path, annotation, reason
):
    path = write(tmp_path / "all.json", {1: NAMES[0], 2: NAMES[1]}, [annotation])
    found, _, _ = read(source("coco", str(path), images=str(photos)), "detection")
    assert found[NAMES[0]].label is None and reason in found[NAMES[0]].problem
    assert found[NAMES[1]].label == ""


def test_a_picture_of_another_shape_than_the_file_says_is_refused_and_a_scaled_one_is_not(
    photos, tmp_path
):
    annotations = [box(1, 3, [0, 0, 50, 50])]
    for size, fits in (((128, 96), True), ((100, 100), False)):
        path = write(tmp_path / "all.json", {1: NAMES[0]}, annotations, size=size)
        found, _, _ = read(source("coco", str(path), images=str(photos)), "detection")
        problem = found[NAMES[0]].problem
        assert (problem == "") == fits
    assert "says 100 x 100 pixels, but the picture has 64 x 48" in problem


def test_annotations_of_no_picture_and_pictures_in_two_splits_are_refused(photos, tmp_path):
    train = write(tmp_path / "a.json", {1: NAMES[0]}, [box(99, 3, [1, 1, 5, 5])])
    val = write(tmp_path / "b.json", {1: NAMES[0], 2: NAMES[1]}, [])
    settings = source("coco", {"train": str(train), "val": str(val)}, images=str(photos))
    found, refused, _ = read(settings, "detection")
    reasons = [one.reason for one in refused if "unlabeled" not in one.reason]
    assert "annotations of a picture with id 99, which the file does not list" in reasons
    assert "listed for train and for val; the first counts" in reasons
    assert found[NAMES[0]].split == "train"


@pytest.mark.parametrize(
    "content, words",
    [
        ('{"images": [', "not valid JSON"),
        ("[1]", "no COCO file, since it has no list `images`"),
        ('{"images": [{"id": 1}], "categories": [{"id": 1, "name": "a"}]}', "no file_name"),
        (
            '{"images": [{"id": 1, "file_name": "x.jpg"}], "categories": [{"id": 1, "name": "a"}]}',
            "Set `images`",
        ),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path, content, words):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(UserError, match=words) as error:
        read(source("coco", str(path)), "detection", ["a"])
    assert "broken.json" in str(error.value)


def test_a_folder_without_annotation_files_says_what_it_may_hold(tmp_path):
    with pytest.raises(UserError, match=r"train/_annotations\.coco\.json"):
        describe(source("coco", str(tmp_path)), "detection")


def test_a_missing_picture_is_not_taken_for_one_of_its_name_in_another_folder(tmp_path):
    for name in ("1.png", "a/1.png", "c/2.png"):
        picture(tmp_path / name)
    images = {1: "1.png", 2: "gone/1.png", 3: "a\\1.png", 4: "D:\\photos\\c\\2.png"}
    annotations = [box(image, 3, [image, image, 5, 5]) for image in images]
    pictures, refused, _ = read(
        source("coco", str(write(tmp_path / "a.json", images, annotations))), "detection"
    )
    assert set(pictures) == {"1.png", "gone/1.png", "a/1.png", "c/2.png"}
    assert all(len(picture.label.splitlines()) == 1 for picture in pictures.values())
    assert not refused
    images = {1: "x/1.png", 2: "y/1.png"}
    pictures, _, _ = read(
        source("coco", str(write(tmp_path / "a.json", images, annotations[:2]))), "detection"
    )
    assert set(pictures) == {"x/1.png", "y/1.png"}


def test_annotations_of_classes_that_are_left_out_may_lack_what_the_task_needs(photos, tmp_path):
    annotations = [
        box(1, 3, [1, 1, 9, 9], segmentation=[SQUARE]),
        box(1, 7, [1, 1, 9, 9], segmentation=[]),
    ]
    settings = source(
        "coco", str(write(tmp_path / "a.json", {1: NAMES[0]}, annotations)), images=str(photos)
    )
    pictures, _, wanted = read(settings, "segmentation", ["cat"])
    assert pictures[NAMES[0]].label and wanted.dropped == {"dog": 1}
    pictures, _, _ = read(settings, "segmentation", ["cat", "dog"])
    assert pictures[NAMES[0]].problem == "annotation 1: it has no segmentation"


def test_ids_that_are_words_here_and_numbers_there_are_the_same(photos, tmp_path):
    annotations = [box("1", "3", [1, 1, 9, 9])]
    path = write(tmp_path / "a.json", {1: NAMES[0]}, annotations)
    pictures, refused, wanted = read(source("coco", str(path), images=str(photos)), "detection")
    assert pictures[NAMES[0]].label and not wanted.dropped
    assert [one for one in refused if "does not list it" not in one.reason] == []


def test_of_two_pictures_with_one_id_the_second_is_refused(photos, tmp_path):
    path = write(tmp_path / "a.json", {1: NAMES[0], 2: NAMES[1]}, [box(1, 3, [1, 1, 9, 9])])
    path.write_text(path.read_text().replace('"id": 2', '"id": 1', 1))
    pictures, refused, _ = read(source("coco", str(path), images=str(photos)), "detection")
    assert set(pictures) == {NAMES[0]}
    (one,) = [one for one in refused if one.unusable]
    assert Path(one.file).name == NAMES[1] and "has id 1 for" in one.reason


def test_coordinates_that_are_no_numbers_or_far_out_of_the_picture_stop_nothing(photos, tmp_path):
    images = dict(enumerate(NAMES[:3]))
    far = [[10, 10, 1e7, 10, 30, 1e7], SQUARE]
    annotations = [
        box(0, 3, [1, 1, 9, 9], segmentation=[[float("nan"), 1, 9, 1, 9, 9], SQUARE]),
        box(1, 3, [1, 1, 9, 9], segmentation=far),
        box(2, 3, [1, 1, 9, 9], segmentation=[SQUARE]),
    ]
    settings = source(
        "coco", str(write(tmp_path / "a.json", images, annotations)), images=str(photos)
    )
    pictures, _, _ = read(settings, "segmentation")
    first, second, third = (pictures[name] for name in images.values())
    assert first.problem == "annotation 0: a coordinate is no finite number"
    with pytest.raises(ValueError, match="not normalized"):
        LineReader(False).read([float(word) for word in second.label.split()[1:]])
    assert third.label
