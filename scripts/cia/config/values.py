"""Values that no schema can refuse: ranges the wrong way round, more than any memory holds, ...

Light on purpose: the Snakefile imports it for every dry run.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from cia.errors import UserError
from cia.planning.prompts import check_prompts
from cia.sizes import target_size
from cia.training.options import LOOKS

MOST_PIXELS = 178_956_970
"""Pillow opens no picture with more pixels: twice its MAX_IMAGE_PIXELS."""

MOST_MEMORY = 1e12
"""Bytes for one batch that are too many for any machine: the largest GPU has 288e9 (2025)."""

_LEAST_PER_PIXEL = 100
"""Bytes that a network keeps per pixel of a picture: its first layer alone has 16 channels or more
at half the size, with their normalization and activation in float32, beside the picture itself."""

_FEATURES_SIDE = 224
"""Pixels a side of the pictures that networks for features take; more, in some."""

_BESIDE = {"objects": ".npy", "probabilities": ".npy", "neighbors": ".csv"}
"""What an entry of `features` writes beside its own files: NAME.objects.npy."""


def value_errors(config: dict) -> Iterator[str]:
    """Yield a sentence for each value that can't be meant, whatever its type."""
    yield from _not_finite(config, "")
    yield from _reversed(config)
    yield from _too_large(config)
    yield from _shared_files(config["features"])
    for name, entry in config["conditions"].items():
        if not any(entry.get(part, True) for part in ("body", "hand", "face")):
            yield f"conditions.{name}: one of body, hand and face must be true"
    for name, dataset in config["datasets"].items():
        yield from edged_names(f"datasets.{name}.classes", dataset.get("classes", []))
        if "source" not in dataset:  # which may say the rest: cia.config.sources
            yield from unfit_keypoints(f"datasets.{name}", dataset)
    for name, trainer in config["trainers"].items():
        steps = trainer["steps"] or 0
        if steps > LOOKS and steps % LOOKS:
            near = f"{steps - steps % LOOKS} or {steps + LOOKS - steps % LOOKS}"
            yield f"trainers.{name}.steps: {steps} must be a multiple of {LOOKS}, say {near}"
    for name, prompts in config["prompts"].items():
        try:
            check_prompts(prompts)
        except UserError as error:
            yield f"prompts.{name}: {error}"


def _not_finite(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{key}: {'NaN' if math.isnan(value) else 'infinity'} can't be the value of a setting"
    items = value.items() if isinstance(value, dict) else ()
    for name, entry in enumerate(value) if isinstance(value, list) else items:
        yield from _not_finite(entry, f"{key}.{name}".removeprefix("."))


def _reversed(config: dict) -> Iterator[str]:
    """Pairs of a smallest and a largest value that are the other way round."""
    for key, low, high in _ranges(config):
        if low > high:
            yield f"{key}: the smallest ({low:g}) is above the largest ({high:g})"
    for name, entry in config["generators"].items():
        if entry["control_guidance_start"] >= entry["control_guidance_end"]:
            yield f"generators.{name}: control_guidance_start must be below control_guidance_end"
    for name, entry in config["selections"].items():
        for key, step in _steps(f"selections.{name}", entry):
            if step["method"] == "band" and step["low"] >= step["high"]:
                yield (
                    f"{key}: low ({step['low']:g}) must be below high ({step['high']:g}); a band "
                    "from the best quarter to the worst one has low 0.25 and high 0.75"
                )


def _steps(key: str, selection: dict) -> Iterator[tuple[str, dict]]:
    if "steps" not in selection:
        yield key, selection
    for index, step in enumerate(selection.get("steps", [])):
        yield f"{key}.steps.{index}", step


def _ranges(config: dict) -> Iterator[tuple[str, float, float]]:
    """Yield the key and the two ends of every range."""
    for name, entry in config["conditions"].items():
        if entry.get("thresholds") == "fixed":
            yield f"conditions.{name}: low and high", entry["low"], entry["high"]
    for name, entry in config["variations"].items():
        for key in ("scale", "objects"):
            if entry.get(key):
                yield f"variations.{name}.{key}", *entry[key]
    for name, entry in config["trainers"].items():
        if "crop_scale" in entry:
            yield f"trainers.{name}.crop_scale", *entry["crop_scale"]
    for name, entry in config["mixes"].items():
        if entry["classical"]:
            scale = entry["classical"]["augmentation"]["scale"]
            yield f"mixes.{name}.classical.augmentation.scale", *scale
    for name, entry in config["studies"].items():
        if entry["classical"]:
            yield f"studies.{name}.classical.scale", *entry["classical"]["scale"]


def _too_large(config: dict) -> Iterator[str]:
    for name, entry in config["conditions"].items():
        yield from _unfit_size(f"conditions.{name}", entry["size"])
    for key, side, batch, words in _batches(config):
        memory = side * side * batch * _LEAST_PER_PIXEL
        if memory > MOST_MEMORY:
            yield (
                f"{key}: {words} take at least {memory / 1e9:,.0f} GB of memory at once "
                f"({_LEAST_PER_PIXEL} bytes per pixel), which no machine has; lower it"
            )


def _unfit_size(key: str, size: Any) -> Iterator[str]:
    try:
        width, height = target_size(512, 512, size)
    except UserError as error:
        yield f"{key}.{error}"
        return
    if width * height > MOST_PIXELS:
        yield (
            f"{key}.size: {width}x{height} are more than {MOST_PIXELS:,} pixels, which no picture "
            "may have (and no GPU has the memory to make one)"
        )


def _batches(config: dict) -> Iterator[tuple[str, int, int, str]]:
    """Yield key, side in pixels, number and description of what a network takes at once."""
    for name, entry in config["trainers"].items():
        side, batch = entry.get("image_size", 0), entry["batch"]
        yield f"trainers.{name}", side, batch, f"{batch} pictures (batch) of {side}x{side}"
    for name, entry in config["conditions"].items():
        for setting in ("image_size", "detect_resolution"):
            if setting in entry:
                side = entry[setting]
                yield f"conditions.{name}.{setting}", side, 1, f"pictures of {side}x{side}"
    if (batch := config["batch_size"]) != "auto":
        yield "batch_size", _FEATURES_SIDE, batch, f"{batch} pictures of 224x224"


def _shared_files(features: dict) -> Iterator[str]:
    for name in features:
        base, _, end = name.rpartition(".")
        if base in features and end in _BESIDE:
            yield (
                f"features.{name}: its file {name}{_BESIDE[end]} would be one of features.{base}; "
                "choose another name"
            )


def unfit_keypoints(key: str, dataset: dict) -> Iterator[str]:
    """Yield a sentence for each setting of keypoints that is missing, or unfit for the task."""
    shape, task = dataset["kpt_shape"], dataset["task"]
    if task != "pose":
        for name in ("flip_idx", "skeleton", "keypoints"):
            if name in dataset:
                yield f"{key}.{name}: a dataset for {task} has no keypoints; leave it out"
        if shape and task != "detection":
            yield f"{key}.kpt_shape: a dataset for {task} has no keypoints; leave it out"
        return
    if not shape:
        yield (
            f"{key}.kpt_shape: a dataset for pose needs it: [17, 3] says that each box is followed "
            "by 17 keypoints of x, y and visibility"
        )
        return
    count, last = shape[0], shape[0] - 1
    flips = dataset.get("flip_idx", list(range(count)))
    if sorted(flips) != list(range(count)):
        yield f"{key}.flip_idx: {flips} does not name each of the keypoints 0 to {last} once"
    elif any(flips[other] != number for number, other in enumerate(flips)):
        yield f"{key}.flip_idx: {flips}: keypoints that are mirrored twice must be the same again"
    for pair in dataset.get("skeleton", []):
        if max(pair) > last or pair[0] == pair[1]:
            yield f"{key}.skeleton: {pair} is no pair of two of the keypoints 0 to {last}"
    if len(names := dataset.get("keypoints", range(count))) != count:
        yield f"{key}.keypoints: {len(names)} names for {count} keypoints (kpt_shape)"


def edged_names(key: str, names: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each name of a class that a line of text can't hold."""
    for index, name in enumerate(names):
        if name != name.strip() or not name.isprintable():
            yield f"{key}.{index}: {name!r} has a line break, or a space at an end; remove it"
