"""Diffusion models, ControlNets and LoRAs, tried in seconds: found, whole, and fit for each other.

Configurations and the headers of weights are read, never the weights.
"""

import warnings
from typing import Any

from cia.config.few_steps import GUIDED_LCM, UNGUIDED_LCM, find_recipe
from cia.errors import UserError
from cia.generation.loras import look_at_lora, require_fit
from cia.generation.pipelines import (
    controlnet_class,
    drawing_parts,
    make_scheduler,
    refuse_own_noise,
)
from cia.generation.repositories import Repository, find_repository

_SHARED = (
    "in_channels",
    "block_out_channels",
    "layers_per_block",
    "cross_attention_dim",
    "addition_embed_type",
    "projection_class_embeddings_input_dim",
    "joint_attention_dim",
    "pooled_projection_dim",
)
"""Numbers that decide shapes on both sides: what a ControlNet adds, and what it is given."""

_MAP_CHANNELS = 3


def check_generator(settings: dict, size: Any, key: str) -> dict:
    """Check that a diffusion model and a ControlNet can be had and fit each other.

    Parameters
    ----------
    settings : dict
        One entry of the config's `generators`: model, model_revision, controlnet,
        controlnet_subfolder, controlnet_revision, scheduler, lora, few_steps and (of a few-step
        model) guidance_scale are read.
    size : list or dict
        The `size` of its condition.
    key : str
        Where in the config it is, for messages: `generators.NAME`.

    Returns
    -------
    dict
        model and controlnet, each with name, commit (None for a local folder) and class; if there
        are LoRAs, also lora, a list of dicts with name and commit.

    Raises
    ------
    UserError
        Naming the key of the first thing that is missing, damaged or unfit.
    """
    model = find_repository(
        settings["model"], settings.get("model_revision"), "model_index.json", f"{key}.model"
    )
    index = model.read_json("model_index.json")
    folder = settings.get("controlnet_subfolder") or "."
    file = "config.json" if folder == "." else f"{folder.strip('/')}/config.json"
    controlnet = find_repository(
        settings["controlnet"], settings.get("controlnet_revision"), file, f"{key}.controlnet"
    )
    network = controlnet.read_json(file)
    kind = controlnet_class(controlnet.name, network, f"{key}.controlnet")
    pipeline = _pipeline(index, model)
    _require_family(pipeline, kind, controlnet)
    _require_shapes(_denoiser(index, model), network, model, controlnet)
    for part, (library, name) in drawing_parts(index).items():
        stem = "model" if library == "transformers" else "diffusion_pytorch_model"
        if f"{part}/config.json" in model.files:
            model.require_weights(part, stem)
        elif not any(file.startswith(f"{part}/") for file in model.files):
            raise UserError(f"{model.key}: {model.name!r} has no folder {part} for its {name}")
    controlnet.require_weights(folder, "diffusion_pytorch_model")
    _check_scheduler(settings, model, key)
    _check_few_steps(settings, index, model, key)
    _require_sides(index, model, size)
    loras = _check_loras(settings.get("lora") or [], pipeline, index, model, key)
    return {
        "model": _found(model, pipeline.__name__),
        "controlnet": _found(controlnet, kind.__name__),
        **({"lora": loras} if loras else {}),
    }


def _found(repository: Repository, kind: str) -> dict:
    return {"name": repository.name, "commit": repository.commit, "class": kind}


def _pipeline(index: dict, model: Repository) -> type:
    """Return the pipeline with ControlNet that diffusers pairs with the model, as loading does."""
    import diffusers

    name = str(index.get("_class_name"))
    if "ControlNet" in name and hasattr(diffusers, name):
        return getattr(diffusers, name)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # in what it imports
        from diffusers.pipelines import auto_pipeline
    mapping = auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING
    wanted = name.replace("Pipeline", "ControlNetPipeline")
    found = auto_pipeline._get_task_class(mapping, wanted, throw_error_if_not_exist=False)
    if not found:
        families = [kind.removesuffix("-controlnet") for kind in mapping if "-controlnet" in kind]
        raise UserError(
            f"{model.key}: {model.name!r} is a {name}, with which diffusers draws no images from a "
            f"ControlNet; it does with {', '.join(families)}"
        )
    return found


def _require_family(pipeline: Any, kind: type, controlnet: Repository) -> None:
    fitting = [one for one in pipeline._get_signature_types()["controlnet"] if type(one) is type]
    if kind not in fitting:
        wanted = next((one.__name__ for one in fitting if "Multi" not in one.__name__), "another")
        raise UserError(
            f"{controlnet.key}: {controlnet.name!r} is a {kind.__name__}, but {pipeline.__name__} "
            f"takes a {wanted}; model and ControlNet must be of one family"
        )


def _denoiser(index: dict, model: Repository) -> dict:
    part = "transformer" if "transformer" in index else "unet"
    return model.read_json(f"{part}/config.json")


def _require_shapes(
    denoiser: dict, network: dict, model: Repository, controlnet: Repository
) -> None:
    for name in _SHARED:
        theirs, ours = denoiser.get(name), network.get(name)
        if theirs is not None and ours is not None and theirs != ours:
            raise UserError(
                f"{controlnet.key}: {controlnet.name!r} was made for another model than "
                f"{model.name!r}: its {name} is {ours}, the model's {theirs}. Model and ControlNet "
                "must be of one family (SD 1.5 with SD 1.5, SDXL with SDXL, ...)"
            )
    channels = network.get("conditioning_channels", _MAP_CHANNELS)
    if channels != _MAP_CHANNELS:
        raise UserError(
            f"{controlnet.key}: {controlnet.name!r} takes maps with {channels} channels; condition "
            f"maps are pictures with {_MAP_CHANNELS}"
        )


def _check_scheduler(settings: dict, model: Repository, key: str) -> None:
    own = model.read_json("scheduler/scheduler_config.json")
    name = settings.get("scheduler")
    refuse_own_noise(name or own.get("_class_name", ""), key)
    if name:
        make_scheduler(name, own, key)


def _check_few_steps(settings: dict, index: dict, model: Repository, key: str) -> None:
    """Refuse a kind of few-step model that this one can't be, as far as its configuration tells."""
    recipe, kind = find_recipe(settings), settings.get("few_steps")
    if recipe and recipe.schedulers[0] and "transformer" in index:
        raise UserError(
            f"{key}.few_steps: {kind} does not fit {model.name!r}, a flow-matching model "
            f"({index['_class_name']}); {recipe.name} is for Stable Diffusion 1.5 and SDXL"
        )
    if kind != "lcm":
        return
    guidance = settings["guidance_scale"]
    embedded = _denoiser(index, model).get("time_cond_proj_dim") is not None
    low, high = GUIDED_LCM if embedded else UNGUIDED_LCM
    if not low <= guidance <= high:
        why = "takes guidance as an input" if embedded else "has learned its guidance"
        raise UserError(
            f"{key}.guidance_scale: {guidance:g} does not fit {model.name!r}, which {why} "
            f"as a latent consistency model; {max(low, 1):g} to {high:g} does"
        )


def _check_loras(
    entries: list[dict], pipeline: Any, index: dict, model: Repository, key: str
) -> list[dict]:
    """Check that each LoRA can be had, is whole and fits the model; return name and commit."""
    networks = _skeletons(index, model, pipeline) if entries else {}
    found = []
    for number, entry in enumerate(entries):
        where = f"{key}.lora.{number}"
        lora, header = look_at_lora(entry, where)
        require_fit(header, pipeline, networks, lora["name"], where)
        found.append(lora)
    return found


def _skeletons(index: dict, model: Repository, pipeline: Any) -> dict[str, Any]:
    """Return the networks that a LoRA may change, without memory for their weights."""
    import diffusers
    import torch
    import transformers

    libraries, found = {"diffusers": diffusers, "transformers": transformers}, {}
    for part in getattr(pipeline, "_lora_loadable_modules", ()):
        library, name = index.get(part) or (None, None)
        if library in libraries:
            kind, config = getattr(libraries[library], name), model.read_json(f"{part}/config.json")
            with torch.device("meta"):
                found[part] = (
                    kind.from_config(config)
                    if library == "diffusers"
                    else kind(kind.config_class.from_dict(config))
                )
    return found


def _require_sides(index: dict, model: Repository, size: Any) -> None:
    """Refuse a `size` that the model can't draw, as far as its configuration tells."""
    if index.get("vae", [None, None])[1] != "AutoencoderKL":
        return
    scale = 2 ** (len(model.read_json("vae/config.json")["block_out_channels"]) - 1)
    multiple = scale * (2 if "transformer" in index else 1)
    sides = [size.get("multiple", 64)] if isinstance(size, dict) else size
    if any(side % multiple for side in sides):
        raise UserError(
            f"{model.key}: {model.name!r} makes images whose sides are multiples of {multiple}; "
            f"change the `size` of its condition ({size})"
        )
