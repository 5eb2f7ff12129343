"""Training: real short runs, killed and resumed, tested on the real test split."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cia.training.trainings
from cia.errors import UserError
from cia.files import read_yaml
from cia.images import save_png
from cia.mixing.mixes import write_mix
from cia.quiet_ultralytics import import_ultralytics
from cia.tables import read_table
from cia.training import classifier
from cia.training.classifier import evaluate
from cia.training.options import DECIDED
from cia.training.schedule import Draw, make_schedule
from cia.training.trainings import Training, _claim_work, _key, train
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


PREFERENCES = {"deterministic", "amp", "plots", "verbose", "close_mosaic"}
"""Arguments of ultralytics' train that the trainer sets and `options` may replace."""


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
    """Return a command that runs a training in a process of its own, without pytest in it."""
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT / "scripts")!r})
        from pathlib import Path
        from cia.training.trainings import Training, test, train
        output = Path({str(folder / "output")!r})
        output.mkdir(exist_ok=True)
        mix, classes = Path({str(mix)!r}), ["dark", "bright"]
        job = Training(mix, output / ".training", output, classes, {settings!r}, 0, 1)
        train(job)
        test(job)
    """
    return [sys.executable, "-c", textwrap.dedent(code)]


def run(job: Training) -> tuple[dict, pd.DataFrame]:
    train(job)
    cia.training.trainings.test(job)
    return read_yaml(job.output / "metrics.yaml"), read_table(job.output / "curves.csv")


def test_a_classifier_learns_and_is_tested_on_the_test_split(tmp_path):
    job = training(tmp_path, {**TIMM, "model": "resnet10t", "epochs": 8})
    metrics, curves = run(job)
    assert metrics["test"]["accuracy"] == 1.0
    counts = {"train_real": 16, "train_synthetic": 0, "train_classical": 0, "val": 16, "test": 16}
    assert metrics["n"] == counts
    assert metrics["steps"] == 16 and len(curves) == 8
    assert curves["val_macro_f1"][metrics["best_epoch"] - 1] == curves["val_macro_f1"].max()
    assert np.array(metrics["confusion"]).sum() == 16
    assert set(metrics["per_class"]) == {"dark", "bright"}
    assert not job.work.exists()


def test_recorded_steps_are_those_taken_where_a_last_picture_stands_alone(tmp_path):
    """Batch normalization can't train on one picture, so 17 in batches of 8 are two steps."""
    mix = make_mix(tmp_path, "classification", count=17)
    metrics, _ = run(training(tmp_path, {**TIMM, "epochs": 3}, mix))
    assert metrics["steps"] == 6


def test_weights_that_are_named_are_loaded(tmp_path):
    from safetensors.torch import save_file

    from cia.training.classifier import _create

    settings = {**TIMM, "weights": str(tmp_path / "weights.safetensors")}
    model = _create(TIMM, 2)
    save_file(
        {key: value.clone() for key, value in model.state_dict().items()}, settings["weights"]
    )
    loaded = _create(settings, 2).state_dict()
    for name, value in model.state_dict().items():
        assert name.startswith("fc.") or value.equal(loaded[name]), name  # the head is always new


def test_the_same_seed_trains_the_same_classifier_and_another_seed_another(tmp_path):
    mix = make_mix(tmp_path, "classification")
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        job = training(tmp_path / name, TIMM, mix, seed)
        run(job)
        weights.append((job.output / "best.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize("count, steps, epochs", [(16, 6, 6), (10, 40, 10), (50, 3, 3)])
def test_steps_are_taken_exactly(tmp_path, count, steps, epochs):
    mix = make_mix(tmp_path, "classification", count)
    metrics, _ = run(training(tmp_path, {**TIMM, "epochs": 99, "steps": steps}, mix))
    assert (metrics["epochs"], metrics["steps"]) == (epochs, steps)


@pytest.mark.parametrize("count", [5, 640, 641, 5000])
def test_every_picture_is_seen_alike_and_every_size_has_the_same_epochs(count):
    """5000 pictures are more than an epoch's 40 steps of 16 see, and none is left out of all."""
    schedule = make_schedule(count, {"batch": 16, "steps": 400}, seed=3)
    assert (schedule.epochs, schedule.steps_per_epoch) == (10, 40)
    seen = np.concatenate([schedule.rows(epoch) for epoch in range(10)])
    assert len(seen) == 400 * 16
    assert np.ptp(np.bincount(seen, minlength=count)) <= 1
    assert (schedule.rows(4) == make_schedule(count, {"batch": 16, "steps": 400}, 3).rows(4)).all()


def test_an_epoch_of_epochs_has_every_picture_once():
    schedule = make_schedule(20, {"batch": 8, "steps": None, "epochs": 3}, seed=0)
    assert all(sorted(schedule.rows(epoch)) == list(range(20)) for epoch in range(3))
    assert not (schedule.rows(0) == schedule.rows(1)).all()


def test_what_a_classifier_says_about_each_test_picture_is_kept(tmp_path):
    job = training(tmp_path, TIMM)
    metrics, _ = run(job)
    table = read_table(job.output / "test.csv")
    assert table["image"].tolist() == job.entries("test")["image"].tolist()
    assert table["label"].tolist() == job.entries("test")["label"].astype(int).tolist()
    assert (table["label"] == table["predicted"]).mean() == metrics["test"]["accuracy"]


def test_the_job_that_trains_tests_too_and_what_it_found_is_taken_once(tmp_path, monkeypatch):
    job, tests = training(tmp_path, TIMM, make_mix(tmp_path, "classification")), []
    tested = classifier.test
    monkeypatch.setattr(classifier, "test", lambda *of: tests.append(of) or tested(*of))
    ends = []
    for _ in range(2):
        metrics, _ = run(job)
        files = [(job.output / name).read_bytes() for name in ("metrics.yaml", "test.csv")]
        ends.append((files, len(tests)))
    (first, after_training), (second, asked_again) = ends
    assert (after_training, asked_again) == (1, 2) and first == second


def test_what_the_test_leaves_in_the_work_folder_goes_with_it(tmp_path, monkeypatch):
    """ultralytics writes its settings again into the folder that its first import was told of."""
    job, tested = training(tmp_path, TIMM, make_mix(tmp_path, "classification")), classifier.test

    def littering(*of):
        (job.work / "config").mkdir(parents=True, exist_ok=True)
        return tested(*of)

    monkeypatch.setattr(classifier, "test", littering)
    train(job)
    assert not job.work.exists()
    (job.work / "config").mkdir(parents=True)  # as a job leaves it that is killed in its test
    train(job)
    assert not job.work.exists()


def test_a_label_that_is_mended_before_the_test_is_the_one_that_counts(tmp_path):
    job = training(tmp_path, TIMM, make_mix(tmp_path, "classification"))
    train(job)
    mended = mend_a_test_label(job)
    cia.training.trainings.test(job)
    found = read_table(job.output / "test.csv").set_index("image")["label"]
    assert [str(found[image]) for image in mended] == list(mended.values())


def mend_a_test_label(job: Training) -> dict[str, str]:
    """Give the first test picture the other class; return its name and new label."""
    dataset = job.mix / "dataset.csv"
    text = dataset.read_text()
    row = next(row for row in text.splitlines() if ",test," in row)
    image, label, *rest = row.split(",")
    dataset.write_text(text.replace(row, ",".join([image, str(1 - int(label)), *rest])))
    return {image: str(1 - int(label))}


def test_what_a_detector_found_is_kept_and_gives_its_metrics(tmp_path):
    """In a process of its own, since ultralytics reads its settings when it is imported."""
    import_ultralytics()
    from ultralytics.utils.metrics import ap_per_class

    settings = {**YOLO, "steps": 160}
    mix = make_mix(tmp_path, "detection")
    subprocess.run(command(tmp_path, settings, mix), check=True, cwd=tmp_path)
    metrics = read_yaml(tmp_path / "output/metrics.yaml")
    found = pd.read_csv(tmp_path / "output/test.csv", dtype={"correct": str})
    job = training(tmp_path, settings, mix)
    test = job.entries("test")
    assert set(found["image"]) <= set(test["image"])
    truth = [int((mix / label).read_text().split()[0]) for label in test["label"]]
    correct = np.array([list(map(int, bits)) for bits in found["correct"]])
    columns = found["confidence"].to_numpy(), found["class"].to_numpy()
    again = ap_per_class(correct, *columns, np.array(truth))[5]
    assert metrics["test"]["mAP50-95"] > 0.02
    assert again.mean() == pytest.approx(metrics["test"]["mAP50-95"], abs=1e-6)
    made = (tmp_path / "output/test.csv").read_bytes()
    cia.training.trainings.test(job)  # in a process that did not train
    assert read_yaml(tmp_path / "output/metrics.yaml") == metrics
    assert (tmp_path / "output/test.csv").read_bytes() == made


def test_a_small_set_is_decoded_once_and_a_large_one_trains_the_same(tmp_path, monkeypatch):
    mix, read, ends = make_mix(tmp_path, "classification"), [], []
    load = classifier.load_image
    monkeypatch.setattr(classifier, "load_image", lambda path: read.append(path) or load(path))
    # 2 splits of 16 pictures in 4 epochs, and 16 of the test, once
    for room, reads in ((2**20, 32 + 16), (4 * 64 * 64 * 3, 4 * 32 - 3 * 8 + 16)):
        (tmp_path / str(room)).mkdir()
        monkeypatch.setattr(classifier, "KEPT_BYTES", room)
        job = training(tmp_path / str(room), TIMM, mix)
        train(job)
        assert len(read) == reads
        ends.append((job.output / "best.safetensors").read_bytes())
        read.clear()
    assert ends[0] == ends[1]


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


def test_a_detector_trains_without_touching_home_folder_or_network(tmp_path):
    """Even where the environment has a key of ultralytics' platform."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "ULTRALYTICS_API_KEY": "ul_" + "0" * 40}
    for name in ("YOLO_CONFIG_DIR", "PYTEST_CURRENT_TEST"):  # in tests ultralytics sends nothing
        environment.pop(name, None)
    mix = make_mix(tmp_path, "detection")
    watched = command(tmp_path, YOLO, mix)
    watched[-1] = (
        textwrap.dedent(f"""
        import socket
        def refuse(*arguments, **_):
            with open({str(tmp_path / "network")!r}, "a") as file:
                file.write(repr(arguments))
            raise OSError("no network here")
        socket.getaddrinfo = socket.socket.connect = refuse
    """)
        + watched[-1]
    )
    subprocess.run(watched, check=True, env=environment, cwd=tmp_path)
    assert not (tmp_path / "network").exists(), (tmp_path / "network").read_text()
    metrics = read_yaml(tmp_path / "output/metrics.yaml")
    curves = read_table(tmp_path / "output/curves.csv")
    assert set(metrics["test"]) == {"mAP50", "mAP50-95", "precision", "recall"}
    assert metrics["epochs"] == 2 == len(curves)
    assert (tmp_path / "output/best.pt").stat().st_size > 10**6
    assert {"epoch", "train_loss", "val_mAP50-95"} <= set(curves.columns)
    assert not (tmp_path / "output/.training/run").exists()
    assert not [path for path in mix.rglob("*") if path.suffix in (".cache", ".npy")]
    assert not [path for path in home.rglob("*") if "ltralytics" in path.name]


def test_a_process_that_trained_one_detector_trains_another(tmp_path):
    """Whatever became of the first one's folder, where ultralytics keeps its settings."""
    first, second = (tmp_path / name for name in ("first", "second"))
    for folder in (first, second):
        folder.mkdir()
    settings = {**YOLO, "epochs": 1}
    mix = make_mix(tmp_path, "detection", count=8)
    commands = [command(folder, settings, mix)[-1] for folder in (first, second)]
    code = f"{commands[0]}\nimport shutil\nshutil.rmtree({str(first)!r})\n{commands[1]}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert read_yaml(second / "output/metrics.yaml")["epochs"] == 1


def test_a_killed_detector_goes_on_and_ends_the_same(tmp_path):
    """Mosaics, averaged weights, momentum and the choice of the best epoch included."""
    settings = {**YOLO, "steps": 20, "options": {"optimizer": "AdamW", "lr0": 0.003}}
    mix = make_mix(tmp_path, "detection")
    commands = {}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        commands[name] = command(tmp_path / name, settings, mix)
    quiet = {"stdout": subprocess.DEVNULL, "cwd": tmp_path}
    subprocess.run(commands["whole"], check=True, **quiet)
    job = training(tmp_path / "killed", settings, mix)
    process = subprocess.Popen(commands["killed"], **quiet)
    results, deadline = job.work / "run" / "results.csv", time.monotonic() + 240
    while not (results.exists() and len(results.read_text().splitlines()) > 4):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 4 < len(results.read_text().splitlines()) < 11, "it was not killed in its middle"
    subprocess.run(commands["killed"], check=True, **quiet)
    ends = [tmp_path / name / "output" for name in ("whole", "killed")]
    whole, killed = (read_table(end / "curves.csv") for end in ends)
    pd.testing.assert_frame_equal(whole, killed)
    whole, killed = ((end / "best.pt").read_bytes() for end in ends)
    assert whole == killed


@pytest.fixture
def detector_steps(monkeypatch, tmp_path):
    """What ultralytics does at each optimizer step: weights before it, torch's threads, rates."""
    import torch

    from cia.training.yolo import _import_quietly

    import_ultralytics()  # with the session's settings folder, not this test's
    _import_quietly(tmp_path / "watch", 1)
    from ultralytics.engine.trainer import BaseTrainer

    steps, original = [], BaseTrainer.optimizer_step

    def step(trainer):
        weights = next(trainer.model.parameters()).detach().clone()
        rates = [(group["lr"], group.get("momentum")) for group in trainer.optimizer.param_groups]
        steps.append((weights, torch.get_num_threads(), rates))
        original(trainer)

    monkeypatch.setattr(BaseTrainer, "optimizer_step", step)
    return steps


@pytest.fixture
def mosaics(monkeypatch, tmp_path):
    """The picture at the middle of each mosaic that ultralytics makes."""
    from cia.training.yolo import _import_quietly

    import_ultralytics()
    _import_quietly(tmp_path / "watch", 1)
    from ultralytics.data.augment import Mosaic

    made, original = [], Mosaic.get_params

    def get_params(self, labels):
        made.append(labels["im_file"])
        return original(self, labels)

    monkeypatch.setattr(Mosaic, "get_params", get_params)
    return made


def test_the_rate_at_a_step_does_not_depend_on_the_size_of_the_training_set(
    tmp_path, detector_steps, caplog
):
    """Nor which optimizer `auto` is, how often val is looked at, or how many steps there are."""
    settings = {**YOLO, "steps": 20, "batch": 4, "options": {"mosaic": 0.0}}
    caplog.set_level("INFO", "cia")
    found = {}
    for count in (6, 24):  # the steps of an epoch see 8
        folder = tmp_path / str(count)
        folder.mkdir()
        detector_steps.clear()
        job = training(folder, settings, make_mix(folder, "detection", count))
        train(job)
        epochs = read_yaml(job.output / "trained.yaml")["epochs"]
        found[count] = [rates for *_, rates in detector_steps], epochs
    assert found[6] == found[24]
    assert "epoch 10 of 10" in caplog.text and "epoch 11 of" not in caplog.text
    rates, epochs = found[24]
    assert (len(rates), epochs) == (20, 10)
    # it has warmed up after 3 percent of the steps, and falls to a hundredth and a tenth of that
    highest = max(rate for rate, _ in rates[-1])
    assert rates[2][-1][0] > 2 * highest


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, 18 * 2),  # all but the last tenth of 20 steps of 2 pictures
        ({"mosaic": 0.0}, 0),
        ({"close_mosaic": 5}, 10 * 2),
        ({"close_mosaic": 0}, 20 * 2),
    ],
)
def test_mosaics_are_made_until_the_last_tenth_of_the_steps(tmp_path, mosaics, options, expected):
    settings = {**YOLO, "steps": 20, "batch": 2, "options": options}
    train(training(tmp_path, settings, make_mix(tmp_path, "detection", 4)))
    assert len(mosaics) == expected


@pytest.mark.parametrize("settings", [TIMM, {**YOLO, "options": {}}], ids=["timm", "yolo"])
def test_a_draw_looks_the_same_in_whichever_process_it_is_read(tmp_path, settings):
    """Mosaics too, whose partners come from the draws before; and each draw another."""
    import torch

    task = "classification" if settings["kind"] == "timm" else "detection"
    mix = make_mix(tmp_path, task, count=12)
    seen = []
    for threads in (1, 2, 3):
        job = replace(training(tmp_path, {**settings, "steps": 20}, mix), threads=threads)
        loader = train_loader(job)
        batches = []
        for epoch in (0, 1):
            loader.sampler.epoch = epoch
            if hasattr(loader, "reset"):
                loader.reset()
            batches += [batch["img"] if "img" in batch else batch[0] for batch in loader]
        seen.append(torch.cat(batches))
    assert len(seen[0]) == 2 * 2 * 8
    assert all(one.equal(seen[0]) for one in seen)
    assert len({picture.numpy().tobytes() for picture in seen[0]}) == len(seen[0])


def train_loader(job: Training):
    """The loader of a training, with as many workers as it has threads, as on a GPU."""
    if job.settings["kind"] == "timm":
        from cia.training.classifier import _State

        return _State(job).loaders["train"]
    from cia.training.yolo import _arguments, _import_quietly

    import_ultralytics()
    _import_quietly(job.work, job.threads)
    from cia.training.yolo_trainer import refuse_caches, trainer_class

    refuse_caches()
    schedule = job.schedule()
    arguments = _arguments(job, schedule, job.work / "run") | {"model": "yolov8n.yaml"}
    trainer = trainer_class(job.task)(schedule, job.work / "state.pt", job.key, arguments)
    trainer.args.workers = arguments["workers"]  # on a CPU it takes none
    trainer.model = trainer.get_model(cfg="yolov8n.yaml", verbose=False)
    return trainer.get_dataloader(trainer.data["train"], batch_size=8)


def test_what_is_drawn_for_a_picture_is_not_drawn_from_what_goes_on():
    import random

    import torch

    def numbers():
        return random.random(), np.random.rand(), torch.rand(1).item()

    for one in (random.seed, np.random.seed, torch.manual_seed):
        one(0)
    numbers()
    after = numbers()
    for one in (random.seed, np.random.seed, torch.manual_seed):
        one(0)
    numbers()
    with Draw(0, 1, 2, 3).randomness():
        first = numbers()
    assert numbers() == after
    with Draw(0, 1, 2, 5).randomness():
        assert numbers() == first
    with Draw(0, 1, 3, 3).randomness():
        assert numbers() != first


def test_the_classifier_looks_at_val_as_often_for_any_size_of_training_set(tmp_path):
    for count in (6, 200):
        folder = tmp_path / str(count)
        folder.mkdir()
        mix = make_mix(folder, "classification", count)
        metrics, _ = run(training(folder, {**TIMM, "steps": 20}, mix))
        assert (metrics["steps"], metrics["epochs"]) == (20, 10)


@pytest.mark.parametrize("loss", ["label", "truncated", "small", "test", "all labels"])
def test_a_picture_that_ultralytics_would_leave_out_is_an_error(tmp_path, loss):
    mix = make_mix(tmp_path, "detection", count=4)
    picture = mix / "images/train/real/2.png"
    if loss == "label":
        (mix / "labels/train/real/2.txt").unlink()
    elif loss == "all labels":
        shutil.rmtree(mix / "labels/train")
    elif loss == "truncated":
        content = picture.read_bytes()
        picture.unlink()  # a link to the source, which stays
        picture.write_bytes(content[: len(content) // 2])
    elif loss == "small":
        save_png(picture, np.zeros((64, 9, 3), np.uint8))
    else:
        picture = mix / "images/test/real/2.png"
        picture.unlink()
        picture.write_bytes(b"no picture")
    job = training(tmp_path, {**YOLO, "epochs": 1}, mix)
    with pytest.raises(
        UserError, match=r"[14] of 4 pictures can't be used(.|\n)*real/2\.(png|txt): "
    ):
        run(job)
    assert not (job.output / "metrics.yaml").exists()


def test_a_classifier_names_the_picture_that_it_can_not_read(tmp_path):
    mix = make_mix(tmp_path, "classification", count=4)
    picture = mix / "images/train/real/2.png"
    picture.unlink()
    picture.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"real/2\.png: the picture can't be read any more"):
        run(training(tmp_path, TIMM, mix))


def test_weights_tell_nothing_of_the_repository_or_the_folder_that_they_were_made_in(
    tmp_path, monkeypatch
):
    """ultralytics looks for a repository around its package, which lies in the user's clone."""
    import_ultralytics()  # with the session's settings folder, not this test's
    from ultralytics.engine import trainer
    from ultralytics.utils.git import GitRepo

    clone = tmp_path / "clone"
    address = "https://me:secret-token@example.org/my.git"
    subprocess.run(["git", "init", "-q", str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "remote", "add", "origin", address], check=True)
    monkeypatch.setattr(trainer, "GIT", GitRepo(clone))
    assert trainer.GIT.origin == address
    model = tmp_path / "my-yolov8n.yaml"
    shutil.copy2(Path(trainer.__file__).parents[1] / "cfg/models/v8/yolov8.yaml", model)
    settings = {**YOLO, "epochs": 1, "model": str(model)}
    job = training(tmp_path, settings, make_mix(tmp_path, "detection", count=4))
    train(job)
    with zipfile.ZipFile(job.output / "best.pt") as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    for told in (b"secret-token", b"example.org", str(tmp_path).encode(), str(ROOT).encode()):
        assert told not in content, told


def test_pictures_of_training_batches_are_kept_where_they_are_asked_for(tmp_path):
    settings = {**YOLO, "epochs": 1, "options": {"plots": True}}
    job = training(tmp_path, settings, make_mix(tmp_path, "detection", count=8))
    train(job)
    assert {"train_batch0.jpg", "labels.jpg"} <= {path.name for path in job.output.glob("plots/*")}


@pytest.mark.parametrize("settings", [TIMM, {**YOLO, "epochs": 1}], ids=["timm", "yolo"])
def test_what_was_trained_is_not_trained_again(tmp_path, settings, caplog):
    """Whatever Snakemake deletes before a job, and whatever was touched since."""
    task = "classification" if settings["kind"] == "timm" else "detection"
    job = training(tmp_path, settings, make_mix(tmp_path, task, count=4))
    first, _ = run(job)
    weights = next(job.output.glob("best.*"))
    made, record = weights.stat().st_mtime_ns, (job.output / "trained.yaml").read_bytes()
    make_mix(tmp_path, task, count=4)  # once more, the same
    for name in ("trained.yaml", "curves.csv"):
        (job.output / name).unlink()
    caplog.set_level("INFO", "cia")
    again, _ = run(job)
    assert again == first and (job.output / "trained.yaml").read_bytes() == record
    assert weights.stat().st_mtime_ns == made and "were trained on before" in caplog.text
    weights.unlink()
    run(job)
    assert weights.exists()


def test_a_test_label_that_is_mended_costs_a_test_and_no_training(tmp_path):
    job = training(tmp_path, TIMM, make_mix(tmp_path, "classification"))
    first, _ = run(job)
    weights = job.output / "best.safetensors"
    made = weights.stat().st_mtime_ns
    mend_a_test_label(job)
    second, _ = run(job)
    assert weights.stat().st_mtime_ns == made
    assert second["confusion"] != first["confusion"] and second["val"] == first["val"]


def test_a_detector_takes_the_steps_that_it_records_and_keeps_the_epoch_that_it_names(
    tmp_path, detector_steps
):
    import torch

    mix = make_mix(tmp_path, "detection", count=20)
    settings = {**YOLO, "steps": 9, "epochs": 99}
    job = replace(training(tmp_path, settings, mix), threads=2)
    train(job)
    record = read_yaml(job.output / "trained.yaml")
    assert len(detector_steps) == record["steps"] == 9
    assert {threads for _, threads, _ in detector_steps} == {2}
    # Every epoch of so short a training finds nothing, and of equals the last is kept.
    kept = torch.load(job.output / "best.pt", weights_only=False)
    assert record["best_epoch"] == kept["train_results"]["epoch"][-1]


def test_a_detector_starts_from_the_weights_that_are_named(tmp_path, detector_steps):
    import torch

    mix = make_mix(tmp_path, "detection", count=8)
    first = training(tmp_path, {**YOLO, "epochs": 1}, mix)
    train(first)
    start = tmp_path / "start.pt"
    (first.output / "best.pt").rename(start)
    detector_steps.clear()
    train(training(tmp_path, {**YOLO, "epochs": 1, "model": str(start)}, mix, seed=1))
    expected = torch.load(start, weights_only=False)["model"].float()
    assert detector_steps[0][0].equal(next(expected.parameters()))


def test_a_torn_checkpoint_of_a_detector_is_not_the_end(tmp_path):
    settings = {**YOLO, "epochs": 1}
    job = training(tmp_path, settings, make_mix(tmp_path, "detection", count=8))
    _claim_work(job, _key(job))
    weights = job.work / "run" / "weights"
    weights.mkdir(parents=True)
    for name in ("best.pt", "last.pt"):
        (weights / name).write_bytes(b"PK\3\4 the beginning of a checkpoint")
    subprocess.run(command(tmp_path, settings, job.mix), check=True, cwd=tmp_path)
    assert read_yaml(job.output / "metrics.yaml")["epochs"] == 1


@pytest.mark.parametrize("change", ["label", "picture", "class"])
def test_a_checkpoint_of_another_label_is_not_gone_on_with(tmp_path, change):
    job = training(tmp_path, YOLO, make_mix(tmp_path, "detection", count=4))
    _claim_work(job, _key(job))
    checkpoint = job.work / "checkpoint"
    checkpoint.write_text("of the first labels")
    _claim_work(job, _key(job))
    assert checkpoint.exists()
    if change == "label":
        label = job.mix / "labels/train/real/0.txt"
        label.write_text(label.read_text().replace("0 ", "1 ", 1))
    elif change == "picture":
        save_png(job.mix / "images/val/real/0.png", np.zeros((64, 64, 3), np.uint8))
    else:
        job.classes.reverse()
    _claim_work(job, _key(job))
    assert not checkpoint.exists()


def test_what_the_workflow_decides_is_no_option(tmp_path):
    """The check of the configuration refuses it."""
    from cia.training.yolo import _arguments

    job = training(tmp_path, {**YOLO, "options": {}}, make_mix(tmp_path, "detection", count=2))
    plain = _arguments(job, job.schedule(), job.work / "run")
    assert plain.keys() - DECIDED.keys() == PREFERENCES


def test_unknown_models_are_named(tmp_path):
    with pytest.raises(UserError, match="'resnet_of_my_own'"):
        run(training(tmp_path, {**TIMM, "model": "resnet_of_my_own"}))
    import_ultralytics()  # with the session's settings folder, not this test's
    mix = make_mix(tmp_path, "detection", count=2)
    for name in ("yolov8n.pt", "yolov99x.yaml"):
        with pytest.raises(UserError, match=f"model '{name}' is neither"):
            run(training(tmp_path, {**YOLO, "model": name}, mix))


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
