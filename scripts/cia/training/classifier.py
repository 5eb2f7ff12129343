"""Image classifiers: any timm model, trained from scratch or from pretrained weights."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from cia.errors import UserError
from cia.files import atomic_path
from cia.images import load_image
from cia.progress import log_epoch
from cia.remedies import command
from cia.training.schedule import Draw, EpochSampler, seed_epoch
from cia.training.trainings import Reading, Tested, Trained, Training

KEPT_BYTES = 2**28
"""Decoded pictures that a split keeps in memory: all of a small set, read in every epoch."""


def train(training: Training) -> Trained:
    """Train a timm classifier with AdamW and a one-cycle schedule, and choose its best epoch.

    The best epoch is the one with the highest macro F1 on val (the earlier one of equals). Each
    epoch's order and augmentation come from the seed and the epoch's number, so a training that
    goes on after a kill sees the same batches.

    Returns
    -------
    Trained
        Val metrics accuracy, macro_f1. `best.safetensors` is in the output folder.

    Raises
    ------
    UserError
        If timm has no such model, its weights can't be had, or a picture can't be read.
    """
    from safetensors.torch import save_file

    torch.set_num_threads(training.threads)
    torch.manual_seed(training.seed)
    state = _State(training)
    while state.epoch < state.schedule.epochs:
        state.run_epoch()
    path = training.output / "best.safetensors"
    with atomic_path(path) as partial:
        weights = {name: value.contiguous() for name, value in state.best["model"].items()}
        save_file(weights, partial, metadata={"architecture": training.settings["model"]})
    row = state.history[state.best["epoch"] - 1]
    return Trained(
        weights=path,
        curves=pd.DataFrame(state.history),
        best_epoch=state.best["epoch"],
        steps=state.steps,
        val={name.removeprefix("val_"): row[name] for name in row if name.startswith("val_")},
    )


def test(training: Training, weights: Path) -> Tested:
    """Test trained weights on the real test split.

    Returns
    -------
    Tested
        Metrics accuracy, macro_f1; per class precision, recall, f1, support; the confusion matrix.
    """
    torch.set_num_threads(training.threads)
    entries = training.entries("test")
    paths = [str(training.mix / image) for image in entries["image"]]
    settings = training.settings
    reading = Reading(paths, training.classes, settings["batch"], training.threads)
    chances = predict(weights, settings, reading)
    truth, predicted = entries["label"].astype(int).to_numpy(), chances.argmax(axis=1)
    found = evaluate(truth, predicted, training.classes)
    return Tested(
        test=found["overall"],
        per_class=found["per_class"],
        predictions=pd.DataFrame(
            {"image": entries["image"], "label": truth, "predicted": predicted}
        ),
        confusion=found["confusion"],
    )


def evaluate(truth: np.ndarray, predicted: np.ndarray, classes: list[str]) -> dict:
    """Compare predicted with true classes.

    Parameters
    ----------
    truth, predicted : numpy.ndarray
        Class indices, shape (n,).
    classes : list of str
        Class names in index order.

    Returns
    -------
    dict
        overall (accuracy, macro_f1 over the classes that occur in the truth), per_class, confusion
        (rows true, columns predicted), all from scikit-learn.
    """
    from sklearn.metrics import (
        accuracy_score,
        confusion_matrix,
        f1_score,
        precision_recall_fscore_support,
    )

    indices = range(len(classes))
    rows = precision_recall_fscore_support(truth, predicted, labels=indices, zero_division=0)
    names = ("precision", "recall", "f1", "support")
    per_class = {
        name: {key: values[index].item() for key, values in zip(names, rows, strict=True)}
        for index, name in enumerate(classes)
    }
    shown = np.unique(truth)
    f1 = f1_score(truth, predicted, labels=shown, average="macro", zero_division=0)
    overall = {"accuracy": float(accuracy_score(truth, predicted)), "macro_f1": float(f1)}
    confusion = confusion_matrix(truth, predicted, labels=indices).tolist()
    return {"overall": overall, "per_class": per_class, "confusion": confusion}


def predict(weights: Path, settings: dict, reading: Reading) -> np.ndarray:
    """Read pictures with a trained classifier.

    Parameters
    ----------
    weights : path
        `best.safetensors` of a training.
    settings : dict
        The trainer's entry in the config.
    reading : Reading
        The pictures.

    Returns
    -------
    numpy.ndarray
        Class probabilities, float32, shape (n, number of classes).
    """
    from safetensors.torch import load_file

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bare = {**settings, "pretrained": False, "weights": None}
    model = _create(bare, len(reading.classes))
    model.load_state_dict(load_file(weights))
    model = model.eval().to(device)
    transform = _transform(model, settings, training=False)
    pictures = _Pictures(reading.paths, [-1] * len(reading.paths), transform)
    with torch.inference_mode():
        chances = [
            model(inputs.to(device)).softmax(dim=1).float().cpu().numpy()
            for inputs, _ in _load(pictures, reading.batch_size, reading.threads)
        ]
    return np.concatenate(chances)


class _State:
    """A training under way: all of it that a checkpoint holds, and what is rebuilt."""

    def __init__(self, training: Training):
        self.training, self.settings = training, training.settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = _create(self.settings, len(training.classes), training.key).to(self.device)
        self.schedule = training.schedule()
        self.loaders = {
            "train": self._loader("train", EpochSampler(self.schedule)),
            "val": self._loader("val"),
        }
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.settings["learning_rate"],
            weight_decay=self.settings["weight_decay"],
            fused=True,  # a third less time per step of a small model on a CPU
        )
        self.rates = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=self.settings["learning_rate"],
            total_steps=self.schedule.epochs * len(self.loaders["train"]),
        )
        self.loss = torch.nn.CrossEntropyLoss(label_smoothing=self.settings["label_smoothing"])
        self.epoch, self.steps, self.history, self.best = 0, 0, [], {"val": -1.0}
        self.checkpoint = training.work / "checkpoint.pt"
        if self.checkpoint.exists():
            self._restore()

    def run_epoch(self) -> None:
        """Train one epoch, judge it on val, and write a checkpoint."""
        seed_epoch(self.training.seed, self.epoch)
        self.loaders["train"].sampler.epoch = self.epoch
        self.model.train()
        losses = [self._step(images, labels) for images, labels in self.loaders["train"]]
        self.epoch += 1
        scores = evaluate(*self.predict("val"), self.training.classes)["overall"]
        row = {"epoch": self.epoch, "train_loss": float(np.mean(losses))}
        self.history.append(row | {f"val_{name}": value for name, value in scores.items()})
        if scores["macro_f1"] > self.best["val"]:
            weights = copy.deepcopy(self.model.state_dict())
            self.best = {"val": scores["macro_f1"], "epoch": self.epoch, "model": weights}
        log_epoch(self.epoch, self.schedule.epochs, self.history[-1])
        self._save()

    def predict(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Return true and predicted classes of a split."""
        self.model.eval()
        truth, predicted = [], []
        with torch.inference_mode():
            for images, labels in self.loaders[split]:
                predicted.append(self.model(images.to(self.device)).argmax(dim=1).cpu().numpy())
                truth.append(labels.numpy())
        return np.concatenate(truth), np.concatenate(predicted)

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.model(images.to(self.device)), labels.to(self.device))
        loss.backward()
        self.optimizer.step()
        self.rates.step()
        self.steps += 1
        return loss.item()

    def _loader(self, split: str, sampler: EpochSampler | None = None) -> DataLoader:
        entries = self.training.entries(split)
        pictures = _Pictures(
            [self.training.mix / image for image in entries["image"]],
            entries["label"].astype(int).tolist(),
            _transform(self.model, self.settings, training=split == "train"),
        )
        return _load(pictures, self.settings["batch"], self.training.threads, sampler)

    def _save(self) -> None:
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rates": self.rates.state_dict(),
            "epoch": self.epoch,
            "steps": self.steps,
            "history": self.history,
            "best": self.best,
        }
        with atomic_path(self.checkpoint) as partial:
            torch.save(content, partial)

    def _restore(self) -> None:
        content = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.rates.load_state_dict(content["rates"])
        self.epoch, self.steps = content["epoch"], content["steps"]
        self.history, self.best = content["history"], content["best"]


class _Pictures(Dataset):
    """Pictures with their class indices; the first ones stay in memory, up to `KEPT_BYTES`."""

    def __init__(self, paths: Sequence[str | Path], labels: list[int], transform: Callable):
        self.paths, self.labels, self.transform = paths, labels, transform
        self._kept: dict[int, np.ndarray] = {}
        self._room = KEPT_BYTES

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | Draw) -> tuple[torch.Tensor, int]:
        if isinstance(index, Draw):
            with index.randomness():
                return self[index.row]
        picture = self._kept[index] if index in self._kept else self._read(index)
        return self.transform(Image.fromarray(picture)), self.labels[index]

    def _read(self, index: int) -> np.ndarray:
        path = self.paths[index]
        try:
            picture = load_image(path)
        except OSError as error:
            raise UserError(
                f"{path}: the picture can't be read any more: {error}. Make the training set "
                f"again: {command('--forcerun mix')}"
            ) from error
        if picture.nbytes <= self._room:
            self._kept[index] = picture
            self._room -= picture.nbytes
        return picture


def _load(
    pictures: _Pictures, batch: int, threads: int, sampler: EpochSampler | None = None
) -> DataLoader:
    workers = threads if threads > 1 else 0
    return DataLoader(pictures, batch_size=batch, num_workers=workers, sampler=sampler)


def _create(settings: dict, classes: int, key: str = "trainers") -> Any:
    import timm

    weights = settings.get("weights")
    overlay = {"file": weights} if weights else None
    try:
        return timm.create_model(
            settings["model"],
            pretrained=settings["pretrained"] or weights is not None,
            pretrained_cfg_overlay=overlay,
            num_classes=classes,
        )
    except (RuntimeError, OSError, ValueError) as error:
        raise UserError(
            f"{key}: the timm model {settings['model']!r} can't be made: {error}. "
            "timm.list_models() lists the names; without network, set `weights` to a local file or "
            "`pretrained: false`."
        ) from error


def _transform(model: Any, settings: dict, training: bool) -> Callable:
    """Return timm's own preprocessing at the set size, with its augmentation for training."""
    from timm.data import create_transform, resolve_model_data_config

    config = resolve_model_data_config(model)
    size = settings["image_size"]
    if not training:
        config |= {"input_size": (3, size, size), "crop_pct": 1.0}
        return create_transform(**config, is_training=False)
    config |= {"input_size": (3, size, size)}
    return create_transform(
        **config,
        is_training=True,
        scale=tuple(settings["crop_scale"]),
        hflip=settings["flip"],
        color_jitter=settings["color_jitter"],
    )
