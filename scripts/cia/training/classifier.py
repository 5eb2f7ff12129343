"""Image classifiers: any timm model, trained from scratch or from pretrained weights."""

import copy
import random
from collections.abc import Callable
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
from cia.training import Trained, Training


def train(training: Training) -> Trained:
    """Train a timm classifier with AdamW and a one-cycle schedule, and test its best epoch.

    The best epoch is the one with the highest macro F1 on val (the earlier one of equals). Each
    epoch's order and augmentation come from the seed and the epoch's number, so a training that
    goes on after a kill sees the same batches.

    Returns
    -------
    Trained
        Metrics accuracy, macro_f1; per class precision, recall, f1, support; the confusion matrix.
        `best.safetensors` is in the output folder.

    Raises
    ------
    UserError
        If timm has no such model, or its weights can't be had.
    """
    from safetensors.torch import save_file

    torch.set_num_threads(training.threads)
    torch.manual_seed(training.seed)
    state = _State(training)
    while state.epoch < state.epochs:
        state.run_epoch()
    state.model.load_state_dict(state.best["model"])
    path = training.output / "best.safetensors"
    with atomic_path(path) as partial:
        weights = {name: value.contiguous() for name, value in state.best["model"].items()}
        save_file(weights, partial, metadata={"architecture": training.settings["model"]})
    truth, predicted = state.predict("test")
    val = evaluate(*state.predict("val"), training.classes)
    test = evaluate(truth, predicted, training.classes)
    images = training.entries("test")["image"]
    return Trained(
        curves=pd.DataFrame(state.history),
        best_epoch=state.best["epoch"],
        steps=state.epochs * len(state.loaders["train"]),
        val=val["overall"],
        test=test["overall"],
        per_class=test["per_class"],
        predictions=pd.DataFrame({"image": images, "label": truth, "predicted": predicted}),
        confusion=test["confusion"],
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


def predict(
    weights: Path, settings: dict, classes: list[str], paths: list[str], batch_size: int
) -> np.ndarray:
    """Read pictures with a trained classifier.

    Parameters
    ----------
    weights : path
        `best.safetensors` of a training.
    settings : dict
        The trainer's entry in the config.
    classes : list of str
        Class names in index order.
    paths : list of str
        The pictures.
    batch_size : int

    Returns
    -------
    numpy.ndarray
        Class probabilities, float32, shape (n, number of classes).
    """
    from safetensors.torch import load_file

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bare = {**settings, "pretrained": False, "weights": None}
    model = _create(bare, len(classes))
    model.load_state_dict(load_file(weights))
    model = model.eval().to(device)
    transform = _transform(model, settings, training=False)
    chances = []
    with torch.inference_mode():
        for start in range(0, len(paths), batch_size):
            pictures = [load_image(path) for path in paths[start : start + batch_size]]
            inputs = torch.stack([transform(Image.fromarray(picture)) for picture in pictures])
            chances.append(model(inputs.to(device)).softmax(dim=1).float().cpu().numpy())
    return np.concatenate(chances)


class _State:
    """A training under way: all of it that a checkpoint holds, and what is rebuilt."""

    def __init__(self, training: Training):
        self.training, self.settings = training, training.settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = _create(self.settings, len(training.classes)).to(self.device)
        self.loaders = {split: self._loader(split) for split in ("train", "val", "test")}
        self.epochs = training.schedule().epochs
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.settings["learning_rate"],
            weight_decay=self.settings["weight_decay"],
            fused=True,  # a third less time per step of a small model on a CPU
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=self.settings["learning_rate"],
            total_steps=self.epochs * len(self.loaders["train"]),
        )
        self.loss = torch.nn.CrossEntropyLoss(label_smoothing=self.settings["label_smoothing"])
        self.epoch, self.history, self.best = 0, [], {"val": -1.0}
        self.checkpoint = training.work / "checkpoint.pt"
        if self.checkpoint.exists():
            self._restore()

    def run_epoch(self) -> None:
        """Train one epoch, judge it on val, and write a checkpoint."""
        _seed_everything(self.training.seed, self.epoch)
        self.model.train()
        losses = [self._step(images, labels) for images, labels in self.loaders["train"]]
        self.epoch += 1
        scores = evaluate(*self.predict("val"), self.training.classes)["overall"]
        row = {"epoch": self.epoch, "train_loss": float(np.mean(losses))}
        self.history.append(row | {f"val_{name}": value for name, value in scores.items()})
        if scores["macro_f1"] > self.best["val"]:
            weights = copy.deepcopy(self.model.state_dict())
            self.best = {"val": scores["macro_f1"], "epoch": self.epoch, "model": weights}
        log_epoch(self.epoch, self.epochs, self.history[-1])
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
        self.schedule.step()
        return loss.item()

    def _loader(self, split: str) -> DataLoader:
        entries = self.training.entries(split)
        training = split == "train"
        if training:
            entries = entries.iloc[self.training.schedule().rows]
        transform = _transform(self.model, self.settings, training)
        return DataLoader(
            _Pictures(self.training.mix, entries, transform),
            batch_size=self.settings["batch"],
            shuffle=training,
            num_workers=self.training.threads if self.training.threads > 1 else 0,
            # Batch normalization can't train on a batch of one picture.
            drop_last=training and len(entries) % self.settings["batch"] == 1 < len(entries),
        )

    def _save(self) -> None:
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "history": self.history,
            "best": self.best,
        }
        with atomic_path(self.checkpoint) as partial:
            torch.save(content, partial)

    def _restore(self) -> None:
        content = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        self.epoch, self.history, self.best = (content[key] for key in ("epoch", "history", "best"))


class _Pictures(Dataset):
    """The pictures of a split with their class indices."""

    def __init__(self, mix: Path, entries: pd.DataFrame, transform: Callable):
        self.paths = [mix / image for image in entries["image"]]
        self.labels = entries["label"].astype(int).tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(load_image(self.paths[index]))
        return self.transform(picture), self.labels[index]


def _create(settings: dict, classes: int) -> Any:
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
            f"trainers: the timm model {settings['model']!r} can't be made: {error}. "
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


def _seed_everything(seed: int, epoch: int) -> None:
    """Seed what augmentation and shuffling draw from."""
    mixed = seed * 100_003 + epoch
    random.seed(mixed)
    np.random.seed(mixed % 2**32)
    torch.manual_seed(mixed)
