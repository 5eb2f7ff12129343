"""Downstream models: trained on a mix, chosen on val, tested once on the real test split.

A trainer, one of the `TRAINERS` of `cia.catalog`, is a module with

- `train(training: Training) -> Trained`, which takes exactly the steps of `training.schedule()`,
  and keeps its work in progress in `training.work`, from where a killed training goes on;
- `test(training: Training, weights: Path) -> Tested`;
- `predict(weights: Path, settings: dict, reading: Reading)`: of a classification class
  probabilities, shape (n, number of classes); of other tasks per picture a list of the objects that
  it finds (`cia.labels.objects.Object`).

A training is a function of what it is given: settings, seed, and what the training and validation
entries show and say. One that was done before is not done again, whatever files were touched since.
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cia.catalog import TRAINERS, code
from cia.errors import UserError
from cia.files import atomic_path, digest_file, model_fingerprint, read_yaml, write_text, write_yaml
from cia.remedies import command
from cia.runtime.provenance import package_versions
from cia.tables import read_table, write_table
from cia.training.schedule import Schedule, make_schedule
from cia.versions import STAGE

logger = logging.getLogger("cia")

RECORD = "trained.yaml"
"""What a training leaves beside its weights."""

_DONE = ".trained"
"""Folder with copies of what a training left: Snakemake deletes outputs before a job runs."""

_TESTED = ".tested"
"""Folder with the test that a training's own job made, until the job of rule `test` takes it."""


_FORM = ("task", "kpt_shape", "flip_idx")
"""Keys of a training set's data.yaml that are there where its labels are more than boxes."""


@dataclass(frozen=True)
class Training:
    """One model to train and to test.

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
    key : str
        Where in the config the settings are, for messages: `trainers.NAME`.
    """

    mix: Path
    work: Path
    output: Path
    classes: list[str]
    settings: dict
    seed: int
    threads: int
    key: str = "trainers"

    def entries(self, split: str) -> pd.DataFrame:
        """Return the rows of dataset.csv of one split."""
        table = read_table(self.mix / "dataset.csv", "mixed")
        return table[table["split"] == split].reset_index(drop=True)

    @property
    def form(self) -> dict:
        """What the training set says of its labels: task, and of a pose kpt_shape and flip_idx."""
        path = self.mix / "data.yaml"
        if not path.exists():
            return {"task": "classification"}
        return {"task": "detection"} | {
            key: value for key, value in read_yaml(path).items() if key in _FORM
        }

    @property
    def task(self) -> str:
        """The task of the dataset."""
        return self.form["task"]

    def schedule(self) -> Schedule:
        """Return what an epoch holds, and how many there are."""
        return make_schedule(len(self.entries("train")), self.settings, self.seed)


@dataclass(frozen=True)
class Trained:
    """What a trainer returns of a training.

    Attributes
    ----------
    weights : Path
        The best weights, in the output folder.
    curves : pandas.DataFrame
        One row per epoch: epoch (from 1), train_loss, val_*.
    best_epoch : int
    steps : int
        Optimizer steps that were taken, in all.
    val : dict
        Metric to value, of the best weights.
    """

    weights: Path
    curves: pd.DataFrame
    best_epoch: int
    steps: int
    val: dict


@dataclass(frozen=True)
class Tested:
    """What a trainer returns of a test.

    Attributes
    ----------
    test : dict
        Metric to value.
    per_class : dict
        Class name to its metrics.
    predictions : pandas.DataFrame
        What the weights say about each test picture: image, label, predicted (class indices); or,
        per detected object, image, class, confidence, correct (a 0 or 1 for each IoU threshold
        from 0.50 to 0.95: whether it counts as found there; of a segmentation by the IoU of masks,
        of a pose by the keypoints' OKS, with correct_box by boxes beside it).
    confusion : list or None
        Confusion matrix, rows true, columns predicted.
    """

    test: dict
    per_class: dict
    predictions: pd.DataFrame
    confusion: list | None = None


@dataclass(frozen=True)
class Reading:
    """Pictures that a trained model is to read.

    Attributes
    ----------
    paths : list of str
    classes : list of str
        Class names in index order.
    batch_size, threads : int
    confidence : float
        Of objects the least confidence of what counts as found.
    """

    paths: list[str]
    classes: list[str]
    batch_size: int
    threads: int
    confidence: float = 0.0


def training_of(job: Any) -> Training:
    """Return the training that a job is about: of rule train, or of rule test."""
    output = Path(job.output[0]).parent
    return Training(
        mix=Path(job.input.dataset).parent,
        work=output / ".training",
        output=output,
        classes=list(job.params.classes),
        settings=dict(job.params.settings),
        seed=int(job.wildcards.seed),
        threads=job.threads,
        key=f"trainers.{job.wildcards.trainer}",
    )


def train(training: Training) -> Path:
    """Train, and write the best weights, trained.yaml and curves.csv into the output folder.

    The weights are tested at once, for `test` to take: a process of its own would spend most of its
    time on loading libraries that this one has loaded.

    A training that was killed goes on from its last checkpoint if its settings, seed and training
    set are still the same; otherwise it starts anew. One that was done is not done again.

    Returns
    -------
    Path
        The best weights.

    Raises
    ------
    UserError
        If the trainer can't do it, or took another number of steps than planned.
    """
    key = _key(training)
    if weights := _weights_of(training, key):
        logger.info(
            "These pictures, labels and settings were trained on before: %s is kept. To train "
            "again all the same, delete it.",
            weights,
        )
        shutil.rmtree(training.work, ignore_errors=True)  # of a job that was killed in its test
        return weights
    _claim_work(training, key)
    start = time.monotonic()
    trained = code(TRAINERS[training.settings["kind"]]).train(training)
    _require_planned_steps(training, trained)
    record = {
        "task": training.task,
        "trainer": dict(training.settings),
        "seed": training.seed,
        "n": _counts(read_table(training.mix / "dataset.csv", "mixed")),
        "epochs": len(trained.curves),
        "best_epoch": trained.best_epoch,
        "steps": trained.steps,
        "seconds": round(time.monotonic() - start, 1),
        "val": trained.val,
        "versions": package_versions("torch", "ultralytics", "timm"),
        "weights": {"file": trained.weights.name, "sha256": digest_file(trained.weights)},
        "key": key,
    }
    write_table(training.output / _DONE / "curves.csv", trained.curves)
    write_yaml(training.output / _DONE / RECORD, record)
    _restore(training)
    try:
        _keep_test(training)
    except Exception as error:  # the training is done; rule test says what is wrong with the test
        logger.warning("The weights could not be tested here (%s); rule test tries again", error)
    shutil.rmtree(training.work)
    return trained.weights


def test(training: Training) -> None:
    """Test the best weights on the real test split, and write metrics.yaml and test.csv.

    metrics.yaml holds what trained.yaml says of the training, too. A test that the training's job
    left of these weights and test pictures is taken, once: a test that is asked for again is made.
    """
    record = read_yaml(training.output / RECORD)
    kept = training.output / _TESTED
    found = read_yaml(kept / "test.yaml") if (kept / "test.yaml").exists() else {"key": None}
    if found["key"] != _test_key(training):
        found = _keep_test(training)
    content = {name: value for name, value in record.items() if name not in ("weights", "key")}
    content |= {"n": _counts(read_table(training.mix / "dataset.csv", "mixed"))}
    content |= {name: found[name] for name in ("test", "per_class", "confusion")}
    content = {name: value for name, value in content.items() if value is not None}
    with atomic_path(training.output / "test.csv") as partial:
        shutil.copyfile(kept / "test.csv", partial)
    write_yaml(training.output / "metrics.yaml", content)
    shutil.rmtree(kept)


def _keep_test(training: Training) -> dict:
    """Test the best weights, and keep what is found for `test`; return it, less the predictions."""
    key, weights = _test_key(training), trained_weights(training.output / RECORD)
    shutil.rmtree(training.output / _TESTED, ignore_errors=True)
    tested = code(TRAINERS[training.settings["kind"]]).test(training, weights)
    found = {
        "key": key,
        "test": tested.test,
        "per_class": tested.per_class,
        "confusion": tested.confusion,
    }
    write_table(training.output / _TESTED / "test.csv", tested.predictions)
    write_yaml(training.output / _TESTED / "test.yaml", found)  # last: it says that both are there
    return found


def _test_key(training: Training) -> str:
    """Return a digest of all that a test is a function of."""
    same = {
        "weights": digest_file(trained_weights(training.output / RECORD)),
        "settings": training.settings,
        "stage": STAGE["test"],
        "classes": training.classes,
        "entries": _digest_entries(training, ("test",)),
        **_more_than_boxes(training),
    }
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def _more_than_boxes(training: Training) -> dict:
    """Return what labels are, where they are not boxes or classes; so other keys stay the same."""
    plain = training.task in ("detection", "classification")
    return {} if plain else {"form": training.form}


def trained_weights(record_path: str | Path) -> Path:
    """Return the best weights of the training that wrote this trained.yaml.

    Raises
    ------
    UserError
        If they are gone.
    """
    path = Path(record_path).parent / read_yaml(record_path)["weights"]["file"]
    if not path.exists():
        raise UserError(
            f"{path}: these weights are gone; train again: {command('--forcerun train')}"
        )
    return path


def _key(training: Training) -> str:
    """Return a digest of all that the weights are a function of."""
    settings = training.settings
    same = {
        "settings": settings,
        "model_files": model_fingerprint(settings["model"], settings.get("weights")),
        "stage": STAGE["train"],
        "seed": training.seed,
        "classes": training.classes,
        "entries": _digest_entries(training, ("train", "val")),
        **_more_than_boxes(training),
    }
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()


def _digest_entries(training: Training, splits: Sequence[str]) -> str:
    """Digest the names, pictures and labels of the entries of some splits."""
    digest = hashlib.sha256()
    for split in splits:
        entries = training.entries(split)
        digests: dict[str, str] = {}
        for row in entries.itertuples():
            for name in (row.image, row.label):
                if name not in digests:
                    path = training.mix / name
                    digests[name] = digest_file(path) if path.is_file() else name
            line = "\0".join([split, row.image, digests[row.image], digests[row.label]])
            digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _weights_of(training: Training, key: str) -> Path | None:
    """Return the weights if the same training was done, and put back what else it left."""
    record_path = training.output / _DONE / RECORD
    if not record_path.exists():
        return None
    record = read_yaml(record_path)
    weights = training.output / record["weights"]["file"]
    if record["key"] != key or not weights.exists():
        return None
    if digest_file(weights) != record["weights"]["sha256"]:
        return None
    _restore(training)
    return weights


def _restore(training: Training) -> None:
    for name in ("curves.csv", RECORD):
        text = (training.output / _DONE / name).read_text(encoding="utf-8")
        write_text(training.output / name, text)


def _claim_work(training: Training, key: str) -> None:
    """Empty the work folder unless it is that of the same training."""
    mark = training.work / "key.txt"
    if mark.exists() and mark.read_text() == key:
        logger.info("Going on with the training in %s.", training.work)
        return
    shutil.rmtree(training.work, ignore_errors=True)
    write_text(mark, key)


def _require_planned_steps(training: Training, trained: Trained) -> None:
    planned = len(trained.curves) * training.schedule().steps_per_epoch
    if trained.steps != planned:
        raise UserError(
            f"{training.key}: {trained.steps} optimizer steps were taken where {planned} were "
            "planned, so this model can't be compared with others. The log above says why."
        )


def _counts(mixed: pd.DataFrame) -> dict:
    train = mixed[mixed["split"] == "train"]
    return {
        "train_real": int((train["origin"] == "real").sum()),
        "train_synthetic": int((train["origin"] == "synthetic").sum()),
        "train_classical": int((train["origin"] == "classical").sum()),
        "val": int((mixed["split"] == "val").sum()),
        "test": int((mixed["split"] == "test").sum()),
    }
