"""Names of models: those that no library knows, and local files that are not there.

`resources/names` lists what the pinned libraries know (`tools/list_names.py` writes it, a test
holds it equal): with conda environments, none of them is installed where Snakemake itself runs.
What is on the hub is for the run's first job, `check_models`. Light on purpose: the Snakefile
imports it for every dry run.
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from cia.errors import UserError, suggest
from cia.safetensors_files import convert_command
from cia.training.options import DECIDED

INCEPTION_FILE = "inception-2015-12-05.pt"
"""What clean-fid calls the weights of FID's network."""

LORA_FILE = "pytorch_lora_weights.safetensors"
"""What diffusers calls a LoRA's file."""

NAMES = Path(__file__).resolve().parents[3] / "resources" / "names"

_OWN_NOISE = {"DPMSolverSDEScheduler", "CosineDPMSolverMultistepScheduler"}
"""Schedulers whose noise comes from a generator of their own, so an image's seed has no say."""

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_WEIGHTS = {".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".onnx"}
_SOURCES = ("hf-hub:", "hf_hub:", "local-dir:")
"""What timm's names of models begin with that are not in its own list."""

OPTIMIZERS = ("auto", "sgd", "musgd", "adam", "adamax", "adamw", "nadam", "radam", "rmsprop")
"""Those of ultralytics' trainer, which takes them in any case of letters."""

_KINDS = {
    "number": "a number",
    "share": "a number from 0 to 1",
    "integer": "an integer",
    "boolean": "true or false",
}
_IS_OF_KIND: dict[str, Callable[[Any], bool]] = {
    "number": lambda value: _is_number(value),
    "share": lambda value: _is_number(value) and 0 <= value <= 1,
    "integer": lambda value: _is_number(value) and isinstance(value, int),
    "boolean": lambda value: isinstance(value, bool),
}
"""Kinds of values in resources/names/options.txt."""

_OTHER_TRAINERS = re.compile(r"rtdetr|yoloe|world")
"""Parts of ultralytics' names for models that it trains in another way than its other detectors."""

_TASK = re.compile(r"-(seg|pose|obb|cls|sem|depth)\b")
"""Parts of ultralytics' names for models of other tasks than detection."""

_TASKS = {
    "seg": "segmentation",
    "pose": "pose",
    "obb": "oriented boxes",
    "cls": "classification",
    "sem": "semantic segmentation",
    "depth": "depth",
}
"""What they say."""

_LEARNED = {"detection": "", "segmentation": "-seg", "pose": "-pose"}
"""The tasks that are trained by ultralytics, with the end of its models' names for each."""


@cache
def known(library: str) -> dict[str, list[str]]:
    """Return the names that a library knows (schedulers, timm, ...), with their tags."""
    lines = (NAMES / f"{library}.txt").read_text(encoding="utf-8").splitlines()
    return {name: tags for name, *tags in map(str.split, lines)}


def unknown_names(config: dict) -> Iterator[str]:
    """Yield a sentence for each name that its library does not know, in any entry."""
    for name, entry in config["generators"].items():
        yield from _prefixed(f"generators.{name}.scheduler", _scheduler(entry["scheduler"]))
    for name, entry in config["features"].items():
        library, _, model = entry["model"].partition(":")
        if library == "timm":
            pretrained = entry["weights"] is None
            yield from _prefixed(f"features.{name}.model", _timm(model, pretrained))
    for name, entry in config["trainers"].items():
        if entry["kind"] == "timm":
            pretrained = entry["pretrained"] and entry["weights"] is None
            yield from _prefixed(f"trainers.{name}.model", _timm(entry["model"], pretrained))
        for option, value in entry.get("options", {}).items():
            yield from _prefixed(f"trainers.{name}.options", _option(option, value))


def missing_files(used: dict) -> Iterator[str]:
    """Yield a sentence for each local model that is not there, of the entries that are used.

    Parameters
    ----------
    used : dict
        The configuration, or the part of it that `cia.config.experiments.used_config` returns.
    """
    for name, entry in used["generators"].items():
        key = f"generators.{name}"
        yield from _prefixed(f"{key}.model", _diffusers(entry["model"], "model_index.json"))
        file = Path(entry["controlnet_subfolder"] or ".", "config.json")
        yield from _prefixed(f"{key}.controlnet", _diffusers(entry["controlnet"], file))
        for index, lora in enumerate(entry["lora"]):
            yield from _prefixed(f"{key}.lora.{index}", _lora(lora))
    for name, entry in used["conditions"].items():
        if "model" in entry:
            find = _yolo_masks if entry["extractor"] == "yolo_segmentation" else _folder_of
            yield from _prefixed(f"conditions.{name}.model", find(entry))
    for name, entry in used["judges"].items():
        if "model" in entry:
            yield from _prefixed(f"judges.{name}.model", _folder_of(entry))
    for name, entry in used["features"].items():
        yield from _prefixed(f"features.{name}.weights", _feature_weights(entry))
    for name, entry in used["trainers"].items():
        if entry["kind"] == "yolo":
            yield from _prefixed(f"trainers.{name}.model", _detector(entry["model"]))
        elif entry.get("weights"):
            yield from _prefixed(f"trainers.{name}.weights", _file(entry["weights"]))


def _prefixed(key: str, problem: str | None) -> Iterator[str]:
    if problem:
        yield f"{key}: {problem}"


def _scheduler(name: str | None) -> str | None:
    if name is None:
        return None
    schedulers = list(known("schedulers"))
    if name not in schedulers:
        return f"diffusers has no scheduler {name!r}{suggest(name, schedulers)}"
    return own_noise(name)


def own_noise(scheduler: str) -> str | None:
    """Say so if a scheduler draws noise that no seed decides."""
    if scheduler not in _OWN_NOISE:
        return None
    return (
        f"{scheduler} draws noise that an image's seed does not decide, so images could not be "
        "repeated; choose another, such as DPMSolverMultistepScheduler"
    )


def _timm(name: str, pretrained: bool) -> str | None:
    if name.startswith(_SOURCES):
        return None
    models = known("timm")
    base, _, tag = name.partition(".")
    if base not in models:
        return f"timm has no model {base!r}{suggest(base, models, most=3)}"
    weights = [tag for tag in models[base] if not tag.startswith("~")]
    if tag and tag not in (text.removeprefix("~") for text in models[base]):
        return f"timm has no weights {tag!r} for {base!r}{_options(weights)}"
    if pretrained and (tag not in weights if tag else not weights):
        return f"timm has no pretrained weights for {name!r}{_options(weights)}"
    return None


def _options(weights: list[str]) -> str:
    return f"; there are {', '.join(weights)}" if weights else "; there are none"


def _option(name: str, value: Any) -> str | None:
    if name in DECIDED:
        return f"{name!r} can't be set here: it is {DECIDED[name]}"
    if (name, value) == ("cache", "disk"):
        return "cache: disk would leave files in the training set; set it to ram, or leave it out"
    if name == "optimizer" and str(value).lower() not in OPTIMIZERS:
        return f"there is no optimizer {value!r}; there are {', '.join(OPTIMIZERS)}"
    if name in known("options"):
        kind = "".join(known("options")[name])
        unfit = kind and not _IS_OF_KIND[kind](value)
        return f"{name}: {value!r} is not {_KINDS[kind]}" if unfit else None
    return f"ultralytics' train has no argument {name!r}{suggest(name, known('options'), most=3)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _detector(name: str) -> str | None:
    """A detector to train is a file, or a description that ultralytics ships."""
    if Path(name).is_file():
        return None
    if not name.endswith(".yaml"):
        return (
            f"there is no file {name!r}{_home(name)}; it must be a model of ultralytics, like "
            "yolov8n.yaml (trained from scratch), or an existing file of weights. For pretrained "
            "weights download, say, yolov8n.pt from the ultralytics releases and give its path"
        )
    if (now := re.sub(r"^(yolov[58][nsmlx])6\.yaml$", r"\1-p6.yaml", name)) not in detectors():
        return f"ultralytics has no model {name!r}{suggest(name, sorted(detectors()), most=3)}"
    if _OTHER_TRAINERS.search(now):
        return f"{name!r} is not trained as other detectors are; take, say, 'yolo11n.yaml'"
    if (task := model_task(now)) not in _LEARNED:
        return f"{name!r} is for {task}; take {_TASK.sub('', now)!r}, or one for masks or keypoints"
    return None


def model_task(name: str) -> str | None:
    """Return the task that the name of one of ultralytics' models tells; None for other names."""
    file = Path(name).name
    published = {model for model in known("ultralytics") if re.match(r"yolo.*\.pt$", model)}
    if file not in detectors() | published:
        return None
    found = _TASK.search(file)
    return _TASKS[found[1]] if found else "detection"


def model_for(name: str, task: str) -> str | None:
    """Return the name of the same model of ultralytics for another task, where there is one."""
    stem, end = os.path.splitext(_TASK.sub("", name))
    other = f"{stem}{_LEARNED.get(task, '')}{end}"
    return other if model_task(other) == task else None


@cache
def detectors() -> set[str]:
    """Return the names of ultralytics' descriptions of models, with and without a scale (8n)."""
    files = [name for name in known("ultralytics") if name.endswith(".yaml")]
    scaled = (
        re.sub(r"^(yolo\D*\d+)(?=[.-])", rf"\1{scale}", file) for file in files for scale in "nsmlx"
    )
    return {*files, *scaled}


def _yolo_masks(entry: dict) -> str | None:
    """A YOLO segmentation model is a file, one that ultralytics publishes, or in a repository."""
    model, filename = entry["model"], entry["filename"]
    if filename:
        return _folder(model, filename)
    if Path(model).is_file():
        return None
    name = Path(model).name
    published = [file for file in known("ultralytics") if file.endswith(".pt")]
    if name not in published:
        masks = [file for file in published if "-seg" in file]
        return (
            f"there is no file {model!r}, and ultralytics publishes none of that name"
            f"{suggest(name, masks, most=3)}; for a file in a hub repository or folder, set "
            "`filename`, too"
        )
    if "-seg" not in name:
        return f"{name!r} finds no masks; take {name.replace('.pt', '-seg.pt')!r}"
    return None


def _feature_weights(entry: dict) -> str | None:
    weights = entry["weights"]
    if weights is None:
        return None
    if entry["model"] == "tiny":
        return _file(os.path.join(weights, "config.json"))
    if entry["model"] == "vit":
        return _folder(weights, "config.json")
    if entry["model"] == "inception" and Path(weights).name != INCEPTION_FILE:
        return f"{weights!r} must be a file named {INCEPTION_FILE}"
    return _file(weights) if entry["model"].startswith(("inception", "timm:")) else None


def _folder_of(entry: dict) -> str | None:
    return _folder(entry["model"])


def _folder(name: str, file: str | Path = ".") -> str | None:
    """A folder with this file in it, or what may be a hub id."""
    if Path(name).is_dir():
        there = Path(name, file)
        return None if there.exists() else f"{there} does not exist; a model in this layout has one"
    if Path(name).is_file() or Path(name).suffix in _WEIGHTS:
        return f"{name!r} is a file's name; it must be a folder or a hub id (owner/name)"
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        return f"there is no folder {name!r}{_home(name)} (a hub id is owner/name)"
    if not _HUB_ID.fullmatch(name):
        return f"{name!r} is neither a folder here nor a hub id (owner/name)"
    return None


def _diffusers(name: str, file: str | Path) -> str | None:
    """The same; of a single file with all of a model, say how to make a folder of it."""
    path = Path(name)
    if path.suffix not in _WEIGHTS or path.is_dir():
        return _folder(name, file)
    if not path.is_file():
        return f"there is no file {name!r}{_home(name)}, and a folder or a hub id is needed"
    if path.suffix != ".safetensors":
        return (
            f"{name!r} is a single file that may run code when it is loaded; take the model as a "
            "folder in diffusers' layout with safetensors weights, or its hub id"
        )
    try:
        command = convert_command(path)
    except UserError as error:
        return str(error)
    return (
        f"{name!r} is a single file, and a folder in diffusers' layout is needed. Make one, once, "
        f"and set this to {str(path.with_suffix(''))!r}:\n    {command}"
    )


def lora_path(entry: dict) -> Path | None:
    """Return the local file of one of a generator's LoRAs; None for one of the hub.

    Parameters
    ----------
    entry : dict
        model, file.
    """
    path = Path(entry["model"])
    if path.is_dir():
        return path / (entry["file"] or LORA_FILE)
    return path if path.is_file() else None


def _lora(entry: dict) -> str | None:
    """A LoRA is a .safetensors file, alone, in a folder, or in a repository."""
    model, file = entry["model"], entry["file"]
    for name in filter(None, (file, model)):
        if Path(name).suffix in _WEIGHTS - {".safetensors"}:
            return f"{name!r} may run code when it is loaded; take the LoRA as .safetensors"
    if file and Path(file).suffix != ".safetensors":
        return f"file: {file!r} is no .safetensors file"
    path = lora_path(entry)
    if path is None and Path(model).suffix == ".safetensors":
        return f"there is no file {model!r}{_home(model)}"
    if path is None:
        return _folder(model)
    if file and not Path(model).is_dir():
        return f"{model!r} is a file already; leave `file` out"
    if not path.is_file():
        there = sorted(found.name for found in Path(model).glob("*.safetensors"))
        choice = f"set `file` to one of {', '.join(there[:8])}" if there else "it has no LoRA"
        return f"there is no {path}; {choice}"
    return None if path.suffix == ".safetensors" else f"{model!r} is no .safetensors file"


def _file(name: str) -> str | None:
    return None if Path(name).is_file() else f"there is no file {name!r}{_home(name)}"


def _home(name: str) -> str:
    """Say what `~` stands for in a shell, where it was not written out."""
    return f" ('~' stands for nothing here: write {os.path.expanduser(name)!r})" * (name[:1] == "~")
