"""Masks and keypoints, from folders of pictures and labels to test metrics and scores."""

import pytest
import yaml

from cia.labels.masks import rasterize
from cia.labels.objects import parse_objects
from cia.labels.reading import name_objects
from cia.tables import read_table
from project import Project

TASKS = {
    "segmentation": ("mask", {}),
    "pose": ("oks", {"kpt_shape": [3, 3], "flip_idx": [0, 1, 2], "skeleton": [[0, 1], [1, 2]]}),
}
"""Task, the word before its main metrics' names, and what the dataset says of its labels."""

MODELS = {"segmentation": "yolov8n-seg.yaml", "pose": "yolov8n-pose.yaml"}
GENERATOR = "tiny_recombined"


def configure(project) -> None:
    """One dataset, judge and trainer for each task, each with the task's name."""
    config = project.config
    config["shards"] = 1
    scenes, trainer = config["datasets"]["digits_scenes"], config["trainers"]["yolov8n"]
    config["datasets"] = {task: {**scenes, "task": task, **TASKS[task][1]} for task in TASKS}
    config["trainers"] = {task: {**trainer, "model": MODELS[task]} for task in TASKS}
    detector = config["judges"]["detector"]
    config["judges"] = {task: {**detector, "trainer": task} for task in TASKS}
    config["experiments"] = [
        {
            "dataset": task,
            "generators": [GENERATOR],
            "features": ["tiny"],
            "judges": [task],
            "selections": ["all"],
            "mixes": ["plus_synthetic"],
            "trainers": [task],
        }
        for task in TASKS
    ]


@pytest.fixture(scope="module")
def finished_tasks(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("tasks") / "project")
    configure(project)
    project.run()
    return project


@pytest.fixture(params=TASKS)
def done(request, finished_tasks) -> tuple[str, Project]:
    return request.param, finished_tasks


def arm(task: str) -> str:
    return f"results/{task}/{GENERATOR}/models/all/plus_synthetic/{task}/seed0"


def mix_of(task: str) -> str:
    return f"data/mixed/{task}/{GENERATOR}/all/plus_synthetic"


def labels(project, source: str) -> dict[str, str]:
    table = read_table(project.folder / f"results/{source}/labels.csv", "labels")
    return dict(zip(table["id"], table["label"], strict=True))


def test_models_are_tested_by_masks_or_keypoints_first_and_by_boxes_too(done):
    task, project = done
    word = TASKS[task][0]
    metrics = yaml.safe_load((project.folder / arm(task) / "metrics.yaml").read_text())
    assert metrics["task"] == task
    expected = [
        f"{part}_{name}"
        for part in (word, "box")
        for name in ("mAP50", "mAP50-95", "precision", "recall")
    ]
    assert list(metrics["test"]) == list(metrics["val"]) == expected
    assert all(0 <= value <= 1 for value in metrics["test"].values())
    for name, of_class in metrics["per_class"].items():
        assert name in project.config["datasets"][task]["classes"]
        assert set(of_class) == {
            f"{part}_{end}" for part in (word, "box") for end in ("AP50", "AP50-95")
        }
    found = read_table(project.folder / arm(task) / "test.csv")
    assert list(found) == ["image", "class", "confidence", "correct", "correct_box"]


def test_synthetic_images_are_read_by_masks_or_keypoints(done):
    task, project = done
    scores = read_table(project.folder / f"results/{task}/{GENERATOR}/scores/tiny.csv")
    assert {"label_recall", "label_iou", "extra_objects"} < set(scores)
    assert scores["label_recall"].between(0, 1).all() and len(scores) == 16


def test_the_training_set_holds_the_labels_as_they_are(done):
    task, project = done
    mix = read_table(project.folder / mix_of(task) / "dataset.csv", "mixed")
    given = {
        "real": labels(project, f"real/{task}/train"),
        "synthetic": labels(project, f"generated/{task}/{GENERATOR}"),
    }
    train = mix[mix["split"] == "train"]
    assert set(train["origin"]) == {"real", "synthetic"}
    for row in train.itertuples():
        text = (project.folder / mix_of(task) / row.label).read_text().removesuffix("\n")
        assert text == given[row.origin][row.id]
    data = yaml.safe_load((project.folder / mix_of(task) / "data.yaml").read_text())
    keys = {"train", "val", "test", "names", "task"}
    assert set(data) == keys | ({"kpt_shape", "flip_idx"} if task == "pose" else set())


def test_prompts_name_what_the_new_layouts_hold_from_left_to_right(done):
    task, project = done
    classes = project.config["datasets"][task]["classes"]
    plan = read_table(project.folder / f"results/{task}/{GENERATOR}/plan.csv", "plan")
    table = read_table(project.folder / f"data/varied/{task}/{GENERATOR}/labels.csv", "labels")
    shown = name_objects(table, classes, task)
    for row in plan.itertuples():
        words = row.prompt.replace(",", "").split()
        assert [word for word in words if word in classes] == shown[row.id]


def test_masks_and_keypoints_lie_in_their_pictures_and_masks_are_strokes(done):
    task, project = done
    shape = TASKS[task][1].get("kpt_shape")
    for label in labels(project, f"generated/{task}/{GENERATOR}").values():
        objects = parse_objects(label, task, shape)
        assert objects
        for found in objects:
            left, top, right, bottom = found.box
            if task == "pose":
                points = found.keypoints[found.keypoints[:, 2] > 0, :2]
                assert len(points) and (points >= 0).all() and (points <= 1).all()
            else:
                pixels = rasterize(found.polygon, 64, 64).sum()
                assert 0 < pixels < 0.8 * 64 * 64 * (right - left) * (bottom - top)


def test_a_changed_flip_idx_makes_the_training_sets_anew_and_another_skeleton_does_not(done):
    task, project = done
    if task != "pose":
        pytest.skip("keypoints alone have them")
    dataset = project.config["datasets"][task]
    before = dict(dataset)
    dataset["flip_idx"] = [2, 1, 0]
    assert {"mix", "train", "test"} <= set(project.planned())
    dataset.update(before, skeleton=[[0, 2]])
    assert not {"mix", "train", "test", "plan", "generate"} & set(project.planned())
    dataset.update(before)


def test_nothing_runs_again_when_nothing_changed(finished_tasks):
    assert finished_tasks.planned() == {}
