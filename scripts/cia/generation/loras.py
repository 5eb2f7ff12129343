"""LoRAs of a diffusion model: found, identified, checked against the model, fused into its weights.

LoRA: Hu et al. (arXiv 2106.09685). Reading and fusing are diffusers' and peft's; both the format
of diffusers and that of kohya's trainer are read. A fused LoRA costs nothing while images are made.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cia.config.model_names import LORA_FILE, lora_path
from cia.errors import UserError
from cia.files import digest_file
from cia.generation.repositories import fetch, first_line, read_hub_header
from cia.safetensors_files import read_header

logger = logging.getLogger("cia")

_SHOWN = 3
_HINT = "set `file` to the name of the LoRA's file there"


@dataclass(frozen=True)
class LoraFile:
    """A LoRA's file.

    Attributes
    ----------
    path : Path
        Of the local file, or of that in the hub's cache.
    name : str
        As the config has it, with its file.
    identity : str
        Equal for equal files: a digest of a local file, or hub id, commit and file.
    weight : float
    """

    path: Path
    name: str
    identity: str
    weight: float

    @property
    def short_name(self) -> str:
        """The file's name without its suffix, or the folder's if the file has diffusers' name."""
        if self.path.name != LORA_FILE:
            return self.path.stem
        return Path(self.name.removesuffix(f"/{LORA_FILE}")).name

    def short_hash(self) -> str:
        """Return what AUTOMATIC1111's web UI tells LoRAs by: a digest of the weights, cut short."""
        digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            file.seek(int.from_bytes(file.read(8), "little"), os.SEEK_CUR)
            while block := file.read(2**20):
                digest.update(block)
        return digest.hexdigest()[:12]


def find_loras(settings: dict, key: str) -> tuple[LoraFile, ...]:
    """Find the LoRAs that the settings name; fetch those that are only on the hub.

    Parameters
    ----------
    settings : dict
        lora is read: a list of model, file, weight, revision.
    key : str
        Where in the config it is, for messages: `generators.NAME`.

    Raises
    ------
    UserError
        If one can't be had.
    """
    entries = settings.get("lora") or []
    return tuple(_find(entry, f"{key}.lora.{index}") for index, entry in enumerate(entries))


def _find(entry: dict, key: str) -> LoraFile:
    path, name = lora_path(entry), entry["model"]
    if path is not None:
        if not path.is_file():
            raise UserError(f"{key}.model: there is no file {path}")
        identity = f"sha256:{digest_file(path)}"
    else:
        file = entry["file"] or LORA_FILE
        path = fetch(name, file, entry["revision"], f"{key}.model", _HINT)
        commit = path.parents[len(Path(file).parts) - 1].name
        name, identity = f"{name}/{file}", f"{name}@{commit}/{file}"
    return LoraFile(path, name, identity, float(entry["weight"]))


def look_at_lora(entry: dict, key: str) -> tuple[dict, dict]:
    """Find a LoRA and read its header, but none of its weights.

    Parameters
    ----------
    entry : dict
        model, file, weight, revision.
    key : str
        Where in the config it is, for messages: `generators.NAME.lora.0`.

    Returns
    -------
    dict
        Name and commit (None for a local file).
    dict
        The header, as `read_header` returns it.

    Raises
    ------
    UserError
        If it can't be had, is cut off, or is no safetensors file.
    """
    path, name = lora_path(entry), entry["model"]
    if path is not None:
        return {"name": name, "commit": None}, read_header(path)
    file = entry["file"] or LORA_FILE
    header, commit = read_hub_header(name, file, entry["revision"], f"{key}.model", _HINT)
    return {"name": f"{name}/{file}", "commit": commit}, header


def fuse_loras(pipe: Any, loras: tuple[LoraFile, ...], key: str) -> None:
    """Add LoRAs to a pipeline's weights.

    Parameters
    ----------
    pipe : diffusers.DiffusionPipeline
        Changed in place.
    loras : tuple of LoraFile
    key : str
        Where in the config they are, for messages: `generators.NAME`.

    Raises
    ------
    UserError
        If a file is none of a LoRA, was made for another model, holds weights that the model has
        no place for, or makes NaN or infinity.
    """
    names = [f"lora_{index}" for index in range(len(loras))]
    for index, (name, lora) in enumerate(zip(names, loras, strict=True)):
        where = f"{key}.lora.{index}"
        fitting = require_fit(read_header(lora.path), type(pipe), pipe.components, lora.name, where)
        try:
            with _errors_alone():
                pipe.load_lora_weights(
                    lora.path.parent,
                    weight_name=lora.path.name,
                    adapter_name=name,
                    use_safetensors=True,
                    local_files_only=True,
                )
        except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
            raise UserError(f"{where}: {lora.name!r} can't be loaded: {error}") from error
        _require_taken(pipe, name, fitting, lora.name, where)
    if not loras:
        return
    parts = [part for part in pipe._lora_loadable_modules if getattr(pipe, part, None) is not None]
    pipe.set_adapters(names, [lora.weight for lora in loras])
    try:
        pipe.fuse_lora(components=parts, adapter_names=names, safe_fusing=True)
    except ValueError as error:  # what peft raises for weights that are not finite
        raise UserError(
            f"{key}.lora: fused, weights are NaN or infinite in {pipe.dtype} "
            f"({first_line(error)}); set {key}.dtype to bfloat16 or float32, or lower the weight"
        ) from error
    pipe.unload_lora_weights()
    logger.info("Fused %s", ", ".join(f"{lora.name} (weight {lora.weight:g})" for lora in loras))


@contextmanager
def _errors_alone() -> Iterator[None]:
    """Keep warnings out of the log: that a LoRA changes one network alone is no fault.

    What they would warn of is checked before loading and after it.
    """
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        for library in (diffusers, transformers):
            library.utils.logging.set_verbosity_warning()


def require_fit(
    header: Mapping[str, dict], pipeline: type, parts: Mapping[str, Any], name: str, key: str
) -> dict[str, set[str]]:
    """Check by its header that a file is a LoRA, and that every weight of it has its place.

    Parameters
    ----------
    header : mapping
        From `read_header` or `look_at_lora`.
    pipeline : type
        Class of the pipeline.
    parts : mapping of str to torch.nn.Module
        The pipeline's networks by name, with or without their weights (on the device `meta`).
    name : str
        Of the LoRA, for messages.
    key : str
        Where in the config it is: `generators.NAME.lora.0`.

    Returns
    -------
    dict
        The layers that it changes, by network.

    Raises
    ------
    UserError
        Saying what is wrong, with the first few weights that don't fit.
    """
    shapes = {k: value["shape"] for k, value in header.items() if k != "__metadata__"}
    if problem := _other_kind(shapes):
        raise UserError(f"{key}: {name!r} {problem}")
    if not hasattr(pipeline, "lora_state_dict"):
        raise UserError(f"{key}: {pipeline.__name__} of diffusers takes no LoRA; leave it out")
    networks = {part: parts.get(part) for part in pipeline._lora_loadable_modules}
    try:
        weights = _diffusers_names(shapes, pipeline, networks)
    except (ValueError, KeyError, IndexError, AttributeError, NotImplementedError) as error:
        raise UserError(f"{key}: {name!r} can't be read: {first_line(error)}") from error
    layers: dict[str, set[str]] = {}
    homeless, unfit = [], []
    for part, weight, shape in weights:
        layer, _, side = weight.partition(".lora_")
        target = _find_layer(networks.get(part), layer)
        if target is None:
            homeless.append(f"{part}.{weight}")
        elif not _fits(target.shape, side, shape):
            unfit.append(f"{part}.{weight}")
        layers.setdefault(part, set()).add(layer)
    for problem, found in (("no layer for", homeless), ("another shape of", unfit)):
        if found:
            raise UserError(
                f"{key}: {name!r} was made for another model: the model has {problem} "
                f"{len(found)} of its {len(weights)} weights ({_few(found)}). A LoRA fits models "
                "of its own family (SD 1.5 with SD 1.5, SDXL with SDXL, ...)"
            )
    return layers


def _other_kind(shapes: Mapping[str, Any]) -> str | None:
    """Say what a file is that is no LoRA for a diffusion model."""
    if any("dora_scale" in k or "lora_magnitude_vector" in k for k in shapes):
        return "is a DoRA, part of which diffusers leaves out; take a LoRA"
    if any("hada_" in k or "lokr_" in k for k in shapes):
        return "is a LoHa or LoKr of LyCORIS; take a LoRA"
    if any(k.startswith(("controlnet.", "lora_controlnet", "control_model.")) for k in shapes):
        return "is for a ControlNet; LoRAs are for the diffusion model alone"
    if not any("lora" in k for k in shapes):
        return "is no LoRA: none of its weights has `lora` in its name"
    return None


def _diffusers_names(
    shapes: Mapping[str, Any], pipeline: type, networks: Mapping[str, Any]
) -> list[tuple[str, str, tuple[int, ...]]]:
    """List a LoRA's weights under the names that they are loaded by: network, weight, shape.

    The conversion is diffusers' own. It is given tensors of the right shapes, but of one number
    each, so that no weight is read.
    """
    from diffusers.utils import state_dict_utils as names

    options = {}
    if "text_encoder_2" in networks and networks.get("unet") is not None:  # as SDXL's loader does
        options = {"unet_config": networks["unet"].config}
    stand_ins = {k: torch.ones(()).expand(tuple(shape)) for k, shape in shapes.items()}
    found = pipeline.lora_state_dict(stand_ins, return_lora_metadata=True, **options)
    weights = []
    for part in dict.fromkeys(weight.partition(".")[0] for weight in found[0]):
        begin = f"{part}."
        state = {k.removeprefix(begin): v for k, v in found[0].items() if k.startswith(begin)}
        if part.startswith("text_encoder"):
            state = names.convert_state_dict_to_diffusers(state)
            state = names.convert_state_dict_to_peft(state)
        elif "lora_A" not in next(iter(state)):
            state = names.convert_unet_state_dict_to_peft(state)
        weights += [(part, weight, tuple(tensor.shape)) for weight, tensor in state.items()]
    return weights


def _find_layer(network: Any, layer: str) -> torch.Tensor | None:
    """Return the weight of a network's layer, if there is such a layer."""
    if network is None:
        return None
    for name in (layer, layer.removeprefix("text_model.")):  # older versions of transformers
        try:
            return getattr(network.get_submodule(name), "weight", None)
        except AttributeError:
            continue
    return None


def _fits(target: tuple[int, ...], side: str, shape: tuple[int, ...]) -> bool:
    """Say if one of the two factors of a LoRA has the shape that the layer's weight asks for."""
    if side == "A.weight":
        return shape[1:] == tuple(target[1:])
    return shape[:1] == tuple(target[:1])


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)


def _require_taken(
    pipe: Any, adapter: str, layers: Mapping[str, set[str]], name: str, key: str
) -> None:
    """Raise a `UserError` if loading left weights out, which diffusers only warns of."""
    for part, wanted in layers.items():
        network = getattr(pipe, part)
        taken = sum(adapter in getattr(one, "lora_A", ()) for one in network.modules())
        if taken != len(wanted):
            raise UserError(
                f"{key}: of the {len(wanted)} layers of {name!r} for the {part}, diffusers took "
                f"{taken}; take another file of this LoRA"
            )
