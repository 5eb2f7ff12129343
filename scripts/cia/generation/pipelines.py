"""Diffusion pipelines with a ControlNet: found on disk or on the hub, identified, loaded.

The pipelines and their loading are those of diffusers; weights come from safetensors alone.
"""

import ctypes
import hashlib
import json
import logging
import platform
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cia.config.few_steps import find_recipe
from cia.config.model_names import own_noise
from cia.errors import UserError
from cia.files import digest_file
from cia.generation.loras import LoraFile, fuse_loras
from cia.generation.repositories import first_line

logger = logging.getLogger("cia")

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_NOT_DRAWING = {"safety_checker", "feature_extractor", "image_encoder", "controlnet"}
"""Parts of a pipeline that a picture does not depend on, or that are identified by themselves."""

_NOISY_MAPS = {"StableDiffusion3ControlNetPipeline"}
"""Pipelines that encode a condition map with noise of torch's global generator: no seed decides it,
and an image would depend on those that were made before it."""

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Numbers of parameters of glibc's mallopt(3)."""


@dataclass(frozen=True)
class ModelFiles:
    """Where a model is, and which one it is.

    Attributes
    ----------
    folder : Path
        The local folder, or that of the hub's cache.
    name : str
        As the config has it.
    identity : str
        Equal for equal files: a digest of a local folder's files, or hub id and commit.
    """

    folder: Path
    name: str
    identity: str


def find_model(settings: dict, key: str) -> ModelFiles:
    """Find the diffusion model that the settings name; fetch it if it is only on the hub.

    Parameters
    ----------
    settings : dict
        One entry of the config's `generators`: model, model_revision are read.
    key : str
        Where in the config it is, for messages: `generators.NAME`.

    Raises
    ------
    UserError
        If it can't be had, or is no diffusers pipeline.
    """

    def fetch(name: str, revision: str | None) -> str:
        # seconds, which a job that finds its images in the store does without
        from diffusers import DiffusionPipeline

        return DiffusionPipeline.download(
            name, revision=revision, use_safetensors=True, safety_checker=None
        )

    folder, commit = _folder(
        settings["model"], settings.get("model_revision"), f"{key}.model", fetch
    )
    index = _read_json(folder / "model_index.json", f"{key}.model")
    parts = [folder / name for name in drawing_parts(index)]
    identity = commit or _digest([folder / "model_index.json", *_model_files(parts)], folder)
    return ModelFiles(folder, settings["model"], identity)


def drawing_parts(index: dict) -> dict[str, list[str]]:
    """Return the parts of a pipeline that a picture depends on: name to library and class.

    Parameters
    ----------
    index : dict
        What its model_index.json says.
    """
    return {
        name: value
        for name, value in index.items()
        if isinstance(value, list) and value[0] and name not in _NOT_DRAWING
    }


def find_controlnet(settings: dict, key: str) -> ModelFiles:
    """Find the ControlNet that the settings name; fetch it if it is only on the hub.

    Parameters
    ----------
    settings : dict
        One entry of the config's `generators`: controlnet, controlnet_subfolder,
        controlnet_revision are read.
    key : str
        Where in the config it is, for messages: `generators.NAME`.

    Raises
    ------
    UserError
        If it can't be had, or is no model in diffusers' layout.
    """
    subfolder = settings.get("controlnet_subfolder") or "."
    weights = ["config.json", "diffusion_pytorch_model.safetensors"]
    sharded = ["diffusion_pytorch_model-*.safetensors", "*.safetensors.index.json"]
    patterns = [(Path(subfolder) / name).as_posix() for name in weights + sharded]

    def fetch(name: str, revision: str | None) -> str:
        from huggingface_hub import snapshot_download

        return snapshot_download(name, revision=revision, allow_patterns=patterns)

    name = settings["controlnet"]
    root, commit = _folder(name, settings.get("controlnet_revision"), f"{key}.controlnet", fetch)
    folder = root / subfolder
    _read_json(folder / "config.json", f"{key}.controlnet")
    identity = f"{commit}/{subfolder}" if commit else _digest(_model_files([folder]), folder)
    return ModelFiles(folder, name, identity)


def load_pipeline(
    model: ModelFiles,
    controlnet: ModelFiles,
    settings: dict,
    key: str,
    device: str,
    loras: tuple[LoraFile, ...] = (),
) -> Any:
    """Load a pipeline, ready to draw.

    The class of the pipeline is the one that diffusers pairs with the model and its ControlNet
    (`AutoPipelineForText2Image`): Stable Diffusion 1.5, XL, 3, Flux and others. No safety checker:
    a picture it blacks out would be a labelled black training image.

    Parameters
    ----------
    settings : dict
        scheduler, few_steps, lora, dtype are read.
    device : str
        `cuda` or `cpu`.
    loras : tuple of LoraFile
        From `find_loras`; they are fused into the weights.

    Returns
    -------
    diffusers.DiffusionPipeline
        On the device.

    Raises
    ------
    UserError
        If the parts or LoRAs don't load or fit, or the scheduler has no such name.
    """
    from diffusers import AutoPipelineForText2Image, DiffusionPipeline

    _keep_logs_clean()
    options: dict[str, Any] = {"dtype": resolve_dtype(settings, device), "use_safetensors": True}
    index = _read_json(model.folder / "model_index.json", f"{key}.model")
    config = _read_json(controlnet.folder / "config.json", f"{key}.controlnet")
    kind = controlnet_class(controlnet.name, config, f"{key}.controlnet")
    network = _load(kind, controlnet, f"{key}.controlnet", options)
    if "safety_checker" in index:
        options |= {"safety_checker": None, "requires_safety_checker": False}
    # A pipeline that was saved with its ControlNet is not in diffusers' table, it is its own entry.
    saved_whole = "ControlNet" in str(index.get("_class_name"))
    loader = DiffusionPipeline if saved_whole else AutoPipelineForText2Image
    pipe = _load(loader, model, f"{key}.model", {**options, "controlnet": network})
    pipe.scheduler = choose_scheduler(pipe.scheduler, settings, key)
    refuse_own_noise(type(pipe.scheduler).__name__, key)
    if type(pipe).__name__ in _NOISY_MAPS:
        _encode_maps_without_noise(pipe.vae)
    pipe.set_progress_bar_config(disable=True)
    fuse_loras(pipe, loras, key)  # on the CPU: the same weights whatever the device
    pipe.to(device)
    tune_pipeline(pipe, device)
    return pipe


def tune_pipeline(pipe: Any, device: str) -> None:
    """Lay out the weights, and set the process, as the device is fastest with; the same on any run.

    On a CPU, glibc is told to keep the memory that is freed: each step of a network allocates and
    frees the same large blocks, and a quarter of the time went into mapping them anew.
    """
    for name in ("unet", "controlnet", "vae"):
        if getattr(pipe, name, None) is not None:
            getattr(pipe, name).to(memory_format=torch.channels_last)
    if device == "cuda":
        torch.backends.cudnn.deterministic = True
    elif sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _encode_maps_without_noise(vae: Any) -> None:
    """Have an autoencoder encode an image to the mean of its latents, not to a sample of them."""
    encode = vae.encode

    def encode_to_mean(*arguments: Any, **keywords: Any) -> Any:
        found = encode(*arguments, **keywords)
        found.latent_dist.sample = lambda generator=None: found.latent_dist.mode()
        return found

    vae.encode = encode_to_mean


def resolve_dtype(settings: dict, device: str) -> torch.dtype:
    """Return the number format: `auto` is float16 on a GPU and float32 on a CPU."""
    name = settings.get("dtype", "auto")
    if name == "auto":
        return torch.float16 if device == "cuda" else torch.float32
    return _DTYPES[name]


def compile_networks(pipe: Any) -> None:
    """Compile the denoising network and the ControlNet; batches of one shape make it pay."""
    for name in ("unet", "transformer", "controlnet"):
        if getattr(pipe, name, None) is not None:
            getattr(pipe, name).compile()


def size_multiple(pipe: Any) -> int:
    """Return the number of pixels of which an image's sides are to be multiples."""
    patches = 2 if getattr(pipe, "transformer", None) is not None else 1
    return pipe.vae_scale_factor * patches


def _keep_logs_clean() -> None:
    """Have what the libraries say in the job's log, such as that a prompt is cut, and no bars."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()  # a log has no lines to redraw
        library.utils.logging.disable_default_handler()
        library.utils.logging.enable_propagation()


def _folder(
    name: str, revision: str | None, key: str, fetch: Callable[[str, str | None], str]
) -> tuple[Path, str | None]:
    """Return the model's folder, and for a model of the hub its id and commit."""
    if Path(name).is_dir():
        return Path(name), None
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"{key}: there is no folder {name!r}")
    try:
        folder = Path(fetch(name, revision))
    except Exception as error:  # the hub's client raises many kinds, of several libraries
        raise UserError(
            f"{key}: {name!r} is not a folder here, and can't be downloaded from the hub "
            f"({first_line(error)}). Without network, download the model elsewhere and set "
            f"{key} to its folder"
        ) from error
    return folder, f"{name}@{folder.name}"


def _load(loader: Any, model: ModelFiles, key: str, options: dict) -> Any:
    try:
        return loader.from_pretrained(model.folder, **options)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{key}: {model.name!r} can't be loaded ({first_line(error)}). It must be a model in "
            "diffusers' layout with safetensors weights, and model and ControlNet must be of "
            "one family"
        ) from error


def controlnet_class(name: str, config: dict, key: str) -> type:
    """Return the class of a ControlNet, or raise a `UserError` if its config names none.

    Parameters
    ----------
    name : str
        Of the folder or repository, for messages.
    config : dict
        The content of its config.json.
    key : str
        Where in the config it is, for messages: `generators.NAME.controlnet`.
    """
    import diffusers

    kind = config.get("_class_name", "")
    if "ControlNet" not in kind or "Union" in kind or not hasattr(diffusers, kind):
        raise UserError(
            f"{key}: {name!r} holds a {kind or 'model without class'}; it "
            "must be a ControlNet of diffusers for one kind of condition (ControlNetModel, "
            "SD3ControlNetModel, FluxControlNetModel, ...)"
        )
    return getattr(diffusers, kind)


def choose_scheduler(own: Any, settings: dict, key: str) -> Any:
    """Return the scheduler that the settings ask for, or the model's own.

    Parameters
    ----------
    own : diffusers.SchedulerMixin
    settings : dict
        scheduler, few_steps, lora are read.
    """
    recipe = find_recipe(settings)
    changes = recipe.scheduler_config if recipe else {}
    changes = {name: value for name, value in changes.items() if own.config.get(name) != value}
    if not settings.get("scheduler"):  # a scheduler of another kind has no such setting
        changes = {name: value for name, value in changes.items() if name in own.config}
        if not changes:
            return own
    name = settings.get("scheduler") or type(own).__name__
    return make_scheduler(name, own.config, key, changes)


def make_scheduler(name: str, config: Any, key: str, changes: dict | None = None) -> Any:
    """Make a scheduler from the config of a model's own, or raise a `UserError` if it can't be."""
    import diffusers

    known = sorted(entry for entry in dir(diffusers) if entry.endswith("Scheduler"))
    if name not in known:
        raise UserError(f"{key}.scheduler: no scheduler {name!r}; there are {', '.join(known)}")
    try:
        return getattr(diffusers, name).from_config(config, **(changes or {}))
    except (ImportError, ValueError, TypeError, NotImplementedError) as error:
        raise UserError(
            f"{key}.scheduler: {name} does not fit this model: {first_line(error)}"
        ) from error


def refuse_own_noise(name: str, key: str) -> None:
    """Raise a `UserError` if a scheduler draws noise that no seed decides."""
    if problem := own_noise(name):
        raise UserError(f"{key}.scheduler: {problem}")


def _model_files(folders: Iterable[Path]) -> list[Path]:
    kinds = {".safetensors", ".json", ".txt", ".model"}
    files = (path for folder in folders for path in folder.glob("*") if path.suffix in kinds)
    return sorted(files)


def _digest(files: list[Path], root: Path) -> str:
    """Return a digest of the files' names and contents; a few seconds for several GB."""
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(digest_file, files))
    lines = (f"{f.relative_to(root)}\0{d}\n" for f, d in zip(files, digests, strict=True))
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def _read_json(path: Path, key: str) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{key}: {path} is missing; a diffusers model has one") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error
