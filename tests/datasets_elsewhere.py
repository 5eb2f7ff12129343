"""Small datasets in the formats of other programs, and what the workflow makes of them."""

import os
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from cia.catalog import SOURCES, code
from cia.config.checks import load_schema
from cia.importing.choices import choose_classes
from cia.importing.importing import import_dataset
from cia.importing.pictures import Picture, Refused, Wanted
from cia.tables import read_table

NAMES = ("with space.png", "Ümlaut.JPG", "dots.v1.2.png", "100%#1.jpeg")
"""Names that have tripped other programs."""


@cache
def _defaults(format_: str) -> dict:
    properties = load_schema("sources.yaml")["$defs"][format_]["properties"]
    return {key: entry["default"] for key, entry in properties.items() if "default" in entry}


def source(format_: str, path, **settings) -> dict:
    """Return a `source` of the config with its defaults."""
    return {"format": format_, **_defaults(format_), "path": path, **settings}


def picture(path: Path, size=(64, 48), orientation: int | None = None) -> Path:
    """Write a picture of noise; width and height are those that are stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    image = Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    image.save(path, format=kind, exif=exif)
    return path


def describe(settings: dict, task: str):
    return code(SOURCES[settings["format"]]).describe(settings, task)


def read(
    settings: dict, task: str, classes=None, **more
) -> tuple[dict[str, Picture], list[Refused], Wanted]:
    """Return the pictures by name, what was refused, and the counts."""
    chosen = choose_classes(classes, describe(settings, task).names)
    indices = {old: index for index, olds in enumerate(chosen.values()) for old in olds}
    wanted = Wanted(task, indices, **more)
    pictures, refused = {}, []
    for found in code(SOURCES[settings["format"]]).read(settings, wanted):
        if isinstance(found, Refused):
            refused.append(found)
        else:
            assert found.name not in pictures or pictures[found.name].split != found.split
            pictures[found.name] = found
    return pictures, refused, wanted


def imported(folder: Path, settings: dict, task: str, classes=None, split=None, seed=0) -> dict:
    """Import a source as its rule does; return the summary."""
    chosen = choose_classes(classes, describe(settings, task).names)
    full = settings | {"classes": chosen}
    split = split and {"stratify": True, "group": "", **split}
    return import_dataset(folder, full, task, None, split, seed)


def rows(folder: Path) -> dict[str, tuple[str, str]]:
    """Return split and id of each imported picture by its name in the source."""
    return {
        row.name: (split, row.id)
        for split in ("train", "val", "test")
        for row in read_table(folder / split / "imported.csv", "imported").itertuples(index=False)
    }


def numbers(label: str) -> np.ndarray:
    """Return class and coordinates of a label's lines, float64 (n, 5) for boxes."""
    return np.array([[float(word) for word in line.split()] for line in label.splitlines()])


def corners(label: str, width: float, height: float) -> np.ndarray:
    """Return left, top, right and bottom of a label's boxes in pixels."""
    boxes = numbers(label)[:, 1:5] * (width, height, width, height)
    return np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])


def link_targets(folder: Path) -> dict[str, str]:
    return {path.name: os.readlink(path) for path in sorted(folder.iterdir())}
