"""Object detectors, trained and tested by ultralytics."""

import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from cia.errors import UserError
from cia.training import Trained, Training
from cia.yolo import import_ultralytics

_COLUMNS = {
    "metrics/mAP50(B)": "val_mAP50",
    "metrics/mAP50-95(B)": "val_mAP50-95",
    "metrics/precision(B)": "val_precision",
    "metrics/recall(B)": "val_recall",
}


def train(training: Training) -> Trained:
    """Train a YOLO model, choose its best epoch on val, and test that on the real test split.

    Returns
    -------
    Trained
        Metrics mAP50, mAP50-95, precision, recall; per class AP50 and AP50-95. `best.pt` is in the
        output folder.

    Raises
    ------
    UserError
        If `model` is neither a model of ultralytics (`yolov8n.yaml`) nor an existing .pt file.
    """
    ultralytics = _import_quietly(training.work)
    run = training.work / "run"
    _train_or_resume(ultralytics, training, run)
    best = training.output / "best.pt"
    shutil.copy2(run / "weights" / "best.pt", best)
    model = ultralytics.YOLO(best)
    val, test = (_validate(model, training, split) for split in ("val", "test"))
    curves = _curves(run / "results.csv")
    return Trained(
        curves=curves,
        best_epoch=int(curves["epoch"][curves["val_mAP50-95"].idxmax()]),
        val=_summary(val),
        test=_summary(test),
        per_class=_per_class(test, training.classes),
    )


def _train_or_resume(ultralytics: Any, training: Training, run: Path) -> None:
    """Train, or go on from the last epoch of a training that was killed."""
    last = run / "weights" / "last.pt"
    if not last.exists():
        model = ultralytics.YOLO(_model_file(training.settings["model"]), task="detect")
        model.train(**_arguments(training, run))
        return
    model = ultralytics.YOLO(last)
    if model.ckpt["epoch"] >= 0:  # -1 in the weights of a training that has ended
        model.train(resume=True)


def _import_quietly(work: Path) -> Any:
    """Import ultralytics with its settings in the work folder, and nothing to download.

    Its plots want a font that it would fetch; matplotlib brings one.
    """
    import matplotlib

    config = work / "config"
    (config / "Ultralytics").mkdir(parents=True, exist_ok=True)
    os.environ["YOLO_CONFIG_DIR"] = str(config.resolve())
    ultralytics = import_ultralytics()
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        shutil.copy2(font, Path(ultralytics.utils.USER_CONFIG_DIR) / name)
    ultralytics.settings.update({"sync": False, "datasets_dir": str(work.resolve())})
    return ultralytics


def _model_file(name: str) -> str:
    if name.endswith((".yaml", ".yml")) or Path(name).is_file():
        return name
    raise UserError(
        f"trainers: model {name!r} is neither a model of ultralytics, like yolov8n.yaml (trained "
        "from scratch), nor an existing file of weights. For pretrained weights download, say, "
        "yolov8n.pt from the ultralytics releases and give its path."
    )


def _arguments(training: Training, run: Path) -> dict:
    settings = training.settings
    arguments = {
        "data": str((training.mix / "data.yaml").resolve()),
        "epochs": training.epochs(),
        "imgsz": settings["image_size"],
        "batch": settings["batch"],
        "patience": settings["patience"],
        "seed": training.seed,
        "deterministic": True,
        "workers": training.threads if training.threads > 1 else 0,
        "project": str(run.parent.resolve()),
        "name": run.name,
        "exist_ok": True,
        "pretrained": False,
        "amp": False,  # its self-test downloads a model
        "plots": False,
        "verbose": False,
    }
    return arguments | settings["options"]


def _validate(model: Any, training: Training, split: str) -> Any:
    return model.val(
        data=str((training.mix / "data.yaml").resolve()),
        split=split,
        imgsz=training.settings["image_size"],
        batch=training.settings["batch"],
        workers=0,
        plots=False,
        verbose=False,
        project=str(training.work.resolve()),
        name=f"val-{split}",
        exist_ok=True,
    ).box


def _summary(box: Any) -> dict:
    return {
        "mAP50": float(box.map50),
        "mAP50-95": float(box.map),
        "precision": float(box.mp),
        "recall": float(box.mr),
    }


def _per_class(box: Any, classes: list[str]) -> dict:
    """Return the average precisions of the classes that the split shows."""
    return {
        classes[int(index)]: {"AP50": float(box.ap50[row]), "AP50-95": float(box.ap[row])}
        for row, index in enumerate(box.ap_class_index)
    }


def _curves(results: Path) -> pd.DataFrame:
    table = pd.read_csv(results, skipinitialspace=True)
    # An epoch is logged before it is saved, so a kill in between leaves it there twice.
    table = table.drop_duplicates("epoch", keep="last").reset_index(drop=True)
    losses = table[[name for name in table.columns if name.startswith("train/")]]
    curves = pd.DataFrame({"epoch": table["epoch"].astype(int), "train_loss": losses.sum(axis=1)})
    return curves.assign(**{new: table[old] for old, new in _COLUMNS.items()})
