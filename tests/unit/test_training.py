"""Training: real short runs, killed and resumed, tested on the real test split."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import pytest

from cia.errors import UserError
from cia.files import read_yaml
from cia.images import save_png
from cia.mixing import write_mix
from cia.tables import read_table
from cia.training import Training, train
from cia.training.classifier import evaluate
from conftest import ROOT

TIMM = {
    "kind": "timm",
    "model": "test_resnet",
    "epochs": 4,
    "steps": None,
    "batch": 8,
    "image_size": 32,
    "pretrained": False,
    "weights": None,
    "learning_rate": 0.01,
    "weight_decay": 0.01,
    "label_smoothing": 0.0,
    "flip": 0.5,
    "crop_scale": [0.8, 1.0],
    "color_jitter": 0.0,
}
YOLO = {
    "kind": "yolo",
    "model": "yolov8n.yaml",
    "epochs": 2,
    "steps": None,
    "batch": 8,
    "image_size": 64,
    "patience": 0,
    "options": {"mosaic": 0.0},
}


def make_mix(folder, task: str, count: int = 16):
    """Write a mix of dark (class 0) and bright (class 1) squares on noise."""
    rng = np.random.default_rng(0)
    rows = []
    for split in ("train", "val", "test"):
        for number in range(count):
            pixels = rng.integers(90, 140, (64, 64, 3), dtype=np.uint8)
            x, y = rng.integers(0, 40, 2)
            pixels[y : y + 24, x : x + 24] = 10 if number % 2 == 0 else 245
            path = folder / "source" / split / f"{number}.png"
            save_png(path, pixels)
            box = f"{number % 2} {(x + 12) / 64} {(y + 12) / 64} 0.375 0.375"
            label = box if task == "detection" else str(number % 2)
            rows.append({"id": str(number), "image": str(path), "label": label, "split": split})
    entries = pd.DataFrame(rows).assign(origin="real")
    write_mix(folder / "mix", entries, task, ["dark", "bright"])
    return folder / "mix"


def training(folder, settings: dict, mix=None, seed: int = 0) -> Training:
    output = folder / "output"
    output.mkdir(exist_ok=True)
    mix = mix or make_mix(folder, "classification" if settings["kind"] == "timm" else "detection")
    return Training(mix, output / ".training", output, ["dark", "bright"], settings, seed, 1)


def command(folder, settings: dict, mix) -> list[str]:
    """Return a command that runs a training in a process of its own."""
    code = f"""
        import sys
        sys.path[:0] = [{str(ROOT / "scripts")!r}, {str(ROOT / "tests")!r},
                        {str(ROOT / "tests" / "unit")!r}]
        from pathlib import Path
        from test_training import run, training
        run(training(Path({str(folder)!r}), {settings!r}, Path({str(mix)!r})))
    """
    return [sys.executable, "-c", textwrap.dedent(code)]


def run(job: Training) -> tuple[dict, pd.DataFrame]:
    train(job, job.output / "metrics.yaml", job.output / "curves.csv")
    return read_yaml(job.output / "metrics.yaml"), read_table(job.output / "curves.csv")


def test_a_classifier_learns_and_is_tested_on_the_test_split(tmp_path):
    job = training(tmp_path, {**TIMM, "model": "resnet10t", "epochs": 8})
    metrics, curves = run(job)
    assert metrics["test"]["accuracy"] == 1.0
    assert metrics["n"] == {"train_real": 16, "train_synthetic": 0, "val": 16, "test": 16}
    assert metrics["steps"] == 16 and len(curves) == 8
    assert curves["val_macro_f1"][metrics["best_epoch"] - 1] == curves["val_macro_f1"].max()
    assert np.array(metrics["confusion"]).sum() == 16
    assert set(metrics["per_class"]) == {"dark", "bright"}
    assert not job.work.exists()


def test_the_same_seed_trains_the_same_classifier_and_another_seed_another(tmp_path):
    mix = make_mix(tmp_path, "classification")
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        job = training(tmp_path / name, TIMM, mix, seed)
        run(job)
        weights.append((job.output / "best.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_steps_set_the_number_of_epochs(tmp_path):
    metrics, _ = run(training(tmp_path, {**TIMM, "epochs": 99, "steps": 6}))
    assert (metrics["epochs"], metrics["steps"]) == (3, 6)


def test_a_killed_classifier_goes_on_and_ends_the_same(tmp_path):
    mix = make_mix(tmp_path, "classification", count=32)
    settings = {**TIMM, "epochs": 12}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole, whole_curves = run(training(tmp_path / "whole", settings, mix))
    job = training(tmp_path / "killed", settings, mix)
    process = subprocess.Popen(command(tmp_path / "killed", settings, mix))
    deadline = time.monotonic() + 120
    while not (job.work / "checkpoint.pt").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (job.output / "metrics.yaml").exists(), "it ended before it was killed"
    resumed, curves = run(job)
    pd.testing.assert_frame_equal(curves, whole_curves)
    assert resumed["test"] == whole["test"]
    ends = [tmp_path / name / "output" / "best.safetensors" for name in ("whole", "killed")]
    assert ends[0].read_bytes() == ends[1].read_bytes()


def test_a_checkpoint_of_other_settings_is_not_gone_on_with(tmp_path):
    job = training(tmp_path, TIMM)
    job.work.mkdir()
    (job.work / "key.txt").write_text("another training")
    (job.work / "checkpoint.pt").write_text("not even a checkpoint")
    metrics, _ = run(job)
    assert metrics["epochs"] == 4


def test_a_detector_trains_and_is_tested_without_touching_the_home_folder(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home)}
    environment.pop("YOLO_CONFIG_DIR", None)
    mix = make_mix(tmp_path, "detection")
    subprocess.run(command(tmp_path, YOLO, mix), check=True, env=environment, cwd=tmp_path)
    metrics = read_yaml(tmp_path / "output/metrics.yaml")
    curves = read_table(tmp_path / "output/curves.csv")
    assert set(metrics["test"]) == {"mAP50", "mAP50-95", "precision", "recall"}
    assert metrics["epochs"] == 2 == len(curves)
    assert (tmp_path / "output/best.pt").stat().st_size > 10**6
    assert {"epoch", "train_loss", "val_mAP50-95"} <= set(curves.columns)
    assert not (tmp_path / "output/.training").exists()
    assert not [path for path in home.rglob("*") if "ltralytics" in path.name]


def test_a_killed_detector_goes_on(tmp_path):
    settings = {**YOLO, "epochs": 6}
    job = training(tmp_path, settings)
    again = command(tmp_path, settings, job.mix)
    process = subprocess.Popen(again, stdout=subprocess.DEVNULL, cwd=tmp_path)
    results = job.work / "run" / "results.csv"
    deadline = time.monotonic() + 240
    while not (results.exists() and len(results.read_text().splitlines()) > 2):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = results.read_text().splitlines()
    assert 2 < len(before) < 7
    subprocess.run(again, check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
    curves = read_table(job.output / "curves.csv")
    assert curves["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert read_yaml(job.output / "metrics.yaml")["epochs"] == 6


def test_unknown_models_are_named(tmp_path):
    with pytest.raises(UserError, match="'resnet_of_my_own'"):
        run(training(tmp_path, {**TIMM, "model": "resnet_of_my_own"}))
    with pytest.raises(UserError, match="yolov8n.pt"):
        from cia.training.yolo import _model_file

        _model_file("yolov8n.pt")


def test_evaluation_knows_classes_that_the_test_split_lacks():
    found = evaluate(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), ["a", "b", "c"])
    assert found["overall"]["accuracy"] == 0.75
    assert found["overall"]["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["confusion"] == [[1, 0, 1], [0, 2, 0], [0, 0, 0]]
    assert found["per_class"]["c"]["support"] == 0


def test_inception_v3_trains_a_step():
    import torch

    from cia.training.classifier import _create

    model = _create({**TIMM, "model": "inception_v3"}, 2)
    output = model.train()(torch.randn(2, 3, 128, 128))
    output.square().mean().backward()
    assert output.shape == (2, 2)
