"""Object detectors, trained and tested by ultralytics."""

import logging
import math
import os
import pickle
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cia.errors import UserError
from cia.files import read_yaml, write_text, write_yaml
from cia.images import load_image
from cia.progress import log_epoch
from cia.training import Trained, Training
from cia.yolo import copy_fonts, import_ultralytics

logger = logging.getLogger("cia")

_INTEGRATIONS = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")

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
        If `model` is neither a model of ultralytics (`yolov8n.yaml`) nor an existing .pt file, or
        `options` has a key that another setting decides.
    """
    ultralytics = _import_quietly(training.work, training.threads)
    run = training.work / "run"
    _train_or_resume(ultralytics, training, run)
    best = training.output / "best.pt"
    shutil.copy2(run / "weights" / "best.pt", best)
    model = ultralytics.YOLO(best)
    # The last row that the best checkpoint knows is its own. The curve can't tell: of equally good
    # epochs ultralytics keeps the last.
    best_epoch = int(model.ckpt["train_results"]["epoch"][-1])
    val = _validate(model, training, "val")
    found: list[pd.DataFrame] = []
    model.add_callback("on_val_batch_end", lambda validator: _keep_found(validator, found))
    test = _validate(model, training, "test")
    curves = _curves(run / "results.csv")
    return Trained(
        curves=curves,
        best_epoch=best_epoch,
        steps=len(curves) * _steps_per_epoch(training),
        val=_summary(val),
        test=_summary(test),
        per_class=_per_class(test, training.classes),
        predictions=_predictions(found[-1], training),
    )


def predict(
    weights: Path, settings: dict, paths: list[str], confidence: float, threads: int
) -> list[np.ndarray]:
    """Find objects in pictures with a trained detector.

    Parameters
    ----------
    weights : path
        `best.pt` of a training.
    settings : dict
        The trainer's entry in the config.
    paths : list of str
        The pictures.
    confidence : float
        The least confidence of what counts as found.
    threads : int

    Returns
    -------
    list of numpy.ndarray
        Per picture, float64, shape (objects, 5): class, cx, cy, w, h, normalized.
    """
    with tempfile.TemporaryDirectory() as work:
        model = _import_quietly(Path(work), threads).YOLO(weights)
        found = []
        for path in paths:
            picture = np.ascontiguousarray(load_image(path)[..., ::-1])  # ultralytics takes BGR
            result = model.predict(
                picture, imgsz=settings["image_size"], conf=confidence, verbose=False
            )[0]
            boxes = result.boxes.cpu().numpy()
            found.append(np.column_stack([boxes.cls, boxes.xywhn]).astype(np.float64))
    return found


def _train_or_resume(ultralytics: Any, training: Training, run: Path) -> None:
    """Train, or go on from the last epoch of a training that was killed."""
    arguments = _arguments(training, run)
    model = _last_checkpoint(ultralytics, run / "weights")
    if model is None:
        shutil.rmtree(run, ignore_errors=True)
        name = _model_file(ultralytics, training.settings["model"])
        model = ultralytics.YOLO(name, task="detect")
        model.add_callback("on_fit_epoch_end", _log_epoch)
        try:
            model.train(**arguments)
        except (SyntaxError, NotImplementedError) as error:  # of names and values in `options`
            raise UserError(f"trainers: options: {_plain(error)}") from error
    elif model.ckpt["epoch"] >= 0:  # -1 in the weights of a training that has ended
        model.add_callback("on_fit_epoch_end", _log_epoch)
        # Where data and run are now: the project may have been moved since, or lost its GPU.
        model.train(resume=True, data=arguments["data"], save_dir=str(run.resolve()), device=None)


def _log_epoch(trainer: Any) -> None:
    """Log an epoch; ultralytics itself writes to the console alone."""
    found = {name: round(float(value), 4) for name, value in trainer.metrics.items()}
    log_epoch(trainer.epoch + 1, trainer.epochs, found)


def _plain(error: Exception) -> str:
    """Return an error's words without the colors for a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()


def _last_checkpoint(ultralytics: Any, weights: Path) -> Any:
    """Return the model to go on with; None if there is none, or a kill tore what there is.

    ultralytics writes its checkpoints in place, and looks for missing ones on the network.
    """
    best, last = weights / "best.pt", weights / "last.pt"
    if not (best.exists() and last.exists()):
        return None
    try:
        ultralytics.YOLO(best)
        return ultralytics.YOLO(last)
    except (TypeError, RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        logger.warning("The checkpoint in %s is damaged; training starts anew: %s", weights, error)
        return None


def _import_quietly(work: Path, threads: int) -> Any:
    """Import ultralytics with its settings in the work folder, and nothing to download or send.

    It would take all cores but one whatever it is told, log to every tracker that is installed, and
    stream the training to its platform where the environment has a key.
    """
    os.environ["YOLO_CONFIG_DIR"] = str((work / "config").resolve())
    ultralytics = import_ultralytics()
    # Ultralytics keeps for the life of a process the folder that its first import was told of: in a
    # process that trained before, a folder that is gone.
    config = Path(ultralytics.utils.USER_CONFIG_DIR)
    config.mkdir(parents=True, exist_ok=True)
    copy_fonts(config)
    off = dict.fromkeys(("sync", *_INTEGRATIONS), False)
    ultralytics.settings.update({**off, "api_key": "", "datasets_dir": str(work.resolve())})
    os.environ.pop("ULTRALYTICS_API_KEY", None)
    ultralytics.utils.torch_utils.NUM_THREADS = threads
    return ultralytics


def _model_file(ultralytics: Any, name: str) -> str:
    if Path(name).is_file():
        return name
    if name.endswith((".yaml", ".yml")):
        try:
            ultralytics.nn.tasks.yaml_model_load(name)
            return name
        except FileNotFoundError:
            pass
    raise UserError(
        f"trainers: model {name!r} is neither a model of ultralytics, like yolov8n.yaml (trained "
        "from scratch), nor an existing file of weights. For pretrained weights download, say, "
        "yolov8n.pt from the ultralytics releases and give its path."
    )


def _arguments(training: Training, run: Path) -> dict:
    """Return the arguments of ultralytics' train; `options` may replace its preferences alone."""
    settings = training.settings
    decided = {
        "data": str(_write_data(training).resolve()),
        "epochs": training.schedule().epochs,
        "imgsz": settings["image_size"],
        "batch": settings["batch"],
        "nbs": settings["batch"],  # else it gathers the gradients of 64 images for each step
        "patience": settings["patience"],
        "seed": training.seed,
        "workers": training.threads if training.threads > 1 else 0,
        "project": str(run.parent.resolve()),
        "name": run.name,
        "exist_ok": True,
        # With False it would drop the weights of a .pt file without a word.
        "pretrained": settings["model"].endswith(".pt"),
    }
    preferences = {
        "deterministic": True,
        "amp": False,  # its self-test downloads a model
        "plots": False,
        "verbose": False,
    }
    reserved = {*decided, "model", "resume", "save_dir", "time", "fraction"}
    if taken := sorted(reserved & set(settings["options"])):
        raise UserError(
            f"trainers: options can't set {', '.join(taken)}: image_size, batch, epochs, steps and "
            "patience are settings of their own, the rest is the workflow's."
        )
    return decided | preferences | settings["options"]


def _steps_per_epoch(training: Training) -> int:
    return math.ceil(len(training.schedule().rows) / training.settings["batch"])


def _write_data(training: Training) -> Path:
    """Write data.yaml for one epoch of the schedule, outside the mix, which others read."""
    images = training.entries("train")["image"].iloc[training.schedule().rows]
    folder = training.mix.resolve()
    lines = "".join(f"{(folder / image).as_posix()}\n" for image in images)
    write_text(training.work / "train.txt", lines)
    content = read_yaml(training.mix / "data.yaml")
    lists = {split: str(folder / f"{split}.txt") for split in ("val", "test")}
    path = training.work / "data.yaml"
    write_yaml(path, content | lists | {"train": str((training.work / "train.txt").resolve())})
    return path


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


def _keep_found(validator: Any, found: list[pd.DataFrame]) -> None:
    """Keep what the validator holds of each picture, after its last batch: it forgets it then."""
    if validator.batch_i + 1 < len(validator.dataloader):
        return
    stats = validator.metrics.stats
    names = [str(path) for path in validator.dataloader.dataset.im_files]
    parts = [
        pd.DataFrame(
            {
                "image": names[index],
                "class": stats["pred_cls"][index].astype(int),
                "confidence": stats["conf"][index],
                "correct": ["".join(map(str, row.astype(int))) for row in stats["tp"][index]],
            }
        )
        for index in range(len(stats["tp"]))
    ]
    found.append(pd.concat(parts, ignore_index=True))


def _predictions(found: pd.DataFrame, training: Training) -> pd.DataFrame:
    """Name the pictures as the training set does."""
    folder = training.mix.resolve()
    names = {
        name: Path(name).resolve().relative_to(folder).as_posix()
        for name in found["image"].unique()  # a look at the disk each, for thousands of boxes
    }
    return found.assign(image=found["image"].map(names))


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
