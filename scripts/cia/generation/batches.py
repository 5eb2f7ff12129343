"""How many images are drawn at once: fixed on a CPU, chosen or measured on a GPU."""

import logging
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
    painter: Any, row: Any, map_: Image.Image, sizes: dict[tuple[int, int], int]
) -> dict[tuple[int, int], int]:
    """Return how many images of each size fit on the GPU at once.

    One image of the largest size is drawn, and its memory measured; that of others is taken to be
    as their pixels are, so that a set of many sizes costs one image more and not one for each.

    Parameters
    ----------
    painter : cia.generation.drawing.Painter
        On a GPU.
    row : named tuple
        A row of a plan, of the largest size; its image is drawn and thrown away.
    map_ : PIL.Image.Image
        Its condition map.
    sizes : dict
        Width and height in pixels, and how many images of that size there are to draw in all.

    Returns
    -------
    dict
        Width and height, and a power of two; 1 where not even one image fits, which drawing has an
        answer to.
    """
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    try:
        painter.paint([row], [map_])
    except torch.OutOfMemoryError:
        return dict.fromkeys(sizes, 1)
    each = torch.cuda.max_memory_allocated() - before
    torch.cuda.empty_cache()
    free, whole = torch.cuda.mem_get_info()
    logger.info(
        "batch_size auto: one image of %dx%d takes %.2f GB; %.1f of %.1f GB are free",
        *(row.width, row.height, each / 1e9, free / 1e9, whole / 1e9),
    )
    batches = {}
    for (width, height), images in sizes.items():
        share = width * height / (row.width * row.height)
        batches[width, height] = fitting_batch(free, round(each * share), images)
        logger.info("%dx%d: %d images at a time", width, height, batches[width, height])
    return batches


def fitting_batch(free: int, each: int, images: int) -> int:
    """Return the largest power of two that fits, at most 32 and the next above `images`.

    Powers of two, so that GPUs of one kind choose alike where a little more is free on one.

    Parameters
    ----------
    free, each : int
        Bytes that are free, and that one image takes.
    images : int
        How many there are to draw in all.
    """
    batch = 1
    while batch < min(images, _MOST) and 2 * batch * each <= _SHARE * free:
        batch *= 2
    return batch
