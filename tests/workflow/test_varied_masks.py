"""Masks and keypoints move with condition maps and copies, and are drawn where they lie."""

import numpy as np
import pytest
import yaml

from cia.images import load_image
from cia.labels.masks import rasterize
from cia.labels.objects import parse_objects
from cia.reporting.overlays import COLORS
from cia.tables import read_table
from project import Project, small_config

KPT_SHAPE = [3, 3]
GENERATORS = ["tiny_warped", "tiny_recombined"]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("shapes") / "project")
    project.config["shards"] = 1
    scenes = small_config()["datasets"]["digits_scenes"]
    project.config["datasets"] = {
        "segmentation": {**scenes, "task": "segmentation"},
        "pose": {**scenes, "task": "pose", "kpt_shape": KPT_SHAPE, "skeleton": [[0, 1], [1, 2]]},
    }
    models = {"segmentation": "yolov8n-seg.yaml", "pose": "yolov8n-pose.yaml"}
    trainer = project.config["trainers"]["yolov8n"]
    project.config["trainers"] = {
        task: {**trainer, "model": model} for task, model in models.items()
    }
    project.config["judges"] = {}
    augmentation = {"rotation": 20, "flip": 0.0}
    project.config["mixes"]["augmented"] = {
        "synthetic": 1.0,
        "classical": {"ratio": 1.0, "augmentation": augmentation},
    }
    for generator in project.config["generators"].values():
        generator["variants"] = 1
    project.config["experiments"] = [
        {
            "dataset": task,
            "generators": GENERATORS,
            "features": ["tiny"],
            "selections": ["all"],
            "mixes": ["augmented"],
            "trainers": [task],
        }
        for task in ("segmentation", "pose")
    ]
    sheets = [
        f"results/report/sheets/{task}/tiny_warped/all.png" for task in ("segmentation", "pose")
    ]
    project.run("mix_all", "results/report/gallery.html", *sheets)
    return project


def labels(project, task, generator):
    path = f"results/generated/{task}/{generator}/labels.csv"
    table = read_table(project.folder / path, "labels")
    return {row.id: parse_objects(row.label, task, KPT_SHAPE) for row in table.itertuples()}


def maps(project, task, generator):
    """Where each image's condition map is drawn."""
    path = f"results/{task}/{generator}/plan.csv"
    plan = read_table(project.folder / path, "plan")
    return {
        row.id: load_image(project.folder / row.condition).any(axis=2) for row in plan.itertuples()
    }


def near(drawn, pixels):
    """Whether each pixel is within so many of what is drawn."""
    from scipy.ndimage import binary_dilation

    return binary_dilation(drawn, iterations=pixels)


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_mask_s_outline_is_where_the_map_has_its_line(made, generator):
    from scipy.ndimage import binary_erosion

    drawn, shares = maps(made, "segmentation", generator), []
    for id_, objects in labels(made, "segmentation", generator).items():
        for one in objects:
            mask = rasterize(one.polygon, 64, 64)
            outline = mask & ~binary_erosion(mask, border_value=1)
            shares.append(near(drawn[id_], 2)[outline].mean())
    assert len(shares) >= 8 and np.mean(shares) > 0.9


@pytest.mark.parametrize("generator", GENERATORS)
def test_keypoints_lie_within_the_lines_of_their_digit(made, generator):
    drawn, found = maps(made, "pose", generator), []
    for id_, objects in labels(made, "pose", generator).items():
        for one in objects:
            points = one.keypoints[one.keypoints[:, 2] > 0]
            columns, rows = (points[:, :2] * 64).astype(int).clip(0, 63).T
            found += near(drawn[id_], 5)[rows, columns].tolist()
    assert len(found) >= 24 and np.mean(found) > 0.95


def test_training_sets_hold_real_varied_and_augmented_labels_of_their_task(made):
    for task in ("segmentation", "pose"):
        folder = made.folder / f"data/mixed/{task}/tiny_warped/all/augmented"
        assert yaml.safe_load((folder / "data.yaml").read_text())["task"] == task
        for origin in ("real", "synthetic", "classical"):
            files = list((folder / "labels/train" / origin).iterdir())
            assert len(files) == 8
            for file in files:
                for one in parse_objects(file.read_text(), task, KPT_SHAPE):
                    assert (one.polygon is None) == (task == "pose")
                    assert min(one.box) >= -1e-6 and max(one.box) <= 1 + 1e-6


def test_sheets_and_the_gallery_draw_them(made):
    from PIL import ImageColor

    for task in ("segmentation", "pose"):
        sheet = load_image(made.folder / f"results/report/sheets/{task}/tiny_warped/all.png")
        colors = {ImageColor.getrgb(color) for color in COLORS}
        shown = {tuple(color) for color in np.unique(sheet.reshape(-1, 3), axis=0).tolist()}
        assert len(colors & shown) > 3
    page = (made.folder / "results/report/gallery.html").read_text(encoding="utf-8")
    assert '"kpt_shape":[3,3],"skeleton":[[0,1],[1,2]]' in page
    assert '"kpt_shape":null' in page


def test_a_new_flip_idx_moves_keypoints_anew_and_nothing_of_the_masks(made):
    made.config["datasets"]["pose"]["flip_idx"] = [0, 1, 2]
    try:
        planned = made.planned("mix_all", "--rerun-triggers", "params", "mtime", "input")
    finally:
        del made.config["datasets"]["pose"]["flip_idx"]
    assert planned["vary"] == 2 and planned["mix"] == 2
    assert "prepare_digits" not in planned and "label" not in planned
