"""What a job asks of a cluster: time and memory, from the size of its work.

Generous, since a job that asks for too little is killed and starts again with more, and plain:
rows times a cost per row, on a fixed start. Light on purpose: a dry run calls these for each job.
"""

import os
import re
from math import ceil, prod
from pathlib import Path

ROW_BYTES = 100
"""A row of a manifest or plan takes at least this, so a table's size says how many it has."""

NARROW = 30
"""The same for rows of training sets, and for lines of labels."""

_START_MINUTES = 20.0
"""Starting Python, loading models from a busy file system."""

_MANY = 1000
"""Pictures of a job that is worth a second core: seconds of work, where they are photographs."""

_SECONDS_PER_STEP_MEGAPIXEL = 1.0
"""Denoising on a slow GPU (T4): 0.9 for SD1.5 with a ControlNet, 1.9 for SDXL."""

_SECONDS_PER_IMAGE = {
    "scan": 0.1,
    "light": 0.1,
    "network": 2.0,
    "vary": 0.1,
    "features": 0.1,
    "mix": 0.05,
    "gallery": 0.05,
}

_SECONDS_PER_PAIR = 3e-6
"""All metrics with 1000 draws on two cores: 75 s for 5000 and 5000 vectors of 2048 numbers."""

_SECONDS_PER_TRAINING_MEGAPIXEL = 0.2
"""Forward, backward and reading the picture, for a middle-sized detector on a slow GPU."""

_USUAL_SIDE = 640
"""Of a training's pictures, in pixels, where its settings do not say."""


def table_rows(path: str | Path, row_bytes: int = ROW_BYTES) -> int:
    """Return about how many rows a table has, never too few, without reading it.

    Parameters
    ----------
    path : path
    row_bytes : int
        What a row takes at least: ROW_BYTES or NARROW.

    Raises
    ------
    FileNotFoundError
        If the table is not there yet; Snakemake then shows the need as to be determined.
    """
    return ceil(os.stat(path).st_size / row_bytes)


def array_rows(path: str | Path) -> int:
    """Return how many rows a .npy file has, by its header.

    Raises
    ------
    FileNotFoundError
        As `table_rows`.
    """
    with open(path, "rb") as file:
        found = re.search(rb"'shape': \((\d+),", file.read(256))
    return int(found[1]) if found else 0


def job_threads(images: int) -> int:
    """Return how many cores a job takes that treats so many pictures, or vectors of features.

    A second core saves a short job little, and is seldom free at once with the first: where others
    train meanwhile, the job waits for the end of a training, and what needs its output waits, too.
    """
    return 2 if images >= _MANY else 1


def image_minutes(kind: str, images: int) -> int:
    """Return minutes for a job that treats pictures one by one.

    Parameters
    ----------
    kind : str
        scan, light or network (an extractor or judge without or with one), vary, features, mix or
        gallery.
    images : int
        How many.
    """
    return _minutes(images * _SECONDS_PER_IMAGE[kind])


def generation_minutes(images: int, steps: int, size: list[int] | dict) -> int:
    """Return minutes for generating `images` pictures in `steps` steps each.

    Parameters
    ----------
    images, steps : int
        Pictures of the job, and denoising steps of each.
    size : list of int or dict
        As in the config's `conditions`: [width, height], or {resolution, ...}.
    """
    pixels = size["resolution"] ** 2 if isinstance(size, dict) else prod(size)
    return _minutes(images * (0.2 + steps * pixels / 1e6 * _SECONDS_PER_STEP_MEGAPIXEL))


def training_minutes(images: int, settings: dict) -> int:
    """Return minutes for training on `images` pictures.

    Parameters
    ----------
    images : int
        Size of the training set.
    settings : dict
        One entry of the config's `trainers`: steps or epochs, batch, and perhaps image_size.
    """
    seen = settings["steps"] * settings["batch"] if settings["steps"] else 0
    seen = seen or images * settings["epochs"]
    megapixels = settings.get("image_size", _USUAL_SIDE) ** 2 / 1e6
    return _minutes(40 * 60 + seen * megapixels * _SECONDS_PER_TRAINING_MEGAPIXEL)


def statistics_minutes(pairs: int) -> int:
    """Return minutes for statistics over features that make so many pairs, real and synthetic."""
    return _minutes(40 * 60 + pairs * _SECONDS_PER_PAIR)


def features_memory(images: int) -> int:
    """Return MB for the features of so many pictures (2048 float32 each, and a copy)."""
    return 8000 + ceil(images * 2 * 2048 * 4 / 1e6)


def statistics_memory(*features: str | Path) -> int:
    """Return MB for statistics over saved features, which take float64 and copies of them."""
    return 8000 + ceil(6 * sum(os.stat(path).st_size for path in features) / 1e6)


def _minutes(seconds: float) -> int:
    return ceil(_START_MINUTES + seconds / 60)
