"""Detectors of objects, of their masks or keypoints, trained and tested by ultralytics."""

import io
import logging
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cia.errors import UserError
from cia.files import atomic_path, read_yaml, write_text, write_yaml
from cia.images import load_image
from cia.labels.masks import trace
from cia.labels.objects import Object
from cia.quiet_ultralytics import copy_fonts, import_ultralytics
from cia.training.schedule import Schedule
from cia.training.trainings import Reading, Tested, Trained, Training

_INTEGRATIONS = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")

logger = logging.getLogger("cia")


class Measured(NamedTuple):
    """Something by which objects count as found, and what ultralytics calls it.

    Attributes
    ----------
    prefix : str
        Of our metrics' names.
    metric : str
        Attribute of ultralytics' metrics.
    letter : str
        In the names of its columns.
    stats : str
        Of its statistics: what is true at each threshold.
    """

    prefix: str
    metric: str
    letter: str
    stats: str


_BOXES = Measured("box_", "box", "B", "tp")
MEASURED = {
    "detection": (_BOXES._replace(prefix=""),),
    "segmentation": (Measured("mask_", "seg", "M", "tp_m"), _BOXES),
    "pose": (Measured("oks_", "pose", "P", "tp_p"), _BOXES),
}
"""What is measured of each task, the main one first."""

_TASKS = {"detect": "detection", "segment": "segmentation", "pose": "pose"}
"""Tasks by ultralytics' names."""

_WHOLE_MASKS = {"mask_ratio": 1, "overlap_mask": False}
"""Arguments of a validation: true masks at the size of the network's input, each of them whole."""

_USUAL_EPOCHS = 100
"""For so many epochs ultralytics' defaults are made that are counted in epochs."""

_OF_THE_RUN = ("data", "name", "project", "save_dir")
"""Arguments of a training that say where it ran, which its weights need not tell."""


def train(training: Training) -> Trained:
    """Train a YOLO model and choose its best epoch on val; of equally good ones the last.

    The best is that of ultralytics' fitness, mAP50-95; of a segmentation or a pose the sum of that
    of the masks or keypoints and that of the boxes.

    Returns
    -------
    Trained
        Val metrics mAP50, mAP50-95, precision, recall: of a detection; of a segmentation with
        `mask_` and `box_` before their names, of a pose with `oks_` and `box_`. `best.pt` is in
        the output folder.

    Raises
    ------
    UserError
        If `model` is neither a model of ultralytics (`yolov8n.yaml`) nor an existing .pt file, or
        is for another task than the training set, `options` has a key that another setting
        decides, a picture can't be used, the loss becomes NaN, or a batch does not fit the GPU.
    """
    ultralytics = _import_quietly(training.work, training.threads)
    from cia.training.yolo_trainer import load_state, refuse_caches

    refuse_caches()
    run, state = training.work / "run", training.work / "state.pt"
    if not (state.exists() and load_state(state)["ended"]):
        _fit(ultralytics, training, run, state)
    state = load_state(state)
    weights = training.output / "best.pt"
    _write_weights(run / "weights" / "best.pt", weights)
    _keep_plots(run, training.output / "plots")
    model = ultralytics.YOLO(weights)
    return Trained(
        weights=weights,
        curves=_curves(io.StringIO(state["results"]), training.task),
        best_epoch=state["best_epoch"],
        steps=state["steps"],
        val=_summary(_validate(model, training, "val", training.work), training.task),
    )


def test(training: Training, weights: Path) -> Tested:
    """Test trained weights on the real test split.

    Masks are compared pixel by pixel at the size of the network's input, each true mask whole.
    Keypoints by their OKS, of the true box's area times 0.53, with COCO's sigmas for 17 keypoints
    of 3 numbers, and 1 / K for any other number K.

    Returns
    -------
    Tested
        Metrics as of `train`; per class AP50 and AP50-95, with the same words before their names.

    Raises
    ------
    UserError
        If a test picture can't be used.
    """
    with tempfile.TemporaryDirectory() as work:
        ultralytics = _import_quietly(Path(work), training.threads)
        from cia.training.yolo_trainer import refuse_caches

        refuse_caches()
        model = ultralytics.YOLO(weights)
        found: list[pd.DataFrame] = []
        model.add_callback(
            "on_val_batch_end", lambda validator: _keep_found(validator, training.task, found)
        )
        result = _validate(model, training, "test", Path(work))
    return Tested(
        test=_summary(result, training.task),
        per_class=_per_class(result, training.task, training.classes),
        predictions=_predictions(found[-1], training),
    )


def predict(weights: Path, settings: dict, reading: Reading) -> list[list[Object]]:
    """Find objects in pictures with a trained detector.

    Parameters
    ----------
    weights : path
        `best.pt` of a training.
    settings : dict
        The trainer's entry in the config.
    reading : Reading
        The pictures, and the least confidence of what counts as found.

    Returns
    -------
    list of list of Object
        Per picture; with polygons of a segmentation, keypoints of a pose.
    """
    with tempfile.TemporaryDirectory() as work:
        model = _import_quietly(Path(work), reading.threads).YOLO(weights)
        found = []
        for path in reading.paths:
            picture = np.ascontiguousarray(load_image(path)[..., ::-1])  # ultralytics takes BGR
            result = model.predict(
                picture,
                imgsz=settings["image_size"],
                conf=reading.confidence,
                retina_masks=True,  # as large as the picture
                verbose=False,
            )[0]
            found.append(_objects(result.cpu().numpy()))
    return found


def _objects(result: Any) -> list[Object]:
    """Return the objects that ultralytics found in a picture; a mask of no pixel is left out."""
    boxes = result.boxes.xyxyn.astype(np.float64)
    indices = result.boxes.cls.astype(int).tolist()
    objects = [
        Object(str(index), tuple(box)) for index, box in zip(indices, boxes.tolist(), strict=True)
    ]
    if result.masks is not None:
        rings = [trace(mask > 0.5) for mask in result.masks.data]
        pairs = zip(objects, rings, strict=True)
        return [one._replace(polygon=ring) for one, ring in pairs if ring is not None]
    if result.keypoints is not None:
        points = result.keypoints.xyn.astype(np.float64)
        return [one._replace(keypoints=found) for one, found in zip(objects, points, strict=True)]
    return objects


def _fit(ultralytics: Any, training: Training, run: Path, state: Path) -> None:
    """Train to the end, from the beginning or from the saved state."""
    from cia.training.yolo_trainer import trainer_class

    schedule = training.schedule()
    arguments = _arguments(training, schedule, run)
    arguments["model"] = _model_file(ultralytics, training.settings["model"], training.key)
    _require_task(ultralytics, arguments["model"], training)
    try:
        trainer = trainer_class(training.task)(schedule, state, training.key, arguments)
    except (SyntaxError, TypeError, ValueError) as error:  # of names and values in `options`
        raise UserError(f"{training.key}.options: {_plain(error)}") from error
    trainer.train()


def _plain(error: Exception) -> str:
    """Return an error's words without the colors for a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()


def _write_weights(best: Path, target: Path) -> None:
    """Write the best weights without what they need not tell, the same bytes for the same weights.

    ultralytics puts in the git remote's address (with its password, if it has one), branch and last
    message of whatever repository holds its package, and the paths of the run.
    """
    import torch

    content = torch.load(best, map_location="cpu", weights_only=False)  # written by this training
    model = content["ema"].half()
    model.criterion = None
    for parameter in model.parameters():
        parameter.requires_grad = False
    arguments = {
        name: _file_name(value)
        for name, value in content["train_args"].items()
        if name not in _OF_THE_RUN
    }
    model.args = arguments
    model.yaml = {name: _file_name(value) for name, value in model.yaml.items()}
    results = {name: row for name, row in content["train_results"].items() if name != "time"}
    kept = {name: content[name] for name in ("train_metrics", "version", "license", "docs")}
    buffer = io.BytesIO()  # a file's name would be in the archive
    torch.save(
        {"epoch": -1, "model": model, "train_args": arguments, "train_results": results, **kept},
        buffer,
    )
    with atomic_path(target) as partial:
        partial.write_bytes(buffer.getvalue())


def _keep_plots(run: Path, folder: Path) -> None:
    """Keep the pictures that ultralytics drew (with `plots: true`): of batches, labels, curves."""
    shutil.rmtree(folder, ignore_errors=True)
    for picture in sorted([*run.glob("*.jpg"), *run.glob("*.png")]):
        folder.mkdir(exist_ok=True)
        shutil.copy2(picture, folder)


def _file_name(value: Any) -> Any:
    """Return the name alone of a file whose whole path is given."""
    return Path(value).name if isinstance(value, str) and os.path.isabs(value) else value


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


def _model_file(ultralytics: Any, name: str, key: str) -> str:
    if Path(name).is_file():
        return name
    if name.endswith((".yaml", ".yml")):
        try:
            ultralytics.nn.tasks.yaml_model_load(name)
            return name
        except FileNotFoundError:
            pass
    raise UserError(
        f"{key}: model {name!r} is neither a model of ultralytics, like yolov8n.yaml (trained "
        "from scratch), nor an existing file of weights. For pretrained weights download, say, "
        "yolov8n.pt from the ultralytics releases and give its path."
    )


def _require_task(ultralytics: Any, model: str, training: Training) -> None:
    """Check that a model is for the training set's task."""
    if model.endswith(".pt"):
        found = ultralytics.YOLO(model).task
    else:
        described = ultralytics.nn.tasks.yaml_model_load(model)
        found = ultralytics.nn.tasks.guess_model_task(described)
    found = _TASKS.get(found, found)
    if found not in (None, training.task):
        raise UserError(
            f"{training.key}: model {training.settings['model']!r} is for {found}, but the dataset "
            f"is for {training.task}"
        )


def _arguments(training: Training, schedule: Schedule, run: Path) -> dict:
    """Return the arguments of ultralytics' train; `options` may replace its preferences alone."""
    settings = training.settings
    decided = {
        "data": str(_write_data(training).resolve()),
        "epochs": schedule.epochs,
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
        **_counted_in_epochs(schedule, bool(settings["steps"])),
        **_mirroring(training),
    }
    return decided | preferences | settings["options"]


def _mirroring(training: Training) -> dict:
    """Mirror no picture whose keypoints have no `flip_idx`, which ultralytics does as silently."""
    if training.task != "pose" or training.form.get("flip_idx"):
        return {}
    logger.warning(
        "The dataset has no `flip_idx`, so no training picture is mirrored: nothing says which "
        "keypoint each one becomes in a mirror image."
    )
    return {"fliplr": 0.0, "flipud": 0.0}


def _counted_in_epochs(schedule: Schedule, by_steps: bool) -> dict:
    """Return ultralytics' defaults that are counted in epochs, as the same share of the training.

    It trains without mosaics, mixup and copy-paste for its last 10 epochs: with 10 or fewer it
    would never use them. The learning rate warms up for 3 epochs, which of 10 would be long.
    """
    tenth = round(schedule.epochs / 10)
    if by_steps:
        return {"close_mosaic": tenth, "warmup_epochs": 3 * schedule.epochs / _USUAL_EPOCHS}
    return {"close_mosaic": min(tenth, 10)}


def _write_data(training: Training) -> Path:
    """Write a data.yaml with absolute paths, outside the mix, which others read."""
    folder = training.mix.resolve()
    content = read_yaml(training.mix / "data.yaml")
    content.pop("task", None)  # ours
    for split in ("train", "val", "test"):
        listed = (folder / f"{split}.txt").read_text(encoding="utf-8").splitlines()
        lines = "".join(f"{(folder / image).as_posix()}\n" for image in listed)
        content[split] = str((training.work / f"{split}.txt").resolve())
        write_text(content[split], lines)
    path = training.work / "data.yaml"
    write_yaml(path, content)
    return path


def _validate(model: Any, training: Training, split: str, work: Path) -> Any:
    seen: list[int] = []
    model.add_callback("on_val_end", lambda validator: seen.append(validator.seen))
    masks = training.task == "segmentation"
    if masks:
        model.add_callback("on_val_batch_start", _compare_pixels)
    result = model.val(
        data=str((training.mix / "data.yaml").resolve()),
        split=split,
        imgsz=training.settings["image_size"],
        batch=training.settings["batch"],
        workers=0,
        plots=False,
        verbose=False,
        project=str(work.resolve()),
        name=f"val-{split}",
        exist_ok=True,
        **(_WHOLE_MASKS if masks else {}),
    )
    if seen != [len(training.entries(split))]:
        raise UserError(
            f"{training.key}: ultralytics looked at {seen} of the {len(training.entries(split))} "
            f"pictures of {split}"
        )
    return result


def _compare_pixels(validator: Any) -> None:
    """Have found masks at the size of the network's input; usually they are a quarter of it."""
    from ultralytics.utils import ops

    validator.process = ops.process_mask_native


def _keep_found(validator: Any, task: str, found: list[pd.DataFrame]) -> None:
    """Keep what the validator holds of each picture, after its last batch: it forgets it then."""
    if validator.batch_i + 1 < len(validator.dataloader):
        return
    stats = validator.metrics.stats
    names = [str(path) for path in validator.dataloader.dataset.im_files]
    main, *others = MEASURED[task]
    columns = {"correct": main.stats} | {f"correct_{part.metric}": part.stats for part in others}
    parts = [
        pd.DataFrame(
            {
                "image": names[index],
                "class": stats["pred_cls"][index].astype(int),
                "confidence": stats["conf"][index],
            }
            | {
                column: ["".join(map(str, row.astype(int))) for row in stats[name][index]]
                for column, name in columns.items()
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


def _summary(result: Any, task: str) -> dict:
    found = {}
    for part in MEASURED[task]:
        metric = getattr(result, part.metric)
        found |= {
            f"{part.prefix}mAP50": float(metric.map50),
            f"{part.prefix}mAP50-95": float(metric.map),
            f"{part.prefix}precision": float(metric.mp),
            f"{part.prefix}recall": float(metric.mr),
        }
    return found


def _per_class(result: Any, task: str, classes: list[str]) -> dict:
    """Return the average precisions of the classes that the split shows."""
    metrics = {part.prefix: getattr(result, part.metric) for part in MEASURED[task]}
    return {
        classes[int(index)]: {
            f"{prefix}{name}": float(values[row])
            for prefix, metric in metrics.items()
            for name, values in {"AP50": metric.ap50, "AP50-95": metric.ap}.items()
        }
        for row, index in enumerate(result.box.ap_class_index)
    }


def _curves(results: io.StringIO, task: str) -> pd.DataFrame:
    table = pd.read_csv(results, skipinitialspace=True)
    losses = table[[name for name in table.columns if name.startswith("train/")]]
    curves = pd.DataFrame({"epoch": table["epoch"].astype(int), "train_loss": losses.sum(axis=1)})
    columns = {
        f"val_{part.prefix}{name}": table[f"metrics/{name}({part.letter})"]
        for part in MEASURED[task]
        for name in ("mAP50", "mAP50-95", "precision", "recall")
    }
    return curves.assign(**columns)
