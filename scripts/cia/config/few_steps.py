"""Few-step models and LoRAs: the scheduler, steps and guidance that each kind was made for.

Facts from the projects' own descriptions:
LCM (arXiv 2310.04378), LCM-LoRA (2311.05556): https://huggingface.co/latent-consistency and
diffusers' guide "Latent Consistency Model"; Turbo (2311.17042): diffusers' guide "Stable Diffusion
XL Turbo"; SDXL-Lightning (2402.13929): https://huggingface.co/ByteDance/SDXL-Lightning; Hyper-SD
(2404.13686): https://huggingface.co/ByteDance/Hyper-SD.

Light on purpose: the Snakefile imports it for every dry run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = ("lcm", "turbo", "lightning", "hyper_sd")
"""Values of a generator's `few_steps`."""

STEPS, GUIDANCE = 20, 7.5
"""What a generator takes that is of no such kind."""

_OFF = (0.0, 1.0)
"""Guidance: classifier-free guidance is off from 1 downwards, as in diffusers."""

UNGUIDED_LCM = (0.0, 2.0)
"""Guidance of an LCM-LoRA, which has learned a guidance of its own."""

GUIDED_LCM = (3.0, 15.0)
"""Guidance of a network that takes it as an input, w = guidance_scale - 1, trained for 2 to 14."""

_TRAILING = {"timestep_spacing": "trailing"}

_MODELS = {
    "lcm": {"lcm-sdxl", "lcm-ssd-1b", "lcm_dreamshaper_v7"},
    "turbo": {"sd-turbo", "sdxl-turbo", "stable-diffusion-3.5-large-turbo", "flux.1-schnell"},
}
"""Last parts of the hub ids of well-known models."""

_LORAS = {
    "lcm": re.compile(r"\blcm[-_]lora|\blcm_sdxl_lora", re.I),
    "lightning": re.compile(r"sdxl[-_]lightning", re.I),
    "hyper_sd": re.compile(r"\bhyper-(sd|flux)", re.I),
}
"""How well-known LoRAs are called: the last part of the hub id or path, or the file."""

_HYPER = re.compile(r"hyper-(sd15|sdxl|sd3|flux\.1-dev)-(\d+)steps?(-cfg)?-lora", re.I)
_LIGHTNING = re.compile(r"[\w-]*lightning_(\d+)step\w*", re.I)

_LORA_KEYS = ("model", "file", "weight", "revision")

_SMALL_WEIGHT = 0.125
"""Weight of Hyper-SD's LoRAs for SD 3 and Flux."""


@dataclass(frozen=True)
class Recipe:
    """How a few-step model is drawn with.

    Attributes
    ----------
    schedulers : tuple of str or None
        Classes that fit, the usual one first; None is the model's own.
    steps : tuple of int
        Numbers of steps that it was made for.
    usual_steps : int
    guidance : tuple of float
        Lowest and highest `guidance_scale`.
    usual_guidance : float
    scheduler_config : dict
        What is changed in the scheduler's configuration.
    call : dict
        More arguments of the pipeline's call.
    weight : float
        Highest weight of its LoRA that is meant.
    name : str
        What it is, for messages.
    """

    name: str
    schedulers: tuple[str | None, ...]
    steps: tuple[int, ...]
    usual_steps: int
    guidance: tuple[float, float] = _OFF
    usual_guidance: float = 1.0
    scheduler_config: dict = field(default_factory=dict)
    call: dict = field(default_factory=dict)
    weight: float | None = None


def label(entry: dict) -> str:
    """Return what a LoRA is called: the last part of its hub id or path, and its file."""
    return f"{Path(entry['model']).name} {entry.get('file') or ''}".strip()


def find_recipe(settings: dict) -> Recipe | None:
    """Return how a generator with `few_steps` draws; None for one without.

    Parameters
    ----------
    settings : dict
        few_steps, lora are read.

    Raises
    ------
    ValueError
        If the names of the LoRAs don't tell which of several recipes it is.
    """
    kind = settings.get("few_steps")
    return _RECIPES[kind](settings.get("lora") or []) if kind else None


def _lcm(loras: list[dict]) -> Recipe:
    schedulers, steps = ("LCMScheduler",), tuple(range(1, 9))
    if any(_LORAS["lcm"].search(label(lora)) for lora in loras):
        return Recipe("an LCM-LoRA", schedulers, steps, 4, UNGUIDED_LCM, 1.0)
    # the model decides: `cia.generation.checking` has read its configuration
    either = (UNGUIDED_LCM[0], GUIDED_LCM[1])
    return Recipe("a latent consistency model", schedulers, steps, 4, either, 1.0 if loras else 8.0)


def _turbo(loras: list[dict]) -> Recipe:
    schedulers = (None, "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler")
    return Recipe("a Turbo model", schedulers, (1, 2, 3, 4), 4, scheduler_config=_TRAILING)


def _lightning(loras: list[dict]) -> Recipe:
    found = [match for match in map(_LIGHTNING.search, map(label, loras)) if match]
    made_for = tuple(int(match[1]) for match in found[:1]) or (2, 4, 8)
    name = found[0][0] if found else "SDXL-Lightning"
    usual = 4 if 4 in made_for else made_for[0]
    config = {**_TRAILING, **({"prediction_type": "sample"} if usual == 1 else {})}
    return Recipe(name, ("EulerDiscreteScheduler",), made_for, usual, scheduler_config=config)


def _hyper_sd(loras: list[dict]) -> Recipe:
    if not loras:
        call = {"timesteps": [800]}
        return Recipe("Hyper-SD's one-step UNet", ("LCMScheduler",), (1,), 1, call=call)
    found = [match for match in map(_HYPER.search, map(label, loras)) if match]
    if not found:
        raise ValueError(
            "which of Hyper-SD's LoRAs it is, and so its steps and scheduler, stands in the "
            "name of its file: set `file` to, say, Hyper-SD15-4steps-lora.safetensors, or keep "
            "that name for a file of your own"
        )
    match = found[0]
    family, steps, guided = match[1].lower(), int(match[2]), bool(match[3])
    if family == "sd3":
        fitting = {8: (6, 7, 8), 16: tuple(range(12, 17))}.get(steps, (steps,))
        guidance = {4: 3.0, 8: 5.0}.get(steps, 7.0)
        return Recipe(
            match[0], (None,), fitting, steps, (guidance, guidance), guidance, weight=_SMALL_WEIGHT
        )
    if family.startswith("flux"):
        return Recipe(match[0], (None,), (steps,), steps, (3.5, 3.5), 3.5, weight=_SMALL_WEIGHT)
    if guided:
        ddim = ("DDIMScheduler",)
        return Recipe(match[0], ddim, (steps,), steps, (5.0, 8.0), 5.0, _TRAILING)
    if steps == 1:  # one LoRA for any of these numbers of steps
        steps_of_all = tuple(range(1, 9))
        return Recipe(match[0], ("TCDScheduler",), steps_of_all, 1, call={"eta": 1.0})
    return Recipe(match[0], ("DDIMScheduler",), (steps,), steps, scheduler_config=_TRAILING)


_RECIPES = {"lcm": _lcm, "turbo": _turbo, "lightning": _lightning, "hyper_sd": _hyper_sd}


def few_step_errors(config: dict) -> Iterator[str]:
    """Yield a sentence for each setting of a generator that contradicts its few-step model."""
    for name, entry in config["generators"].items():
        yield from _errors(f"generators.{name}", entry)


def _errors(key: str, entry: dict) -> Iterator[str]:
    kind, found = entry["few_steps"], dict(map(reversed, _known_kinds(entry)))
    if len(found) > 1:
        yield f"{key}.lora: {' and '.join(found.values())} don't go together; take one of them"
        return
    for known, source in found.items():
        if known != kind:
            yield (
                f"{key}.few_steps: {kind or 'null'} does not fit {source}; set `few_steps: {known}`"
                ", which chooses its scheduler, steps and guidance"
            )
            return
    try:
        recipe = find_recipe(entry)
    except ValueError as error:
        yield f"{key}.few_steps: {error}"
        return
    if recipe:
        yield from _contradictions(key, entry, recipe)


def _known_kinds(entry: dict) -> Iterator[tuple[str, str]]:
    """Yield what is well known among a generator's model and LoRAs, and its kind."""
    model = Path(entry["model"]).name
    for kind, names in _MODELS.items():
        if model.lower() in names:
            yield f"the model {model}", kind
    for lora in entry["lora"]:
        for kind, pattern in _LORAS.items():
            if pattern.search(label(lora)):
                yield f"the LoRA {label(lora)}", kind


def _contradictions(key: str, entry: dict, recipe: Recipe) -> Iterator[str]:
    steps, guidance, scheduler = (entry[k] for k in ("steps", "guidance_scale", "scheduler"))
    if steps is not None and steps not in recipe.steps:
        fitting = _listed(recipe.steps)
        yield f"{key}.steps: {steps} does not fit {recipe.name}, which is made for {fitting}"
    low, high = recipe.guidance
    if guidance is not None and not low <= guidance <= high:
        yield (
            f"{key}.guidance_scale: {guidance:g} does not fit {recipe.name}; {_range(low, high)} "
            "does"
        )
    if scheduler is not None and scheduler not in recipe.schedulers:
        named = [one for one in recipe.schedulers if one]
        fitting = " or ".join(named) if named else "null, the model's own,"
        yield f"{key}.scheduler: {scheduler} does not fit {recipe.name}; {fitting} does"
    for index, lora in enumerate(entry["lora"]):
        made = _HYPER.search(label(lora)) and recipe.weight is not None
        if made and lora["weight"] > 2 * recipe.weight:
            yield (
                f"{key}.lora.{index}.weight: {lora['weight']:g} does not fit {recipe.name}; "
                f"{recipe.weight:g} does"
            )


def _listed(steps: tuple[int, ...]) -> str:
    if len(steps) == 1:
        return f"steps: {steps[0]}"
    if steps == tuple(range(steps[0], steps[-1] + 1)):
        return f"{steps[0]} to {steps[-1]} steps"
    return f"{', '.join(map(str, steps[:-1]))} or {steps[-1]} steps"


def _range(low: float, high: float) -> str:
    if (low, high) == _OFF:
        return "1 (no guidance)"
    return f"{low:g}" if low == high else f"{max(low, 1.0):g} to {high:g}"


def with_few_steps(config: dict) -> dict:
    """Return the config with every generator's scheduler, steps and guidance filled in.

    Parameters
    ----------
    config : dict
        Without errors of `few_step_errors`.
    """
    return {**config, "generators": {k: _filled(v) for k, v in config["generators"].items()}}


def _filled(entry: dict) -> dict:
    recipe = find_recipe(entry)
    usual: dict[str, Any] = {"steps": STEPS, "guidance_scale": GUIDANCE}
    if recipe:
        usual = {
            "steps": recipe.usual_steps,
            "guidance_scale": recipe.usual_guidance,
            "scheduler": recipe.schedulers[0],
        }
    filled = {key: usual.get(key) if value is None else value for key, value in entry.items()}
    # written in any order, with 1 or 1.0: the same to Snakemake, which compares the text of params
    filled["lora"] = [
        {key: float(lora[key]) if key == "weight" else lora[key] for key in _LORA_KEYS}
        for lora in entry["lora"]
    ]
    return filled


def unguided_negatives(config: dict) -> Iterator[str]:
    """Yield a sentence for each generator whose negative prompts have no effect."""
    for name, entry in config["generators"].items():
        prompts = config["prompts"][entry["prompts"]]
        if not prompts.get("negative"):
            continue
        guidance = entry["guidance_scale"]
        none = f"generators.{name}: the negative prompt of prompts.{entry['prompts']} has no effect"
        if guidance <= 1:
            yield f"{none} at guidance_scale {guidance:g} (no guidance)"
        elif entry["few_steps"] == "lcm" and guidance >= GUIDED_LCM[0]:
            yield f"{none}, since a latent consistency model takes guidance as an input"
