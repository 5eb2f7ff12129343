"""Synthetic images: a plan's rows in, PNG files out, each a function of its row and model alone.

Batches mix images of one size. A batch that is not full is filled up with copies, so every call
has the same shape, and an image has the same bytes whatever is made beside it: other shards,
other plans, a resumed run. On a CPU that shape is fixed for a model and a size
(`cia.generation.batches`). On a GPU it is the config's batch size, and another one (or a batch
halved for lack of memory) may move single values by one level, since numeric libraries choose
another order of summation: see docs/reproducibility.md.

With a store (`cia.generation.store`) an image that is there already is taken from it, whichever run
made it.
"""

import hashlib
import inspect
import io
import itertools
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image

from cia.config.few_steps import find_recipe
from cia.errors import UserError
from cia.files import digest_file, explain_full, is_full
from cia.generation.batches import AUTO, cpu_batch, gpu_batches
from cia.generation.loras import LoraFile, find_loras
from cia.generation.pipelines import (
    ModelFiles,
    compile_networks,
    find_controlnet,
    find_model,
    load_pipeline,
    resolve_dtype,
    size_multiple,
)
from cia.generation.store import Store, seal_png, verify, write_bytes
from cia.images import load_image, write_png
from cia.planning.plans import shard_of
from cia.progress import Progress
from cia.remedies import command
from cia.tables import COLUMNS
from cia.versions import STAGE

logger = logging.getLogger("cia")

_POLL = 0.2
"""Seconds between two looks at what another run is making."""

_EMBEDDINGS = {
    "StableDiffusionControlNetPipeline": ("prompt_embeds", "negative_prompt_embeds"),
    "StableDiffusionXLControlNetPipeline": (
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    ),
    "StableDiffusion3ControlNetPipeline": (
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    ),
}
"""What `encode_prompt` returns, by class; other pipelines are given the texts."""

_SAMPLERS = {
    "UniPCMultistepScheduler": "UniPC",
    "DDIMScheduler": "DDIM",
    "PNDMScheduler": "PLMS",
    "LMSDiscreteScheduler": "LMS",
    "EulerDiscreteScheduler": "Euler",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "HeunDiscreteScheduler": "Heun",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "DPMSolverSinglestepScheduler": "DPM++ 2S",
    "LCMScheduler": "LCM",
}
"""Names that readers of the `parameters` chunk know."""


class Models(NamedTuple):
    """The model, its ControlNet and its LoRAs."""

    model: ModelFiles
    controlnet: ModelFiles
    loras: tuple[LoraFile, ...] = ()


def find_models(settings: dict, key: str) -> Models:
    """Find the model, the ControlNet and the LoRAs that the settings name."""
    loras = find_loras(settings, key)
    return Models(find_model(settings, key), find_controlnet(settings, key), loras)


def generate_shard(
    plan: pd.DataFrame,
    shard: int,
    shards: int,
    settings: dict,
    folder: Path,
    batch_size: int | str,
    key: str = "generators",
    compiled: bool = False,
    models: Models | None = None,
    store: Store | None = None,
) -> pd.DataFrame:
    """Make the images of one shard that are neither there yet nor in the store.

    Parameters
    ----------
    plan : pandas.DataFrame
        The whole plan.
    shard, shards : int
        Which shard of how many.
    settings : dict
        One entry of the config's `generators`: model, controlnet, scheduler, steps, ...
    folder : Path
        Where the images go, as `{id}.png`.
    batch_size : int or "auto"
        Images per call on a GPU, `auto` for as many as fit; halved when memory runs out. On a CPU
        the model and the size of the images decide.
    key : str
        Where in the config the settings are, for messages: `generators.NAME`.
    compiled : bool
        Compile the networks first (minutes; pays for thousands of images on a GPU).
    models : Models, optional
        From `find_models`, where they are found already.
    store : Store, optional
        Where images are looked for and kept.

    Returns
    -------
    pandas.DataFrame
        Columns of a shard manifest, sorted by id.

    Raises
    ------
    UserError
        If the model can't be had, a size or setting does not fit it, a condition map is not the
        one of the plan, memory does not suffice for one image, the disk is full, or an image has
        NaN or infinity.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = plan[shard_of(plan["id"], shards) == shard]
    models = models or find_models(settings, key)
    files = _Files(folder, image_keys(rows, settings, models, device, compiled), store)
    try:
        missing = rows[[not files.find(id_) for id_ in rows["id"]]]
        there = len(rows) - len(missing)
        logger.info("%d images to make, %d are there already", len(missing), there)
        if len(missing):
            found = (models.model, models.controlnet)
            pipe = load_pipeline(*found, settings, key, device, models.loras)
            painter = Painter(pipe, settings, key)
            painter.check_sizes(plan)
            batches = _choose_batches(painter, plan, shards, batch_size, device)
            if compiled:  # after the trials of other shapes
                compile_networks(painter.pipe)
            progress = Progress(len(rows), "images", there=there)
            progress.log()
            describe = _describer(settings, models, painter, device)
            _paint_missing(painter, missing, batches, files, describe, progress)
    except OSError as error:
        if is_full(error):
            raise explain_full(error, *files.folders()) from error
        raise
    table = rows[["id", "width", "height"]].copy()
    table["image"] = [files.path(id_).as_posix() for id_ in rows["id"]]
    table["sha256"] = [files.digests[id_] for id_ in rows["id"]]
    return table[COLUMNS["shard"]].sort_values("id", ignore_index=True)


def _choose_batches(
    painter: "Painter", plan: pd.DataFrame, shards: int, wanted: int | str, device: str
) -> dict[tuple[int, int], int]:
    """Return the images per call for each width and height.

    The plan and its fullest shard decide, so that other shards and a resumed run choose alike.
    """
    shape = ["width", "height"]
    sizes = list(plan.groupby(shape, sort=False).groups)
    if device == "cpu":
        return {size: cpu_batch(painter.pipe, *size) for size in sizes}
    if wanted != AUTO:
        return dict.fromkeys(sizes, int(wanted))
    counts = plan.groupby([*shape, shard_of(plan["id"], shards)]).size().groupby(shape).max()
    firsts = plan.drop_duplicates(shape).itertuples(index=False)
    trials = [(row, int(counts[row.width, row.height])) for row in firsts]
    return gpu_batches(painter, trials, _load_map)


def _paint_missing(
    painter: "Painter",
    rows: pd.DataFrame,
    batches: dict[tuple[int, int], int],
    files: "_Files",
    describe: Callable,
    progress: Progress,
) -> None:
    made = 0
    with _Writer(files, describe) as writer:
        # the batch before is saved when this one is painted, or its error ends this one before:
        # no two batches are lost, and no step waits for files
        painter.after_step = writer.check
        for shape, same_size in rows.groupby(["width", "height"], sort=False):
            for batch, images in paint_all(
                painter, same_size, batches[shape], _queue(files, writer)
            ):
                writer.write(batch, images)
                progress.add(len(batch))
                made += len(batch)
    taken = len(rows) - made
    logger.info("%d images made, %d taken from the store while another run made them", made, taken)


def image_keys(
    rows: pd.DataFrame, settings: dict, models: Models, device: str, compiled: bool = False
) -> dict[str, str]:
    """Return a digest of everything that each image is a function of, by id.

    Model files, LoRAs with their weights, condition map, prompts, seed, size, settings, number
    format, whether the networks are compiled, and the version of this stage; not the id, nor the
    names and places of files.
    """
    shared = {
        "version": STAGE["generate"],
        "model": models.model.identity,
        "controlnet": models.controlnet.identity,
        "dtype": str(resolve_dtype(settings, device)),
        "scheduler": settings.get("scheduler"),
        **{name: settings[name] for name in _CALL_SETTINGS},
        # keys of other images stay as they were
        **({"compiled": True} if compiled else {}),
        **({"loras": [(one.identity, one.weight) for one in models.loras]} if models.loras else {}),
        **_few_steps(settings),
    }
    own = ["condition_sha256", "prompt", "negative_prompt", "seed", "width", "height"]
    keys = {}
    for id_, *values in rows[["id", *own]].itertuples(index=False):
        whole = {**shared, **dict(zip(own, values, strict=True))}
        text = json.dumps(whole, sort_keys=True, ensure_ascii=False, default=int)
        keys[id_] = hashlib.sha256(text.encode()).hexdigest()
    return keys


def _few_steps(settings: dict) -> dict:
    """Return what a few-step model changes beside scheduler, steps and guidance."""
    recipe = find_recipe(settings)
    changes = {"scheduler_config": recipe.scheduler_config, "call": recipe.call} if recipe else {}
    return {name: value for name, value in changes.items() if value}


def possible_keys(plan: pd.DataFrame, settings: dict, key: str) -> set[str]:
    """Return the keys of a plan's images, on whichever device, compiled or not, they are made."""
    models = find_models(settings, key)
    ways = itertools.product(("cpu", "cuda"), (False, True))
    return {k for way in ways for k in image_keys(plan, settings, models, *way).values()}


_CALL_SETTINGS = {
    "steps": "num_inference_steps",
    "guidance_scale": "guidance_scale",
    "conditioning_scale": "controlnet_conditioning_scale",
    "control_guidance_start": "control_guidance_start",
    "control_guidance_end": "control_guidance_end",
}
"""Settings and the pipelines' names for them."""

_NEUTRAL = {"control_guidance_start": 0.0, "control_guidance_end": 1.0}


class Painter:
    """A pipeline that paints batches of rows of a plan.

    Parameters
    ----------
    pipe : diffusers.DiffusionPipeline
        Any pipeline with a ControlNet.
    settings : dict
        steps, guidance_scale, conditioning_scale, control_guidance_start, control_guidance_end.
    key : str
        Where in the config they are.

    Attributes
    ----------
    batch_size : int
        Of the last call of `paint`.
    after_step : callable, optional
        Called in each batch when a step is done, with whether it is the last; what it raises stops
        the batch.
    """

    def __init__(self, pipe: Any, settings: dict, key: str):
        self.pipe = pipe
        self.key = key
        self.offloaded = False
        self.batch_size = 0
        self.after_step: Callable[[bool], None] | None = None
        self._accepted = set(inspect.signature(pipe.__call__).parameters)
        self._map_name = "control_image" if "control_image" in self._accepted else "image"
        self._fixed = self._call_settings(settings)
        self._encode = lru_cache(maxsize=256)(self._encode_pair)

    def check_sizes(self, rows: pd.DataFrame) -> None:
        """Raise a UserError if an image's sides don't fit the model."""
        multiple = size_multiple(self.pipe)
        wrong = rows[(rows["width"] % multiple != 0) | (rows["height"] % multiple != 0)]
        if len(wrong):
            row = wrong.iloc[0]
            raise UserError(
                f"{self.key}.model makes images whose sides are multiples of {multiple}, but the "
                f"condition map {row['condition']} has {row['width']}x{row['height']}; change the "
                "`size` of its condition"
            )

    def paint(self, rows: list, maps: list[Image.Image]) -> np.ndarray:
        """Paint one batch.

        Parameters
        ----------
        rows : list of named tuples
            Rows of a plan, all of one size.
        maps : list of PIL.Image.Image
            Their condition maps, of that size.

        Returns
        -------
        numpy.ndarray
            uint8, shape (len(rows), height, width, 3).

        Raises
        ------
        UserError
            If a picture has NaN or infinity.
        """
        self.batch_size = len(rows)
        # On the CPU: the same noise on every device; one each: the same noise in every batch.
        generators = [torch.Generator("cpu").manual_seed(int(row.seed)) for row in rows]
        with torch.inference_mode():
            images = self.pipe(
                **self._prompts(rows),
                **self._fixed,
                **{self._map_name: maps},
                **self._callback(),
                width=int(rows[0].width),
                height=int(rows[0].height),
                generator=generators,
                output_type="pt",
            ).images
            self._refuse_nan(rows, images)
            pixels = (images.float() * 255).round().to(torch.uint8)
            return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def _callback(self) -> dict:
        if self.after_step is None or "callback_on_step_end" not in self._accepted:
            return {}

        def at_step_end(pipe: Any, step: int, timestep: Any, tensors: dict) -> dict:
            self.after_step(step == pipe.num_timesteps - 1)
            return {}

        return {"callback_on_step_end": at_step_end}

    def save_memory(self) -> bool:
        """Keep on the GPU only the network at work, if that has not been done; say if it helps."""
        if self.pipe.device.type != "cuda" or self.offloaded:
            return False
        self.pipe.enable_model_cpu_offload()
        self.offloaded = True
        return True

    def _call_settings(self, settings: dict) -> dict:
        chosen = {}
        for name, argument in _CALL_SETTINGS.items():
            if argument in self._accepted:
                chosen[argument] = settings[name]
            elif settings[name] != _NEUTRAL.get(name):
                raise UserError(
                    f"{self.key}.{name}: {type(self.pipe).__name__} has no such setting; "
                    "leave it out"
                )
        recipe = find_recipe(settings)
        extra = recipe.call if recipe else {}
        return chosen | {name: extra[name] for name in extra if name in self._accepted}

    def _prompts(self, rows: list) -> dict:
        """Return the arguments that carry the prompts; each distinct one is encoded once."""
        pairs = [(row.prompt, row.negative_prompt) for row in rows]
        if type(self.pipe).__name__ not in _EMBEDDINGS:
            return self._texts(pairs)
        encoded = [self._encode(*pair) for pair in pairs]
        return {name: torch.cat([one[name] for one in encoded]) for name in encoded[0]}

    def _texts(self, pairs: list[tuple[str, str]]) -> dict:
        texts = {"prompt": [prompt for prompt, _ in pairs]}
        if any(negative for _, negative in pairs):
            texts["negative_prompt"] = [negative for _, negative in pairs]
        return texts

    def _encode_pair(self, prompt: str, negative: str) -> dict[str, torch.Tensor]:
        accepted = inspect.signature(self.pipe.encode_prompt).parameters
        others = {name: None for name in ("prompt_2", "prompt_3") if name in accepted}
        with torch.inference_mode():
            values = self.pipe.encode_prompt(
                prompt=prompt,
                **others,
                device=self.pipe._execution_device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=self._fixed["guidance_scale"] > 1,
                negative_prompt=negative or None,  # SDXL has a way of its own for no text
            )
        named = zip(_EMBEDDINGS[type(self.pipe).__name__], values, strict=True)
        return {name: value for name, value in named if value is not None}

    def _refuse_nan(self, rows: list, images: torch.Tensor) -> None:
        fine = torch.isfinite(images).flatten(1).all(dim=1).tolist()
        bad = [row.id for row, ok in zip(rows, fine, strict=True) if not ok]
        if bad:
            raise UserError(
                f"{', '.join(dict.fromkeys(bad))}: the picture holds NaN or infinity "
                f"(an overflow in {self.pipe.dtype}); set {self.key}.dtype to bfloat16 or float32"
            )


class Queue:
    """Rows that are left to paint."""

    def __init__(self, rows: Iterator):
        self.left = deque(rows)

    def take(self, count: int, wait: bool) -> list:
        """Return the next rows, at most `count`; none only at the end, or if not to wait."""
        return [self.left.popleft() for _ in range(min(count, len(self.left)))]

    def put_back(self, rows: list) -> None:
        """Take back rows that were not painted."""
        self.left.extendleft(reversed(rows))


class _SharedQueue(Queue):
    """A queue less what other runs make at the same time: rows are claimed in the store.

    A row that another run has at hand goes to the end; when it has made it, it is taken from the
    store, and when it has died, the row is ours.
    """

    def __init__(self, rows: Iterator, files: "_Files", writer: "_Writer"):
        super().__init__(rows)
        self._files, self._writer = files, writer

    def take(self, count: int, wait: bool) -> list:
        batch = self._claim(count)
        while wait and self.left and not batch:
            self._writer.finish()  # holds claims that others may wait for
            time.sleep(_POLL)
            batch = self._claim(count)
        return batch

    def put_back(self, rows: list) -> None:
        for row in rows:
            self._files.release(row.id)
        super().put_back(rows)

    def _claim(self, count: int) -> list:
        batch: list = []
        for _ in range(len(self.left)):
            if len(batch) == count:
                break
            row = self.left.popleft()
            if not self._files.claim(row.id):
                self.left.append(row)
            elif self._files.find(row.id):
                self._files.release(row.id)
            else:
                batch.append(row)
        return batch


def _queue(files: "_Files", writer: "_Writer") -> Callable[[Iterator], Queue]:
    if files.store is None:
        return Queue
    return lambda rows: _SharedQueue(rows, files, writer)


def paint_all(
    painter: Painter,
    rows: pd.DataFrame,
    batch_size: int,
    queue: Callable[[Iterator], Queue] = Queue,
) -> Iterator[tuple[list, np.ndarray]]:
    """Paint rows of one width and height in batches; yield each batch's rows and its images.

    When memory runs out, the batch is halved from then on; where one image does not fit, the
    networks take turns on the GPU.

    Raises
    ------
    UserError
        If one image does not fit even so.
    """
    left, size = queue(rows.itertuples(index=False)), batch_size
    with ThreadPoolExecutor(1) as loader:
        batch, maps = _load_next(left, size, loader, wait=True)
        while batch:
            loaded = maps.result()
            ahead, ahead_maps = _load_next(left, size, loader, wait=False)
            images = _paint_full(painter, batch, loaded, size)
            if images is None:
                left.put_back(batch + ahead)
                size, ahead = _smaller(painter, batch, size), []
            else:
                yield batch, images
            if not ahead:
                ahead, ahead_maps = _load_next(left, size, loader, wait=True)
            batch, maps = ahead, ahead_maps


def _load_next(left: Queue, size: int, loader: ThreadPoolExecutor, wait: bool) -> tuple:
    """Return the next batch and, loaded in the background, its condition maps."""
    batch = left.take(size, wait)
    return batch, loader.submit(_load_maps, batch)


def _paint_full(painter: Painter, batch: list, maps: list, size: int) -> np.ndarray | None:
    """Paint a batch, filled up to the full size with copies; None if memory ran out."""
    extra = size - len(batch)
    try:
        return painter.paint(batch + batch[-1:] * extra, maps + maps[-1:] * extra)[: len(batch)]
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            error.add_note(f"while making {', '.join(row.id for row in batch)}")
            raise
    if torch.cuda.is_available():  # outside of the handler, whose traceback holds the tensors
        torch.cuda.empty_cache()
    return None


def _smaller(painter: Painter, batch: list, size: int) -> int:
    if size > 1:
        logger.warning("Out of memory with %d images at a time; going on with %d", size, size // 2)
        return size // 2
    if painter.save_memory():
        logger.warning("Out of memory with one image; the networks now take turns on the GPU")
        return size
    row = batch[0]
    raise UserError(
        f"Out of memory: one image of {row.width}x{row.height} does not fit; choose a smaller "
        f"`size` for the condition, or a smaller {painter.key}.model"
    )


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _load_maps(batch: list) -> list[Image.Image]:
    return [_load_map(row) for row in batch]


def _load_map(row: Any) -> Image.Image:
    remedy = f"make the maps again: {command('--forcerun condition')}"
    try:
        digest = digest_file(row.condition)
    except FileNotFoundError:
        raise UserError(f"{row.condition}: the condition map is gone; {remedy}") from None
    if digest != row.condition_sha256:
        raise UserError(f"{row.condition}: changed since the plan was made; {remedy}")
    pixels = load_image(row.condition)
    if pixels.shape[:2] != (row.height, row.width):
        raise UserError(f"{row.condition}: not {row.width}x{row.height}, as planned; {remedy}")
    return Image.fromarray(pixels)


class _Files:
    """The images of a shard: in its folder, and in the store if there is one."""

    def __init__(self, folder: Path, keys: dict[str, str], store: Store | None):
        self.folder, self.keys, self.store = folder, keys, store
        self.digests: dict[str, str] = {}

    def folders(self) -> list[Path]:
        return [self.folder, self.store.folder] if self.store else [self.folder]

    def path(self, id_: str) -> Path:
        return self.folder / f"{id_}.png"

    def find(self, id_: str) -> bool:
        """Whether the image is in the folder, whole, or in the store, from which it is fetched."""
        path, key = self.path(id_), self.keys[id_]
        digest = verify(path, key)
        if self.store and digest and not self.store.path(key).exists():
            self.store.add(key, path)
        if self.store and not digest:
            digest = self.store.take(key, path)
        if digest:
            self.digests[id_] = digest
        return bool(digest)

    def save(self, id_: str, image: np.ndarray, text: dict[str, str]) -> None:
        """Save an image in the folder and in the store."""
        path, key = self.path(id_), self.keys[id_]
        buffer = io.BytesIO()
        write_png(buffer, image, text)
        content = seal_png(buffer.getvalue(), key)
        write_bytes(path, content)
        if self.store:
            self.store.add(key, path)
        self.digests[id_] = hashlib.sha256(content).hexdigest()

    def claim(self, id_: str) -> bool:
        return self.store.claim(self.keys[id_])

    def release(self, id_: str) -> None:
        if self.store:
            self.store.release(self.keys[id_])


class _Writer:
    """Saves images in the background, at most one batch behind; errors surface at the next call."""

    def __init__(self, files: _Files, describe: Callable[[Any], str]):
        self._files, self._describe = files, describe
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
        self._pending: dict[str, Future] = {}

    def __enter__(self) -> "_Writer":
        self._files.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            self.finish()
        finally:
            self._pool.shutdown()

    def write(self, batch: list, images: np.ndarray) -> None:
        self.finish()
        for row, image in zip(batch, images, strict=True):
            text = {"parameters": self._describe(row)}
            self._pending[row.id] = self._pool.submit(self._files.save, row.id, image, text)

    def check(self, wait: bool) -> None:
        """Raise what went wrong so far; with `wait`, when all is saved."""
        if wait or any(one.done() and one.exception() for one in self._pending.values()):
            self.finish()

    def finish(self) -> None:
        """Wait until what was given to `write` is saved, and give its claims back."""
        pending, self._pending = self._pending, {}
        for id_, future in pending.items():
            future.result()
            self._files.release(id_)


def _describer(
    settings: dict, models: Models, painter: Painter, device: str
) -> Callable[[Any], str]:
    """Return a function that writes a row's settings as AUTOMATIC1111's web UI does.

    On a GPU the batch size is among them: with another one, single values may differ.
    """
    scheduler = type(painter.pipe.scheduler).__name__
    control = {
        "Model": models.controlnet.name,
        "Weight": settings["conditioning_scale"],
        "Guidance Start": settings["control_guidance_start"],
        "Guidance End": settings["control_guidance_end"],
    }
    tags = "".join(f" <lora:{one.short_name}:{one.weight:g}>" for one in models.loras)
    hashes = {one.short_name: one.short_hash() for one in models.loras}

    def describe(row: Any) -> str:
        negative = f"\nNegative prompt: {row.negative_prompt}" if row.negative_prompt else ""
        values = {
            "Steps": settings["steps"],
            "Sampler": _SAMPLERS.get(scheduler, scheduler),
            "CFG scale": settings["guidance_scale"],
            "Seed": row.seed,
            "Size": f"{row.width}x{row.height}",
            "Model": models.model.name,
            **({"Batch size": painter.batch_size} if device == "cuda" else {}),
            "ControlNet 0": _listed(control),
            **({"Lora hashes": _listed(hashes)} if hashes else {}),
        }
        return f"{row.prompt}{tags}{negative}\n{_listed(values)}"

    return describe


def _listed(values: dict) -> str:
    return ", ".join(f"{name}: {_quoted(value)}" for name, value in values.items())


def _quoted(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if set(text) & set(',:\n"') else text
