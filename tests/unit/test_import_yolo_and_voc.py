"""Datasets of ultralytics, Roboflow and Pascal VOC become the labels that these programs mean."""

from pathlib import Path

import numpy as np
import pytest
import supervision
import yaml

from cia.errors import UserError
from cia.files import write_text
from cia.importing.frames import CUT
from cia.importing.voc import FROM_ZERO
from cia.quiet_ultralytics import import_ultralytics
from datasets_elsewhere import NAMES, corners, describe, numbers, picture, read, source

LINE = "0 0.5 0.5 0.25 0.25"


def yolo(root: Path, data: dict, labels: dict[str, str | None]) -> dict:
    """Write data.yaml and pictures with label files, by the pictures' paths; None for no file."""
    for name, text in labels.items():
        path = picture(root / name)
        if text is not None:
            before, _, after = str(path).rpartition("/images/")
            write_text(Path(f"{before}/labels/{after}").with_suffix(".txt"), text)
    (root / "data.yaml").write_text(yaml.safe_dump(data))
    return source("yolo", str(root))


def test_a_data_yaml_of_ultralytics_is_read_as_ultralytics_reads_it(tmp_path):
    labels = {f"images/train/{name}": LINE for name in NAMES} | {
        "images/train/deep/er.png": f"{LINE}\n2 0.25 0.25 0.1 0.1",
        "images/train/empty.png": "",
        "images/train/no label file.png": None,
        "images/val/v.png": "1 0.5 0.5 1.0 1.0",
    }
    data = {"path": str(tmp_path), "train": "images/train", "val": "images/val"}
    settings = yolo(tmp_path, data | {"names": {0: "cat", 1: "dog", 2: "cow"}}, labels)
    said = describe(settings, "detection")
    assert said.names == ("cat", "dog", "cow") and said.splits == ("train", "val")
    found, refused, _ = read(settings, "detection")
    assert not refused and len(found) == len(labels)
    assert found["no label file.png"].label == found["empty.png"].label == ""
    assert found["deep/er.png"].label == f"{LINE}\n2 0.25 0.25 0.1 0.1"
    import_ultralytics()
    from ultralytics.data.utils import check_det_dataset, img2label_paths

    theirs = check_det_dataset(str(tmp_path / "data.yaml"), autodownload=False)
    assert list(theirs["names"].values()) == list(said.names)
    for one in found.values():
        path = Path(img2label_paths([one.path])[0])
        assert (path.read_text() if path.exists() else "") == one.label


def test_roboflow_s_export_lists_and_folders_that_ultralytics_takes_are_found(tmp_path):
    labels = {f"{split}/images/{split} 1.jpg": LINE for split in ("train", "valid", "test")}
    data = {f"{key}": f"../{key}/images" for key in ("train", "test")} | {"val": "../valid/images"}
    settings = yolo(tmp_path / "roboflow", data | {"nc": 1, "names": ["fish"]}, labels)
    found, _, _ = read(settings, "detection")
    assert {one.name: one.split for one in found.values()} == {
        "train 1.jpg": "train",
        "valid 1.jpg": "val",
        "test 1.jpg": "test",
    }
    labels = {"a/images/1.png": LINE, "b/images/1.png": LINE, "c/images/2.png": LINE}
    data = {"train": ["a/images", "b/images"], "val": "val.txt", "nc": 1}
    settings = yolo(tmp_path / "lists", data, labels)
    write_text(tmp_path / "lists/val.txt", "./c/images/2.png\n\n./c/images/gone.png\n")
    found, _, _ = read(settings, "detection", ["fish"])
    assert set(found) == {"a/images/1.png", "b/images/1.png", "2.png", "gone.png"}
    assert all(one.label == LINE for name, one in found.items() if name != "gone.png")


def test_masks_and_keypoints_pass_and_classes_are_chosen_by_name(tmp_path):
    polygon = "1 0.1 0.1 0.5 0.1 0.5 0.9"
    data = {"train": "images/train", "val": "images/train", "names": ["cat", "dog"]}
    labels = {"images/train/a.png": f"0 0.2 0.2 0.3 0.2 0.3 0.4\n{polygon}"}
    settings = yolo(tmp_path / "masks", data, labels)
    found, _, wanted = read(settings, "segmentation", {"hound": "dog"})
    assert found["a.png"].label == "0" + polygon[1:] and wanted.dropped == {"cat": 1}
    pose = "0 0.5 0.5 0.5 0.5 0.4 0.4 2 0.6 0.6 0"
    data |= {"kpt_shape": [2, 3], "flip_idx": [1, 0]}
    settings = yolo(tmp_path / "pose", data, {"images/train/a.png": pose})
    assert describe(settings, "pose").keys == {"kpt_shape": [2, 3], "flip_idx": [1, 0]}
    found, _, _ = read(settings, "pose", kpt_shape=[2, 3])
    assert found["a.png"].label == pose


def test_numbers_out_by_a_hair_are_cut_and_lines_that_are_no_labels_are_named(tmp_path):
    labels = {
        "images/train/hair.png": "0 0.5 0.5 1.004 1.0",
        "images/train/polygon.png": "0 -0.001 0.1 0.5 0.1 0.5 1.002",
        "images/train/far.png": "0 0.9 0.5 0.5 0.5",
        "images/train/class.png": f"{LINE}\n7 0.5 0.5 0.1 0.1",
        "images/train/word.png": "0 0.5 half 0.1 0.1",
    }
    data = {"train": "images/train", "val": "images/train", "names": ["cat"]}
    found, _, wanted = read(yolo(tmp_path, data, labels), "detection")
    np.testing.assert_allclose(numbers(found["hair.png"].label), [[0, 0.5, 0.5, 1, 1]])
    assert found["polygon.png"].label == "0 0 0.1 0.5 0.1 0.5 1"
    assert found["far.png"].label == labels["images/train/far.png"]
    assert wanted.notes[CUT] == 2
    assert found["class.png"].problem.endswith("line 2: class 7 is out of range (0 to 0)")
    assert "line 1: could not convert string to float: 'half'" in found["word.png"].problem


@pytest.mark.parametrize(
    "data, words",
    [
        ({"names": ["a"]}, "it has no `train`"),
        ({"train": "images"}, "it has no `names`"),
        ({"train": "imges", "names": ["a"]}, "there is no .*imges"),
        ({"train": "images", "names": {0: "a", 2: "b"}}, "are not the numbers 0, 1, 2"),
    ],
)
def test_a_broken_data_yaml_is_named_with_what_is_wrong(tmp_path, data, words):
    settings = yolo(tmp_path, data, {"images/a.png": LINE})
    with pytest.raises(UserError, match=words) as error:
        read(settings, "detection")
    assert "data.yaml" in str(error.value)


def voc(path: Path, file: str, boxes: list, size=(64, 48), more: str = "") -> None:
    """Write an XML file with boxes of name, xmin, ymin, xmax, ymax."""
    objects = "".join(
        f"<object><name>{name}</name><difficult>1</difficult><bndbox><xmin>{left}</xmin>"
        f"<ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, left, top, right, bottom in boxes
    )
    sides = size and (
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    )
    write_text(
        path,
        f"<annotation><filename>{file}</filename>{sides or ''}{objects}{more}</annotation>",
    )


@pytest.fixture
def devkit(tmp_path) -> Path:
    """A VOC folder: two pictures in train, one in val, one in no list, one without XML file."""
    for number, name in enumerate((*NAMES, "none.png")):
        path = picture(tmp_path / "JPEGImages" / name)
        if name != "none.png":
            boxes = [("cat", 1, 1, 64, 48), ("dog", 10 + number, 5, 40, 30)]
            voc(tmp_path / f"Annotations/{path.stem}.xml", name, boxes)
    sets = tmp_path / "ImageSets/Main"
    write_text(sets / "train.txt", f"{Path(NAMES[0]).stem}\n{Path(NAMES[1]).stem}\n")
    write_text(sets / "val.txt", f"{Path(NAMES[2]).stem}  1\nnone\n")
    write_text(sets / "cat_train.txt", "no list of a split")
    return tmp_path


def test_voc_boxes_are_those_that_supervision_reads(devkit):
    settings = source("voc", str(devkit))
    said = describe(settings, "detection")
    assert said.names == ("cat", "dog") and said.splits == ("train", "val")
    found, refused, _ = read(settings, "detection")
    assert [found[name].split for name in NAMES] == ["train", "train", "val", ""]
    assert found["none.png"].label is None and "no file none.xml" in found["none.png"].problem
    assert not refused
    (devkit / "JPEGImages/none.png").unlink()
    theirs = supervision.DetectionDataset.from_pascal_voc(
        str(devkit / "JPEGImages"), str(devkit / "Annotations")
    )
    for path, _, detections in theirs:
        ours = corners(found[Path(path).name].label, 64, 48)
        np.testing.assert_allclose(ours, detections.xyxy, atol=1e-3)
    whole = corners(found[NAMES[0]].label, 64, 48)[0]
    np.testing.assert_allclose(whole, [0, 0, 64, 48], atol=1e-4)


def test_files_that_count_from_0_are_noted_and_read_by_a_setting(tmp_path):
    picture(tmp_path / "train/a.jpg")
    voc(tmp_path / "train/a.xml", "other name.jpg", [("cat", 0, 0, 32, 24)])
    found, _, wanted = read(source("voc", str(tmp_path)), "detection")
    assert wanted.notes[FROM_ZERO] == 1 and found["a.jpg"].split == "train"
    found, _, wanted = read(source("voc", str(tmp_path), first_pixel=0), "detection")
    np.testing.assert_allclose(corners(found["a.jpg"].label, 64, 48)[0], [0, 0, 32, 24], atol=1e-4)
    assert not +wanted.notes


def test_broken_xml_files_and_pictures_without_one_are_refused_with_a_reason(devkit):
    annotations = devkit / "Annotations"
    write_text(annotations / f"{Path(NAMES[0]).stem}.xml", "<annotation><object>")
    broken = [("cat", 1, 1, "wide", 9)]
    voc(annotations / f"{Path(NAMES[1]).stem}.xml", NAMES[1], broken)
    voc(annotations / "gone.xml", "gone.png", [])
    picture(devkit / "JPEGImages/more.png")
    found, refused, _ = read(source("voc", str(devkit)), "detection")
    assert "not valid XML" in found[NAMES[0]].problem
    assert found[NAMES[1]].problem == "an object 'cat' has no bndbox of four numbers"
    reasons = {Path(one.file).name: one.reason for one in refused}
    assert reasons["gone.xml"] == "its picture is not there"
    assert reasons["more.png"] == "unlabeled: no .xml file has its name"


def test_a_size_of_0_is_measured_and_voc_holds_no_masks(tmp_path):
    picture(tmp_path / "a.jpg", (100, 50))
    voc(tmp_path / "a.xml", "a.jpg", [("cat", 1, 1, 50, 50)], size=(0, 0))
    found, _, _ = read(source("voc", str(tmp_path)), "detection")
    assert numbers(found["a.jpg"].label)[0, 1:].tolist() == [0.25, 0.5, 0.5, 1]
    with pytest.raises(UserError, match="nothing for segmentation"):
        read(source("voc", str(tmp_path)), "segmentation")


def test_a_split_without_any_label_file_is_an_error_and_labels_of_no_picture_are_refused(tmp_path):
    for split in ("train", "val"):
        for number in range(2):
            picture(tmp_path / split / "images" / f"{number}.png")
            label = tmp_path / split / "labels" / f"{number}.txt"
            label.parent.mkdir(exist_ok=True)
            label.write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "data.yaml").write_text("train: train/images\nval: val/images\nnames: [cat]\n")
    settings = source("yolo", str(tmp_path / "data.yaml"))
    (tmp_path / "train/images/1.png").unlink()
    (tmp_path / "train/labels/classes.txt").write_text("cat\n")
    _, refused, _ = read(settings, "detection")
    assert [one.file for one in refused] == [str(tmp_path / "train/labels/1.txt")]
    (tmp_path / "val/labels").rename(tmp_path / "val/annotations")
    with pytest.raises(UserError, match="none of the 2 pictures of val .*/val/labels/0.txt"):
        read(settings, "detection")
    (tmp_path / "val/labels").mkdir()
    (tmp_path / "val/labels/0.txt").write_text("")
    pictures, _, _ = read(settings, "detection")
    assert pictures["1.png"].label == ""


def test_lists_of_one_folder_leave_no_label_over_and_a_missing_picture_changes_no_name(tmp_path):
    for name in "ab":
        picture(tmp_path / "images" / f"{name}.png")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "train.txt").write_text("images/a.png\n/elsewhere/images/c.png\n")
    (tmp_path / "val.txt").write_text("images/b.png\n")
    (tmp_path / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [cat]\n")
    pictures, refused, _ = read(source("yolo", str(tmp_path)), "detection")
    assert set(pictures) == {"a.png", "b.png", "c.png"} and not refused


def test_pictures_of_one_name_in_two_folders_have_the_xml_files_of_theirs(tmp_path):
    for folder, name in (("x", "cat"), ("y", "dog")):
        picture(tmp_path / "JPEGImages" / folder / "a.jpg")
        path = tmp_path / "Annotations" / folder / "a.xml"
        path.parent.mkdir(parents=True)
        path.write_text(
            f"<annotation><filename>a.jpg</filename><object><name>{name}</name><bndbox><xmin>1</xmin>"
            "<ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
        )
    settings = source("voc", str(tmp_path))
    pictures, refused, _ = read(settings, "detection")
    assert {name: one.label[0] for name, one in pictures.items()} == {
        "x/a.jpg": "0",
        "y/a.jpg": "1",
    }
    assert not refused
    (tmp_path / "Annotations/x/a.xml").rename(tmp_path / "Annotations/a.xml")
    pictures, refused, _ = read(settings, "detection")
    assert set(pictures) == {"y/a.jpg"}
    assert any("give them different names" in one.reason and one.unusable for one in refused)
    assert any(one.file.endswith("JPEGImages/x/a.jpg") for one in refused)
