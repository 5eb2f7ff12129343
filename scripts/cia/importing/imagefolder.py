"""A folder for each class, with or without folders of splits above, as torchvision has it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from cia.errors import UserError
from cia.importing.pictures import (
    Description,
    Picture,
    Refused,
    Wanted,
    is_picture,
    list_files,
    require_folder,
    sorted_names,
    split_folders,
)


def describe(settings: Mapping, task: str) -> Description:
    """Return the folders' names, sorted (numbers by value), and the splits."""
    root = require_folder(settings["path"])
    splits = split_folders(root)
    names = {name for folder in splits.values() or [root] for name in _classes(folder)}
    if not names:
        raise UserError(f"path: {root} has no folder for each class")
    return Description(sorted_names(names), tuple(splits))


def watch(settings: Mapping) -> list[Path]:
    """Return the folder."""
    return [require_folder(settings["path"])]


def read(settings: Mapping, wanted: Wanted) -> Iterator[Picture | Refused]:
    """Yield the pictures of all classes; a class that is left out is only counted."""
    if wanted.task != "classification":
        raise UserError(f"format: imagefolder has classes, and nothing for {wanted.task}")
    root = require_folder(settings["path"])
    folders = split_folders(root) or {"": root}
    for split, folder in folders.items():
        for name in list_files(folder):
            class_, _, rest = name.partition("/")
            if not is_picture(name):
                yield Refused(f"{folder}/{name}", "not a picture of a known suffix", split)
            elif not rest:
                yield Refused(f"{folder}/{name}", "unlabeled: it is in no class's folder", split)
            elif (index := wanted.index(class_)) is not None:
                yield Picture(f"{folder}/{name}", name, split, str(index))
    yield from _beside(root, folders)


def _classes(folder: Path) -> list[str]:
    return [
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    ]


def _beside(root: Path, folders: Mapping[str, Path]) -> Iterator[Refused]:
    """Yield the folders with pictures beside those of the splits."""
    for path in sorted(root.iterdir()) if "" not in folders else ():
        if path.is_dir() and path not in folders.values() and not path.name.startswith("."):
            yield Refused(str(path), f"a folder beside {' and '.join(folders)}")
