"""Downstream models: trained on a mix, chosen on val, tested once on the real test split.

`cia.trainers` maps the kinds of the config to modules; adding one is a function and an entry.
A trainer keeps its work in progress in `job.work`, from where a killed training goes on.
"""

import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cia.errors import UserError
from cia.files import digest_file, model_fingerprint, write_text, write_yaml
from cia.provenance import package_versions
from cia.tables import read_table, write_table
from cia.trainers import TRAINERS
from cia.versions import STAGE

logger = logging.getLogger("cia")

LOOKS = 10
"""Epochs, so looks at val, of a training whose steps are set; fewer where pictures are many."""


class Schedule(NamedTuple):
    """What a training goes through.

    Attributes
    ----------
    rows : numpy.ndarray
        Rows of the training entries that make one epoch, shape (pictures of an epoch,).
    epochs : int
    """

    rows: np.ndarray
    epochs: int


@dataclass(frozen=True)
class Training:
    """One model to train.

    Attributes
    ----------
    mix : Path
        The training set's folder, with dataset.csv.
    work : Path
        For checkpoints and whatever else the trainer writes on its way.
    output : Path
        Where the best weights go.
    classes : list of str
        Class names in index order.
    settings : dict
        One entry of the config's `trainers`.
    seed, threads : int
    """

    mix: Path
    work: Path
    output: Path
    classes: list[str]
    settings: dict
    seed: int
    threads: int

    def entries(self, split: str) -> pd.DataFrame:
        """Return the rows of dataset.csv of one split."""
        table = read_table(self.mix / "dataset.csv", "mixed")
        return table[table["split"] == split].reset_index(drop=True)

    def schedule(self) -> "Schedule":
        """Return what an epoch holds, and how many there are.

        With `steps` set, every training set gets exactly so many optimizer steps of full batches,
        and val is looked at (nearly) equally often: an epoch is a number of steps, filled up with
        the pictures in random orders, each as often as the others or once more. Else a small set
        would have its best epoch chosen among many more than a large one.
        """
        count, batch = len(self.entries("train")), self.settings["batch"]
        steps = self.settings.get("steps")
        if not steps:
            return Schedule(np.arange(count), self.settings["epochs"])
        least = min(steps, max(math.ceil(count / batch), math.ceil(steps / LOOKS)))
        per_epoch = next(size for size in range(least, steps + 1) if steps % size == 0)
        random = np.random.default_rng(self.seed)
        orders = [random.permutation(count) for _ in range(math.ceil(per_epoch * batch / count))]
        return Schedule(np.concatenate(orders)[: per_epoch * batch], steps // per_epoch)


@dataclass(frozen=True)
class Trained:
    """What a trainer returns.

    Attributes
    ----------
    curves : pandas.DataFrame
        One row per epoch: epoch (from 1), train_loss, val_*.
    best_epoch : int
    steps : int
        Optimizer steps in all.
    val, test : dict
        Metric to value, of the best weights.
    per_class : dict
        Class name to its test metrics.
    predictions : pandas.DataFrame
        What the best weights say about each test picture: image, label, predicted (class indices);
        or, per detected object, image, class, confidence, correct (a 0 or 1 for each IoU threshold
        from 0.50 to 0.95: whether it counts as found there).
    confusion : list or None
        Test confusion matrix, rows true, columns predicted.
    """

    curves: pd.DataFrame
    best_epoch: int
    steps: int
    val: dict
    test: dict
    per_class: dict
    predictions: pd.DataFrame
    confusion: list | None = None


def train(training: Training) -> None:
    """Train, test, and write metrics.yaml, curves.csv and test.csv into the output folder.

    A training that was killed goes on from its last checkpoint if its settings, seed and training
    set are still the same; otherwise it starts anew.
    """
    module, task = TRAINERS[training.settings["kind"]]
    trainer: Callable[[Training], Trained] = import_module(module).train
    _claim_work(training)
    start = time.monotonic()
    trained = trainer(training)
    mixed = read_table(training.mix / "dataset.csv", "mixed")
    content = {
        "task": task,
        "trainer": dict(training.settings),
        "seed": training.seed,
        "n": _counts(mixed),
        "epochs": len(trained.curves),
        "best_epoch": trained.best_epoch,
        "steps": trained.steps,
        "seconds": round(time.monotonic() - start, 1),
        "test": trained.test,
        "val": trained.val,
        "per_class": trained.per_class,
        "confusion": trained.confusion,
        "versions": package_versions("torch", "ultralytics", "timm"),
    }
    write_table(training.output / "curves.csv", trained.curves)
    write_table(training.output / "test.csv", trained.predictions)
    content = {key: value for key, value in content.items() if value is not None}
    write_yaml(training.output / "metrics.yaml", content)
    shutil.rmtree(training.work)


def trained_weights(metrics_path: str | Path) -> Path:
    """Return the best weights of the training that wrote these metrics.

    Raises
    ------
    UserError
        If they are gone.
    """
    found = sorted(Path(metrics_path).parent.glob("best.*"))
    if not found:
        raise UserError(f"{metrics_path}: its weights are gone; delete it to train again")
    return found[0]


def _claim_work(training: Training) -> None:
    """Empty the work folder unless it is that of the same training."""
    settings = training.settings
    same = {
        "settings": settings,
        "model_files": model_fingerprint(settings["model"], settings.get("weights")),
        "stage": STAGE["train"],
        "seed": training.seed,
        "classes": training.classes,
        "dataset": digest_file(training.mix / "dataset.csv"),
        "files": _digest_files(training.mix),
    }
    key = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
    mark = training.work / "key.txt"
    if mark.exists() and mark.read_text() == key:
        logger.info("Going on with the training in %s.", training.work)
        return
    shutil.rmtree(training.work, ignore_errors=True)
    write_text(mark, key)


def _digest_files(mix: Path) -> str:
    """Digest the pictures' names, sizes and times, and what the label files say."""
    digest = hashlib.sha256()
    for path in sorted((mix / "images").rglob("*.*")):
        status = path.stat()
        line = f"{path.relative_to(mix)}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    for path in sorted((mix / "labels").rglob("*.txt")):
        digest.update(f"{path.relative_to(mix)}\0".encode("utf-8", "surrogateescape"))
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _counts(mixed: pd.DataFrame) -> dict:
    train = mixed[mixed["split"] == "train"]
    return {
        "train_real": int((train["origin"] == "real").sum()),
        "train_synthetic": int((train["origin"] == "synthetic").sum()),
        "train_classical": int((train["origin"] == "classical").sum()),
        "val": int((mixed["split"] == "val").sum()),
        "test": int((mixed["split"] == "test").sum()),
    }
