"""What readers of all formats hand on: pictures with their labels, and what can't be used.

A reader is a module of this package (`cia.catalog.SOURCES`) with three functions:

- `describe(settings, task)` returns a `Description`: class names and the like, as cheap as can be,
  since the Snakefile asks for it before it plans its jobs;
- `watch(settings)` returns the files and folders that the data come from; a change in them is a
  reason to import again;
- `read(settings, wanted)` yields a `Picture` for each picture, and a `Refused` for what can't be
  used. It opens nothing for writing.

`settings` is the dataset's `source` in the config. Light on purpose: `describe` and `watch` run in
a dry run, so what is heavy is imported in functions.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cia.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""Suffixes of pictures, in lower case: `cia.images.IMAGE_SUFFIXES`, without importing NumPy."""

SPLITS = ("train", "val", "test")

_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")

_SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""What sources call the splits, in lower case."""

_NAMED = {name: split for split, names in _SPLITS.items() for name in names}


class MissingLibrary(UserError):
    """A format needs a library that is not installed."""


class Picture(NamedTuple):
    """A picture of a source.

    Attributes
    ----------
    path : str
        Of its file, absolute; links are not followed.
    name : str
        Within the source (or within its split there), with `/`: what its id is made from.
    split : str
        train, val or test; "" if the source does not say.
    label : str or None
        Lines as label files have them, with class indices of `Wanted.classes`; "" is a picture
        without objects, None one whose label can't be used.
    problem : str
        Why the label can't be used.
    caption, group : str
        "" if the source has none.
    """

    path: str
    name: str
    split: str
    label: str | None
    problem: str = ""
    caption: str = ""
    group: str = ""


class Refused(NamedTuple):
    """What is in a source and can't be used.

    Attributes
    ----------
    file, reason : str
    split : str
        Where it would have been; "" if the source does not say.
    unusable : bool
        Whether it counts for `max_rejected`: a picture that the source lists does, a stray file
        in its folders does not.
    """

    file: str
    reason: str
    split: str = ""
    unusable: bool = False


@dataclass
class Wanted:
    """What a reader is asked for, and what it leaves out on the way.

    Attributes
    ----------
    task : str
        Of the dataset.
    classes : mapping
        The source's name of a class to the index that it gets; others are left out.
    kpt_shape : sequence of int, False or None
        As in the config.
    group : str
        Of the config's `split`: a column's name, where the format has columns; or a pattern.
    folder : Path or None
        Where a reader may put pictures that lie in no file of their own.
    dropped : Counter
        The source's name of a class that is not in `classes` to the number of its objects.
    notes : Counter
        A sentence to how often it holds, for the log and the summary.
    """

    task: str
    classes: Mapping[str, int]
    kpt_shape: Sequence[int] | bool | None = None
    group: str = ""
    folder: Path | None = None
    dropped: Counter = field(default_factory=Counter)
    notes: Counter = field(default_factory=Counter)

    def index(self, name: str) -> int | None:
        """Return the index of a class of the source; None, and a count, if it is left out."""
        found = self.classes.get(name)
        if found is None:
            self.dropped[name] += 1
        return found


@dataclass(frozen=True)
class Description:
    """What can be said of a source before it is read.

    Attributes
    ----------
    names : tuple of str or None
        Its classes, in order; None if it names none.
    splits : tuple of str or None
        The splits that it names, () for none; None if only reading tells.
    keys : mapping
        Other settings of the dataset that the source knows (`kpt_shape`, ...).
    """

    names: tuple[str, ...] | None
    splits: tuple[str, ...] | None = None
    keys: Mapping[str, Any] = field(default_factory=dict)


def split_named(name: str) -> str:
    """Return the split that a source calls so (`valid` is val), or ""."""
    return _NAMED.get(name.lower(), "")


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folders of a folder that are named as splits, if one is for training."""
    folders = {split_named(path.name): path for path in sorted(root.iterdir()) if path.is_dir()}
    return (
        {split: folders[split] for split in SPLITS if split in folders}
        if folders.get("train")
        else {}
    )


def ordered(splits: Iterable[str]) -> tuple[str, ...]:
    """Return splits in their usual order, each once."""
    there = set(splits)
    return tuple(split for split in SPLITS if split in there)


def sorted_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names in order, each once; names that are all numbers by their value."""
    unique = set(names)
    if all(name.isascii() and name.isdigit() for name in unique):
        return tuple(sorted(unique, key=lambda name: (int(name), name)))
    return tuple(sorted(unique))


def is_picture(name: str) -> bool:
    """Say whether a file's name has a picture's suffix."""
    return name.lower().endswith(SUFFIXES)


def list_files(folder: str | Path) -> Iterator[str]:
    """Yield the files of a folder and its subfolders, sorted, as paths within it.

    Hidden files and folders are left out; links to folders are followed, each folder once.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        within = waiting.pop()
        path = f"{folder}/{within}"
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(path) as entries:
            there = sorted((e.name, e.is_dir()) for e in entries if e.name[:1] != ".")
        waiting += [f"{within}{name}/" for name, is_folder in reversed(there) if is_folder]
        yield from (f"{within}{name}" for name, is_folder in there if not is_folder)


def require_folder(path: str | Path, key: str = "path") -> Path:
    """Return a folder's absolute path; a `UserError` names the key if there is none."""
    return _require(path, key, os.path.isdir, "folder")


def require_file(path: str | Path, key: str = "path") -> Path:
    """Return a file's absolute path; a `UserError` names the key if there is none."""
    return _require(path, key, os.path.isfile, "file")


def require_either(path: str | Path, key: str = "path") -> Path:
    """Return the absolute path of a file or folder; a `UserError` names the key otherwise."""
    return _require(path, key, os.path.exists, "file or folder")


def _require(path: str | Path, key: str, test, what: str) -> Path:
    if not test(path):
        home = f" ('~' stands for nothing here: write {os.path.expanduser(path)!r})"
        raise UserError(
            f"{key}: there is no {what} {str(path)!r} in {os.getcwd()}"
            + home * str(path).startswith("~")
        )
    return Path(os.path.abspath(path))


def find_file(name: str, *roots: str | Path) -> str:
    """Return the absolute path of a file that a source names, in the first folder that has it.

    Backslashes of Windows, and folders of another machine, one after the other, are tried without;
    letters with accents are tried in both of Unicode's forms (a Mac writes NFD). A file that is in
    none is returned as if it were in the first, so that the link to it says what is missing.
    """
    plain = name.replace("\\", "/")
    forms = [] if name.isascii() else [unicodedata.normalize(form, plain) for form in _FORMS]
    parts = plain.split("/")
    shorter = ["/".join(parts[first:]) for first in range(1, len(parts))]
    for candidate in dict.fromkeys((name, plain, *forms, *filter(None, shorter))):
        for root in roots:
            path = os.path.normpath(os.path.join(root, candidate))
            if os.path.lexists(path):
                return path
    return os.path.normpath(os.path.join(roots[0], plain))


def find_files(wanted: Iterable[tuple[str, tuple]]) -> dict[tuple[str, tuple], str]:
    """Return the path of each of many files that a source names, as `find_file` finds it.

    But a file that is not there is not taken for one of the same name in another folder: of two
    names that lead to one file, only one that says its folder does.

    Parameters
    ----------
    wanted : iterable of tuple
        A name, and the folders it may be in.
    """
    found = {pair: find_file(pair[0], *pair[1]) for pair in wanted}
    names: dict[str, set[str]] = defaultdict(set)
    for (name, _), path in found.items():
        names[path].add(name)
    for (name, roots), path in found.items():
        if len(names[path]) > 1 and path not in (places := _places(name, roots)):
            found[name, roots] = places[0]
    return found


def _places(name: str, roots: Sequence[str | Path]) -> list[str]:
    plain = name.replace("\\", "/")
    forms = [unicodedata.normalize(form, plain) for form in _FORMS]
    return [
        os.path.normpath(os.path.join(root, form)) for form in (plain, *forms) for root in roots
    ]


def name_within(path: str, root: str | Path) -> str:
    """Return a file's name within a folder; of a file elsewhere, its last part."""
    start = f"{root}{os.sep}"
    return path.removeprefix(start) if path.startswith(start) else os.path.basename(path)


def strays(folder: Path, listed: set[str], where: str, split: str = "") -> Iterator[Refused]:
    """Yield the pictures of a folder that a source does not list.

    Parameters
    ----------
    folder : Path
        With its subfolders.
    listed : set of str
        Absolute paths.
    where : str
        What would list them, for the reason.
    """
    for name in list_files(folder):
        path = f"{folder}/{name}"
        if is_picture(name) and path not in listed:
            yield Refused(path, f"unlabeled: {where} does not list it", split)


def one_class(indices: Iterable[int | None]) -> tuple[str | None, str]:
    """Return the label of a classification from the classes of a picture's objects, or a problem.

    A picture whose only class is left out is to be skipped: its label is then "".
    """
    every = list(indices)
    kept = sorted({index for index in every if index is not None})
    if len(kept) == 1:
        return str(kept[0]), ""
    if not kept and every:
        return "", ""
    return None, f"{len(kept)} classes; a classification has one for each picture"
