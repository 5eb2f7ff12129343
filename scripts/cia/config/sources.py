"""What datasets with a `source` leave to it: class names, and settings that it knows.

The Snakefile needs the classes before it plans its jobs, and to read them may take a while (of a
folder of XML files, say). So what a source says of itself is kept in `.snakemake/` with the state
of its files. Light on purpose: the Snakefile imports it for every dry run.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path

from cia.catalog import SOURCES, code
from cia.config.studies import OF_LABELS
from cia.config.values import edged_names, unfit_keypoints
from cia.errors import UserError, about
from cia.files import tree_fingerprint, write_text
from cia.importing.choices import choose_classes, require_splits
from cia.importing.pictures import Description, MissingLibrary
from cia.versions import STAGE

_KEYS = {"pose": ("kpt_shape", "flip_idx", "skeleton", "keypoints"), "detection": ("kpt_shape",)}
"""What a source may say of a dataset, by its task."""

KEPT = Path(".snakemake/cia/sources")


def with_sources(config: dict, used: Mapping, in_a_run: bool = False) -> dict:
    """Return the config with the classes (and more) of datasets that have them from a source.

    Parameters
    ----------
    config : dict
        With its defaults and its studies' datasets.
    used : mapping
        The part of it that results depend on. Sources of other datasets are not looked at.
    in_a_run : bool
        Whether this is a job of a run: it takes what the run found when it began.

    Raises
    ------
    UserError
        If a source can't be read, has not the classes that are chosen, or lacks a split that
        nothing makes.
    """
    full = deepcopy(config)
    for name in used["datasets"]:
        entry = full["datasets"][name]
        if "source" in entry:
            with about(f"datasets.{name}.source"):
                found = _described(entry, in_a_run)
                require_splits(found.splits, entry.get("split"))
            with about(f"datasets.{name}"):
                chosen = choose_classes(entry.get("classes"), found.names)
            entry["classes"], entry["source"]["classes"] = list(chosen), chosen
            _take_over(entry, found)
            problems = [
                *edged_names(f"datasets.{name}.classes", chosen),
                *_ambiguous(f"datasets.{name}.classes", chosen),
                *unfit_keypoints(f"datasets.{name}", entry),
            ]
            if problems:
                raise UserError("; ".join(problems))
    for entry in full["datasets"].values():
        if "subset" in entry:
            whole = full["datasets"][entry["subset"]["dataset"]]
            entry |= {key: whole[key] for key in OF_LABELS if whole.get(key) is not None}
    return full


def _ambiguous(key: str, chosen: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield a sentence for each name that is another class's index, which label files may hold."""
    for index, (name, old) in enumerate(chosen.items()):
        if name.isascii() and name.isdigit() and int(name) != index:
            yield (
                f"{key}: {name!r} would be the name of class {index}, and could mean class {name}; "
                f'rename it, such as classes: {{"class {name}": "{old[0]}"}} (and the others)'
            )


def _take_over(entry: dict, found: Description) -> None:
    """Fill in what the config leaves to the source."""
    fit = _KEYS.get(entry["task"], ())
    known = {key: value for key, value in found.keys.items() if key in fit}
    entry |= {key: value for key, value in known.items() if entry.get(key) is None}


@cache
def _fingerprint(settings: str) -> str:
    source = json.loads(settings)
    watched = code(SOURCES[source["format"]]).watch(source)
    own = Path.cwd() / "data" / "real"
    for path in watched:
        if path == own or path in own.parents:
            raise UserError(
                f"path: {path} holds data/real, where imports go; name the folder of the dataset"
            )
    return tree_fingerprint(*watched)


def source_fingerprint(source: Mapping) -> str:
    """Return a short digest of the state of a source's files; taken once in a process."""
    return _fingerprint(json.dumps({k: v for k, v in source.items() if k != "classes"}))


def _described(entry: Mapping, in_a_run: bool) -> Description:
    """Return what a source says of itself, from the file where it is kept if that still holds."""
    source, task = entry["source"], entry["task"]
    version = f"{STAGE['import']} {SOURCES[source['format']].code}"
    key = json.dumps([version, task, source, "classes" in entry], sort_keys=True)
    path = KEPT / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    if in_a_run and kept:
        return _description(kept)
    state = source_fingerprint(source)
    if kept and kept["state"] == state:
        return _description(kept)
    try:
        found = code(SOURCES[source["format"]]).describe(source, task)
    except MissingLibrary:
        if "classes" not in entry:
            raise
        found = Description(None)  # the job that imports has the library, or says so
    kept = {"state": state, "names": found.names, "splits": found.splits, "keys": found.keys}
    write_text(path, json.dumps(kept))
    return _description(json.loads(json.dumps(kept)))


def _description(kept: Mapping) -> Description:
    names, splits = (None if kept[key] is None else tuple(kept[key]) for key in ("names", "splits"))
    return Description(names, splits, kept["keys"])
