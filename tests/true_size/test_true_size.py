"""A photograph goes through the whole workflow with Stable Diffusion 1.5 at its true size.

The configuration is config/examples/sd15_detection.yaml; what is changed is in `true_size_config`.
Weights are random, so images are noise, and scores say nothing: what is tested is that every stage
takes what is as large as the real thing. `make test-true-size` runs this (16 GB of memory, 4 GB of
disk); SMALL=1 takes models in miniature.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from project import ROOT, Project

sys.path.insert(0, str(ROOT / "tools"))
from random_model import save_random_model  # noqa: E402

from cia.images import load_image  # noqa: E402
from cia.tables import read_table  # noqa: E402

SMALL = bool(os.environ.get("SMALL"))
STEPS = 2
CORES = str(os.cpu_count())
PERSON = (30, 0, 440, 512)
"""Left, top, right and bottom of the person in the photograph, 512x512."""

CROPS = {
    "train": [(0, 0, 512), (20, 0, 480), (0, 30, 450)],
    "val": [(10, 10, 500)],
    "test": [(30, 0, 470)],
}
"""Left, top and side of squares in the photograph."""

SET = "mydata/sd15_canny"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("true") / "project")
    save_photographs(project.folder / "data/real/mydata")
    project.config = true_size_config(save_models(tmp_path_factory.mktemp("models")))
    return project


def save_photographs(folder: Path) -> None:
    """Save crops of scikit-image's photograph of an astronaut, with the person's box."""
    from skimage import data

    photograph = Image.fromarray(data.astronaut())
    for split, crops in CROPS.items():
        (folder / split / "images").mkdir(parents=True)
        (folder / split / "labels").mkdir()
        for left, top, side in crops:
            name = f"astronaut_{left}_{top}"
            crop = photograph.crop((left, top, left + side, top + side))
            crop.save(folder / split / "images" / f"{name}.png")
            corners = np.subtract(PERSON, (left, top, left, top)) / side
            x0, y0, x1, y1 = corners.clip(0, 1)
            box = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
            label = f"person {' '.join(f'{value:.4f}' for value in box)}\n"
            (folder / split / "labels" / f"{name}.txt").write_text(label)


def save_models(folder: Path) -> dict[str, str]:
    """Save what the example fetches from the network, with random weights; return the paths."""
    import torch
    from bench import inception_file
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = ViTConfig(**(small if SMALL else {}))  # by default google/vit-base-patch16-224's
    ViTModel(config).save_pretrained(folder / "vit")
    ViTImageProcessor(image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder / "vit")
    return {
        "sd15": str(save_random_model("sd15", folder / "sd15", small=SMALL)),
        "vit": str(folder / "vit"),
        "inception": str(inception_file(folder)),
    }


def true_size_config(models: dict[str, str]) -> dict:
    """Return the example with fewer steps, the names of random models, and short trainings."""
    config = yaml.safe_load((ROOT / "config/examples/sd15_detection.yaml").read_text())
    config["generators"]["sd15_canny"].update(
        steps=STEPS,
        model=models["sd15"],
        controlnet=models["sd15"],
        controlnet_subfolder="controlnet",
    )
    for name, entry in config["features"].items():
        entry["weights"] = models[name]
    for trainer in config["trainers"].values():
        trainer["steps"] = 2
    return config


def test_a_photograph_becomes_features_scores_and_a_gallery(project):
    threads = f"generate={CORES}"
    goals = "metrics_all", "results/report/gallery.html"
    project.snakemake("--cores", CORES, *goals, "--set-threads", threads)
    results = project.folder / "results"
    manifest = read_table(results / "generated" / SET / "manifest.csv", "manifest")
    variants = project.config["generators"]["sd15_canny"]["variants"]
    assert len(manifest) == variants * len(CROPS["train"])
    for path in manifest["image"]:
        pixels = load_image(project.folder / path)
        assert pixels.shape == (512, 512, 3) and pixels.std() > 5, path
    for name, size in {"inception": 2048, "vit": 32 if SMALL else 768}.items():
        features = np.load(results / "generated" / SET / "features" / f"{name}.npy")
        assert features.shape == (len(manifest), size) and np.isfinite(features).all()
        scores = read_table(results / SET / "scores" / f"{name}.csv")
        assert scores["id"].tolist() == manifest["id"].tolist()
        assert scores.select_dtypes("number").notna().all(axis=None)
    gallery = (results / "report" / "gallery.html").read_text()
    assert all(id_ in gallery for id_ in manifest["id"])


def test_and_trains_detectors(project):
    project.snakemake("--cores", CORES)
    summary = (project.folder / "results" / "report" / "summary.md").read_text()
    assert all(mix in summary for mix in project.config["mixes"])
