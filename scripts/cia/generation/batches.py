"""How many images are drawn at once: fixed on a CPU, chosen or measured on a GPU."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

logger = logging.getLogger("cia")

AUTO = "auto"

CPU_BATCH = 4
"""Images per call of a small network on a CPU: more gain little (docs/reproducibility.md)."""

_SMALL = 1e11
"""Parameters of the denoiser times pixels of a latent, up to which a network is small.

Stable Diffusion 1.5 at 512x512 has 3.5e12, the demo's model 1.1e9. What is above keeps the cores
busy with one image, and four would take four times its memory (15 GB in float32).
"""

_MOST = 32
"""Images per call on a GPU at most; more are no faster."""

_SHARE = 0.9
"""Of the free memory; the rest is for what grows faster than the batch."""


def cpu_batch(pipe: Any, width: int, height: int) -> int:
    """Return how many images are drawn at once on a CPU.

    It depends on the model and the size of the images alone, since another number moves values by a
    level: not on the machine, and not on how many images are left to draw.

    Parameters
    ----------
    pipe : diffusers.DiffusionPipeline
    width, height : int
        Of the images, in pixels.
    """
    denoiser = getattr(pipe, "unet", None) or pipe.transformer
    parameters = sum(weights.numel() for weights in denoiser.parameters())
    latent = width * height / pipe.vae_scale_factor**2
    return CPU_BATCH if parameters * latent <= _SMALL else 1


def gpu_batches(
    painter: Any, trials: list[tuple[Any, int]], load_map: Callable[[Any], Image.Image]
) -> dict[tuple[int, int], int]:
    """Return how many images of each size fit on the GPU at once.

    One image of the largest size is drawn, and its memory measured; that of smaller ones is taken
    to be as their pixels are, so that a set of many sizes costs one image more, not one for each.
    Where it does not fit, the next size is tried.

    Parameters
    ----------
    painter : cia.generation.drawing.Painter
        On a GPU.
    trials : list of tuple
        For each size a row of a plan, and how many images of that size one job draws at most.
    load_map : callable
        Returns the condition map of a row.

    Returns
    -------
    dict
        Width and height, and a power of two; 1 where not even one image fits, which drawing has an
        answer to.
    """
    trials = sorted(trials, key=lambda trial: trial[0].width * trial[0].height, reverse=True)
    batches = {}
    while trials:
        row = trials[0][0]
        each = _memory_of_one(painter, row, load_map(row))
        if each is not None:
            return batches | _fitting(each, trials)
        batches[row.width, row.height] = 1
        trials = trials[1:]
    return batches


def _memory_of_one(painter: Any, row: Any, map_: Image.Image) -> int | None:
    """Return the bytes that drawing one image takes; None if it does not fit."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    try:
        painter.paint([row], [map_])
    except torch.OutOfMemoryError:
        return None
    return torch.cuda.max_memory_allocated() - before


def _fitting(each: int, trials: list[tuple[Any, int]]) -> dict[tuple[int, int], int]:
    """Return the batch of each size, where one image of the first takes so many bytes."""
    largest = trials[0][0]
    torch.cuda.empty_cache()
    free, whole = torch.cuda.mem_get_info()
    logger.info(
        "batch_size auto: one image of %dx%d takes %.2f GB; %.1f of %.1f GB are free",
        *(largest.width, largest.height, each / 1e9, free / 1e9, whole / 1e9),
    )
    batches = {}
    for row, images in trials:
        share = row.width * row.height / (largest.width * largest.height)
        batch = fitting_batch(free, round(each * share), images)
        batches[row.width, row.height] = batch
        logger.info("%dx%d: %d images at a time", row.width, row.height, batch)
    return batches


def fitting_batch(free: int, each: int, images: int) -> int:
    """Return the largest power of two that fits, at most 32 and at most `images`.

    Powers of two, so that GPUs of one kind choose alike where a little more is free on one.

    Parameters
    ----------
    free, each : int
        Bytes that are free, and that one image takes.
    images : int
        How many one job draws at most.
    """
    batch = 1
    while 2 * batch <= min(images, _MOST) and 2 * batch * each <= _SHARE * free:
        batch *= 2
    return batch
