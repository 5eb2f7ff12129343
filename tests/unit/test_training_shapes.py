"""Models of masks and keypoints: real short runs, and what they are given is what they read."""

import contextlib
import io
import logging

import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cia.errors import UserError
from cia.evidence.resampling import draw_images, mean_average_precision, read_predictions
from cia.evidence.results import read_truth
from cia.files import read_yaml
from cia.images import save_png
from cia.labels.masks import join_rings, mask_to_rle, rasterize
from cia.labels.objects import Object, box_around, object_line, parse_objects
from cia.mixing.mixes import write_mix
from cia.quiet_ultralytics import import_ultralytics
from cia.tables import write_table
from cia.training import trainings, yolo
from cia.training.trainings import Reading, Training

SETTINGS = {
    "kind": "yolo",
    "epochs": 1,
    "steps": 2,
    "batch": 8,
    "image_size": 64,
    "patience": 0,
    "options": {"mosaic": 0.0, "optimizer": "AdamW", "lr0": 0.003, "warmup_epochs": 1},
}
MODELS = {"segmentation": "yolov8n-seg.yaml", "pose": "yolov8n-pose.yaml"}
POSE = {"kpt_shape": [3, 3], "flip_idx": [1, 0, 2]}
SPLITS = ("train", "val", "test")
SIDE = 64


def shape_of(kind: int, x: int, y: int, side: int) -> Object:
    """A square with a hole in it (class 0), or a triangle (class 1), in shares of 64 pixels.

    The keypoints are the two upper corners of the box and the middle of its lower side.
    """
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=float)
    rings = [square * side, square * side * 0.4 + side * 0.3]
    if kind:
        rings = [np.array([(0, 0), (1, 0), (0.5, 1)]) * side]
    ring = (join_rings(rings) + (x, y)) / SIDE
    points = np.array([(0, 0, 2), (side, 0, 1), (side / 2, side, 2)]) + (x, y, 0)
    return Object(str(kind), box_around(ring), ring, points / (SIDE, SIDE, 1))


def make_mix(folder, task: str, count: int = 16, keypoints: dict = POSE):
    """Write a mix of two shapes on noise in each picture, dark and bright, in its two halves."""
    rng = np.random.default_rng(0)
    rows = []
    for split in SPLITS:
        for number in range(count):
            pixels = rng.integers(90, 140, (SIDE, SIDE, 3), dtype=np.uint8)
            shapes = []
            for half in (0, 32):
                side = int(rng.integers(18, 28))
                x, y = half + rng.integers(0, 32 - side), rng.integers(0, 64 - side)
                shapes.append(shape_of(int(rng.integers(0, 2)), x, y, side))
                pixels[rasterize(shapes[-1].polygon, SIDE, SIDE)] = 10 if half else 245
            path = folder / "source" / split / f"{number}.png"
            save_png(path, pixels)
            label = "\n".join(object_line(shape, task) for shape in shapes)
            rows.append({"id": str(number), "image": str(path), "label": label, "split": split})
    entries = pd.DataFrame(rows).assign(origin="real")
    write_mix(
        folder / "mix", entries, task, ["square", "triangle"], keypoints if task == "pose" else None
    )
    return folder / "mix", entries


def training(folder, task: str, mix, **settings) -> Training:
    output = folder / "output"
    output.mkdir(exist_ok=True)
    settings = {**SETTINGS, "model": MODELS[task], **settings}
    return Training(mix, output / ".training", output, ["square", "triangle"], settings, 0, 1)


@pytest.fixture(scope="module", params=MODELS)
def learned(request, tmp_path_factory):
    """A model that has learned a little, its training and its training set's entries."""
    folder = tmp_path_factory.mktemp(request.param)
    mix, entries = make_mix(folder, request.param, count=12)
    job = training(folder, request.param, mix, steps=100)
    trainings.train(job)
    trainings.test(job)
    return job, entries


def test_it_learns_and_says_so_by_masks_or_keypoints(learned):
    job, _ = learned
    word = {"segmentation": "mask", "pose": "oks"}[job.task]
    metrics = read_yaml(job.output / "metrics.yaml")
    assert metrics["task"] == job.task and metrics["steps"] == 100
    assert metrics["test"][f"{word}_mAP50"] > 0.1
    curves = pd.read_csv(job.output / "curves.csv")
    assert {f"val_{word}_mAP50-95", "val_box_mAP50-95"} < set(curves)
    assert set(metrics["per_class"]) == {"square", "triangle"}


def test_what_was_found_gives_the_main_metric_and_so_can_be_drawn_again(learned, tmp_path):
    """The bootstrap of studies counts on it."""
    job, entries = learned
    test = entries[entries["split"] == "test"]
    write_table(tmp_path / "labels.csv", test[["id", "label"]], "labels")
    images, truth = read_truth(job.mix / "dataset.csv", tmp_path / "labels.csv")
    found = read_predictions(job.output / "test.csv")
    again = mean_average_precision(found, truth, images, draw_images(len(images), 3))
    word = {"segmentation": "mask", "pose": "oks"}[job.task]
    metrics = read_yaml(job.output / "metrics.yaml")["test"]
    assert again["mAP50-95"].value == pytest.approx(metrics[f"{word}_mAP50-95"], abs=1e-6)
    boxes = found.assign(correct=found["correct_box"])
    again = mean_average_precision(boxes, truth, images, draw_images(len(images), 3))
    assert again["mAP50-95"].value == pytest.approx(metrics["box_mAP50-95"], abs=1e-6)


def test_a_trained_model_finds_masks_or_keypoints_in_pictures(learned):
    job, entries = learned
    test = entries[entries["split"] == "test"]
    reading = Reading(test["image"].tolist(), job.classes, 1, 1, confidence=0.25)
    found = yolo.predict(job.output / "best.pt", job.settings, reading)
    assert len(found) == len(test) and any(found)
    for objects in found:
        for one in objects:
            assert one.index in "01" and one.box[0] < one.box[2]
            if job.task == "segmentation":
                assert rasterize(one.polygon, SIDE, SIDE).any() and one.keypoints is None
            else:
                assert one.keypoints.shape == (3, 2) and one.polygon is None


def evaluated(job: Training, entries: pd.DataFrame, kind: str, most: int) -> tuple[dict, float]:
    """Test the weights, and let pycocotools evaluate the very same predictions.

    Returns ultralytics' metrics, and COCO's average precision of masks as they are, of boxes, or
    of keypoints, at no more than so many detections per picture.
    """
    ultralytics = import_ultralytics()
    kept = []

    def keep(validator):
        if not hasattr(validator, "kept"):
            validator.kept = validator.update_metrics

            def update(preds, batch):
                for place, found in enumerate(preds):
                    around = validator._prepare_batch(place, batch)  # a border, for one
                    kept.append((batch["im_file"][place], validator.scale_preds(found, around)))
                validator.kept(preds, batch)

            validator.update_metrics = update

    model = ultralytics.YOLO(job.output / "best.pt")
    model.add_callback("on_val_batch_start", keep)
    result = yolo._validate(model, job, "test", job.output / "again")
    truth, found = [], []
    rows = entries[entries["split"] == "test"]
    numbers = {name: number for number, name in enumerate(rows["id"], start=1)}
    for row in rows.itertuples():
        for one in parse_objects(row.label, job.task, POSE["kpt_shape"]):
            left, top, right, bottom = np.array(one.box) * SIDE
            entry = {"id": len(truth) + 1, "image_id": numbers[row.id], "iscrowd": 0}
            entry |= {
                "category_id": int(one.index) + 1,
                "bbox": [left, top, right - left, bottom - top],
            }
            entry["area"] = (right - left) * (bottom - top) * 0.53
            if one.polygon is not None:
                entry["segmentation"] = mask_to_rle(rasterize(one.polygon, SIDE, SIDE))
                entry["area"] = float(coco_masks.area(entry["segmentation"]))
            if one.keypoints is not None:
                entry["keypoints"] = (one.keypoints * (SIDE, SIDE, 1)).ravel().tolist()
                entry["num_keypoints"] = 3
            truth.append(entry)
    for file, preds in kept:
        for place in range(len(preds["cls"])):
            left, top, right, bottom = preds["bboxes"][place].tolist()
            entry = {"image_id": numbers[file.rpartition("/")[2].removesuffix(".png")]}
            entry |= {
                "category_id": int(preds["cls"][place]) + 1,
                "score": float(preds["conf"][place]),
            }
            entry["bbox"] = [left, top, right - left, bottom - top]
            if "masks" in preds:
                entry["segmentation"] = mask_to_rle(preds["masks"][place].numpy() > 0)
            if "keypoints" in preds:
                entry["keypoints"] = preds["keypoints"][place].flatten().tolist()
            found.append(entry)
    with contextlib.redirect_stdout(io.StringIO()):
        base = COCO()
        base.dataset = {
            "images": [
                {"id": number, "width": SIDE, "height": SIDE} for number in numbers.values()
            ],
            "categories": [{"id": 1, "name": "square"}, {"id": 2, "name": "triangle"}],
            "annotations": truth,
        }
        base.createIndex()
        evaluation = COCOeval(base, base.loadRes(found), kind)
        evaluation.params.maxDets = [1, 10, most]
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        if kind == "keypoints":
            evaluation.params.kpt_oks_sigmas = np.full(3, 1 / 3)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]
    return result, float(precision[precision > -1].mean())


def test_test_numbers_are_near_pycocotools_own(learned):
    """They part by how true masks are drawn, who is matched first, and how curves are read off."""
    job, entries = learned
    kind, metric = {"segmentation": ("segm", "seg"), "pose": ("keypoints", "pose")}[job.task]
    result, theirs = evaluated(job, entries, kind, 300)
    ours = float(getattr(result, metric).map)
    print(f"{job.task}: ultralytics {ours:.4f}, pycocotools {theirs:.4f}")
    assert ours == pytest.approx(theirs, abs=0.05)
    result, theirs = evaluated(job, entries, "bbox", 300)
    print(f"{job.task}, boxes: ultralytics {result.box.map:.4f}, pycocotools {theirs:.4f}")
    assert float(result.box.map) == pytest.approx(theirs, abs=0.03)


def dataset_of(mix, task: str):
    import_ultralytics()
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset

    from cia.training.yolo_trainer import refuse_caches

    refuse_caches()
    data = check_det_dataset(str(mix / "data.yaml"))
    name = {"segmentation": "segment", "pose": "pose"}[task]
    options = get_cfg(overrides={"imgsz": SIDE, "task": name, "mask_ratio": 1})
    return build_yolo_dataset(options, data["train"], 4, data, mode="val")


@pytest.mark.parametrize("task", MODELS)
def test_what_ultralytics_reads_is_what_it_was_given(tmp_path, task):
    mix, entries = make_mix(tmp_path, task, count=4)
    dataset = dataset_of(mix, task)
    train = entries[entries["split"] == "train"]
    for label, row in zip(dataset.labels, train.itertuples(), strict=True):
        given = parse_objects(row.label, task, POSE["kpt_shape"])
        assert [str(int(index)) for index in label["cls"][:, 0]] == [one.index for one in given]
        for place, one in enumerate(given):
            if task == "pose":
                np.testing.assert_allclose(label["keypoints"][place], one.keypoints, atol=1e-6)
            else:
                np.testing.assert_allclose(label["segments"][place], one.polygon, atol=1e-6)
    if task == "segmentation":
        batch = dataset[0]
        ids = batch["masks"][0].numpy()
        drawn = [
            rasterize(one.polygon, SIDE, SIDE) for one in parse_objects(train["label"][0], task)
        ]
        for mask in drawn:  # in the order of their areas
            overlap = max((mask & (ids == n)).sum() / (mask | (ids == n)).sum() for n in (1, 2))
            assert overlap > 0.7  # it draws outlines, too


def test_keypoints_without_visibility_that_are_not_labeled_are_so_for_ultralytics(tmp_path):
    save_png(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8))
    label = "0 0.5 0.5 0.4 0.4 0.4 0.4 0 0 0.6 0.5"
    rows = [
        {"id": "a", "image": str(tmp_path / "a.png"), "label": label, "split": s} for s in SPLITS
    ]
    entries = pd.DataFrame(rows).assign(origin="real")
    write_mix(tmp_path / "mix", entries, "pose", ["square"], {"kpt_shape": [3, 2]})
    (read,) = dataset_of(tmp_path / "mix", "pose").labels[0]["keypoints"]
    np.testing.assert_array_equal(read[:, 2], [1, 0, 1])
    np.testing.assert_allclose(read[[0, 2], :2], [(0.4, 0.4), (0.6, 0.5)], atol=1e-6)


@pytest.mark.parametrize("task", MODELS)
def test_an_object_that_ultralytics_would_drop_is_an_error(tmp_path, task):
    """It takes lines that differ in their eighth digit for one."""
    mix, _ = make_mix(tmp_path, task, count=2)
    path = mix / "labels/train/real/0.txt"
    line = path.read_text().splitlines()[0]
    index, first, *rest = line.split()
    path.write_text("\n".join([line, " ".join([index, f"{first}00000001", *rest])]))
    with pytest.raises(UserError, match=r"0\.txt: ultralytics reads 1 of 2 objects"):
        dataset_of(mix, task)


def test_a_box_among_polygons_is_an_error_and_not_a_picture_less(tmp_path):
    mix, _ = make_mix(tmp_path, "segmentation", count=2)
    path = mix / "labels/train/real/0.txt"
    path.write_text(path.read_text() + "0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(UserError, match="mix segment and detection rows"):
        dataset_of(mix, "segmentation")


def test_without_flip_idx_nothing_is_mirrored_and_a_warning_says_so(tmp_path, caplog):
    mix, _ = make_mix(tmp_path, "pose", count=2, keypoints={"kpt_shape": [3, 3]})
    job = training(tmp_path, "pose", mix)
    with caplog.at_level(logging.WARNING, logger="cia"):
        arguments = yolo._arguments(job, job.schedule(), tmp_path / "run")
    assert arguments["fliplr"] == arguments["flipud"] == 0
    assert "no training picture is mirrored" in caplog.text
    mix, _ = make_mix(tmp_path / "with", "pose", count=2)
    job = training(tmp_path, "pose", mix)
    assert "fliplr" not in yolo._arguments(job, job.schedule(), tmp_path / "run")


def test_another_flip_idx_is_another_training(tmp_path):
    mix, _ = make_mix(tmp_path, "pose", count=2)
    job = training(tmp_path, "pose", mix)
    before = trainings._key(job)
    make_mix(tmp_path, "pose", count=2, keypoints={**POSE, "flip_idx": [0, 1, 2]})
    assert trainings._key(job) != before


@pytest.mark.parametrize("task, model", [("pose", "segmentation"), ("segmentation", "pose")])
def test_a_model_of_another_task_is_an_error(tmp_path, task, model):
    mix, _ = make_mix(tmp_path, task, count=2)
    job = training(tmp_path, task, mix, model=MODELS[model])
    with pytest.raises(UserError, match=f"is for {model}, but the dataset is for {task}"):
        trainings.train(job)


def test_weights_of_another_task_are_an_error_whatever_their_name(learned, tmp_path):
    job, _ = learned
    other = "pose" if job.task == "segmentation" else "segmentation"
    mix, _ = make_mix(tmp_path, other, count=2)
    wrong = training(tmp_path, other, mix, model=str(job.output / "best.pt"))
    with pytest.raises(UserError, match=f"is for {job.task}, but the dataset is for {other}"):
        trainings.train(wrong)


def test_training_starts_from_weights_of_the_task(learned, tmp_path):
    job, _ = learned
    again = training(tmp_path, job.task, job.mix, model=str(job.output / "best.pt"))
    trainings.train(again)
    assert read_yaml(again.output / "trained.yaml")["task"] == job.task
