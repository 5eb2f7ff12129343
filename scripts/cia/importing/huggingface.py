"""Datasets of Hugging Face: a folder with metadata.jsonl or parquet files, or one of the hub.

Read through the library `datasets`, which is no part of the lock: it brings 20 packages, which only
such a dataset needs. Its pictures are not decoded here. Those in files become links; those
inside parquet files are written once, byte for byte.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cia.errors import UserError
from cia.files import atomic_path
from cia.importing.pictures import (
    Description,
    MissingLibrary,
    Picture,
    Refused,
    Wanted,
    name_within,
    one_class,
    ordered,
    sorted_names,
    split_named,
)

INSTALL = 'pip install "datasets==5.2.*" "pyarrow==25.*"'

EMBEDDED = "pictures inside parquet files were written as files of their own, byte for byte"

_USUAL = {
    "label": ("label", "labels", "class", "category"),
    "caption": ("caption", "text", "captions", "prompt"),
    "objects": ("objects", "annotations"),
}
_BOXES = ("bbox", "bboxes", "box", "boxes")
_CATEGORIES = ("category", "categories", "category_id", "label", "labels", "class")

_MAGIC = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"RIFF": ".webp",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}
"""What files of each format begin with."""


def describe(settings: Mapping, task: str) -> Description:
    """Return the names of the feature ClassLabel, or the values of the column, and the splits."""
    found = _load(settings)
    values: set[str] = set()
    for split in found.values():
        columns = _columns(split, settings, task)
        if names := _names(split.features, columns, task):
            return Description(tuple(names), ordered(_splits(found).values()))
        key = columns["label"] if task == "classification" else columns["objects"]
        for row in split.select_columns([key]):
            values.update(str(value) for value in _categories_of(row[key], task))
    return Description(sorted_names(values - {"None"}), ordered(_splits(found).values()))


def watch(settings: Mapping) -> list[Path]:
    """Return the folder; of the hub, nothing: a revision stays what it is."""
    return [Path(settings["path"])] if Path(settings["path"]).is_dir() else []


def read(settings: Mapping, wanted: Wanted) -> Iterator[Picture | Refused]:
    """Yield the rows of all splits."""
    if wanted.task not in ("detection", "classification"):
        raise UserError(f"format: huggingface has boxes and classes, and nothing for {wanted.task}")
    from datasets import Image

    found = _load(settings)
    splits = _splits(found)
    if len(found) == 1 and not _is_told(settings):
        splits = dict.fromkeys(found, "")  # `datasets` calls it train where nothing says a split
    for name, rows in found.items():
        if name not in splits:
            yield Refused(name, "a split that is none of train, validation and test")
            continue
        columns = _columns(rows, settings, wanted.task, wanted.group)
        names = _names(rows.features, columns, wanted.task)
        for number, row in enumerate(rows.cast_column(columns["image"], Image(decode=False))):
            place = f"{settings['path']}, {name}, row {number}"
            try:
                file, picture = _file(row[columns["image"]], settings, name, wanted)
            except ValueError as error:
                yield Refused(place, str(error), splits[name], True)
                continue
            label, problem = _label(file, row, columns, names, settings, wanted)
            if wanted.task == "classification" and label == "":
                continue  # a picture of a class that is left out, and counted
            caption = _text(row.get(columns["caption"]))
            group = _text(row.get(columns["group"]))
            problem = problem and f"{place}: {problem}"
            yield Picture(file, picture, splits[name], label, problem, caption, group)


def _load(settings: Mapping) -> dict:
    """Open a dataset; a folder without a copy in the library's cache."""
    try:
        import datasets
    except ImportError as error:
        raise MissingLibrary(
            f"format: huggingface needs the library datasets, which can't be imported ({error}). "
            f"Install it where Snakemake and its jobs run: {INSTALL}"
        ) from error
    datasets.disable_progress_bars()
    local = Path(settings["path"]).is_dir()
    try:
        found = datasets.load_dataset(
            str(Path(settings["path"]).absolute()) if local else settings["path"],
            settings["config"],
            revision=settings["revision"],
            streaming=local,
        )
    except Exception as error:  # its own, the hub's, those of all its file readers
        first = (str(error).splitlines() or [""])[0]
        what = "this folder" if local else "this name of the hub (nor is it a folder here)"
        raise UserError(
            f"path: datasets.load_dataset can't read {what}, {settings['path']!r}: "
            f"{type(error).__name__}: {first}"
        ) from error
    return dict(found)


def _is_told(settings: Mapping) -> bool:
    """Say whether a folder, or a name in it, says that all of it is for training."""
    root = Path(settings["path"])
    if not root.is_dir():
        return True
    names = [path.name for path in [*root.iterdir(), *root.glob("data/*")]]
    return any(split_named(name.split(".")[0].split("-")[0]) for name in names)


def _splits(found: Mapping) -> dict[str, str]:
    return {name: split for name in found if (split := split_named(name))}


def _columns(rows, settings: Mapping, task: str, group: str = "") -> dict[str, str]:
    """Return the columns' names by what they hold; "" for one that is not there."""
    features = _features(rows)
    images = [name for name, feature in features.items() if type(feature).__name__ == "Image"]
    columns = {"image": settings["image"] or next(iter(images), "image")}
    for key, usual in _USUAL.items():
        columns[key] = settings[key] or next((name for name in usual if name in features), "")
    columns["group"] = group if group in features else ""
    needed = ("image", "label" if task == "classification" else "objects")
    for key in needed:
        if columns[key] not in features:
            raise UserError(
                f"{settings['path']}: set `{key}`, its column, in `source`; there are "
                f"{', '.join(map(repr, features))}"
            )
    return columns


def _features(rows) -> Mapping:
    if rows.features is None:
        rows = rows._resolve_features()
    return rows.features


def _names(features: Mapping, columns: Mapping, task: str) -> Sequence[str] | None:
    """Return the names of the feature that holds classes, if it has names."""
    feature = features[columns["label" if task == "classification" else "objects"]]
    if task != "classification":
        fields = _inner(feature)
        key = isinstance(fields, Mapping) and _first(fields, _CATEGORIES)
        feature = _inner(fields[key]) if key else None
    return getattr(feature, "names", None)


def _inner(feature: Any) -> Any:
    """Return what a list is of."""
    return getattr(feature, "feature", feature)


def _first(there: Mapping, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in there), None)


def _objects_of(value: Any) -> tuple[list, list]:
    """Return the boxes and classes of a cell: a dict of lists, or a list of dicts."""
    if isinstance(value, list):
        keys = {key for entry in value for key in entry}
        value = {key: [entry.get(key) for entry in value] for key in keys}
    value = value or {}
    boxes, categories = _first(value, _BOXES), _first(value, _CATEGORIES)
    if value and (boxes is None or categories is None):
        raise ValueError(f"objects have {', '.join(value)}, and no bbox and category")
    return (value[boxes], value[categories]) if value else ([], [])


def _categories_of(value: Any, task: str) -> list:
    return [value] if task == "classification" else _objects_of(value)[1]


def _label(file: str, row: Mapping, columns, names, settings, wanted: Wanted) -> tuple:
    def index(value: Any) -> int | None:
        return wanted.index(names[value] if names and isinstance(value, int) else str(value))

    if wanted.task == "classification":
        value = row[columns["label"]]
        if value is None or value == -1:
            return None, "no label"
        return one_class([index(value)])
    from cia.importing.boxes import box_lines

    try:
        boxes, categories = _objects_of(row[columns["objects"]])
        pairs = zip(map(index, categories), boxes, strict=True)
        kept = [(number, box) for number, box in pairs if number is not None]
        stated = row.get("width"), row.get("height")
        size = stated if all(isinstance(side, int) and side > 0 for side in stated) else None
        return box_lines(file, kept, settings, size, wanted), ""
    except (ValueError, TypeError) as error:
        return None, str(error)


def _text(value: Any) -> str:
    value = value[0] if isinstance(value, list) and value else value
    return " ".join(str(value).split()) if value not in (None, []) else ""


def _file(image: Mapping | None, settings: Mapping, split: str, wanted: Wanted) -> tuple[str, str]:
    """Return a picture's file and name; one that has no file gets it."""
    if not image or not (image.get("bytes") or image.get("path")):
        raise ValueError("no picture")
    path, content = image.get("path") or "", image.get("bytes")
    if not content:
        name = name_within(path, Path(settings["path"]).absolute())
        first, _, rest = name.partition("/")
        return path, rest if rest and split_named(first) == split_named(split) else name
    digest = hashlib.sha256(content).hexdigest()[:16]
    suffix = next((end for start, end in _MAGIC.items() if content.startswith(start)), ".bin")
    file = wanted.folder.absolute() / split / f"{digest}{suffix}"
    if not file.exists():
        with atomic_path(file) as partial:
            partial.write_bytes(content)
    wanted.notes[EMBEDDED] += 1
    return str(file), Path(path).name or file.name
