"""Downstream models: trained on a mix, chosen on val, tested once on the real test split.

`TRAINERS` maps the config's `kind` to a function; adding one is a function and an entry. A trainer
keeps its work in progress in `job.work`, from where a killed training goes on.
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pandas as pd

from cia.errors import UserError
from cia.files import digest_file, model_fingerprint, write_text, write_yaml
from cia.provenance import package_versions
from cia.tables import read_table, write_table
from cia.versions import STAGE

logger = logging.getLogger("cia")

TRAINERS = {
    "yolo": ("cia.training.yolo", "detection"),
    "timm": ("cia.training.classifier", "classification"),
}
"""Kind of trainer: the module whose `train` does it, and the task it is for."""


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

    def epochs(self, steps_per_epoch: int) -> int:
        """Return the number of epochs: as set, or as many as make the set number of steps."""
        steps = self.settings.get("steps")
        if not steps:
            return self.settings["epochs"]
        return max(1, round(steps / steps_per_epoch))


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
    confusion : list or None
        Test confusion matrix, rows true, columns predicted.
    """

    curves: pd.DataFrame
    best_epoch: int
    steps: int
    val: dict
    test: dict
    per_class: dict
    confusion: list | None = None


def train(training: Training, metrics_path: Path, curves_path: Path) -> None:
    """Train, test, and write metrics.yaml and curves.csv.

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
    write_table(curves_path, trained.curves)
    write_yaml(metrics_path, {key: value for key, value in content.items() if value is not None})
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
        "val": int((mixed["split"] == "val").sum()),
        "test": int((mixed["split"] == "test").sum()),
    }
