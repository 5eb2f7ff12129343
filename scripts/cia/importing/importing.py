"""A dataset of any format as a folder of the workflow: links, label files, captions, and a list.

data/real/{dataset}/{split}/images/     links to the source's pictures
                            labels/     a .txt file each; captions/ where there are any
                            imported.csv, refused.csv
data/real/{dataset}/known.json          id and split of each picture, which later imports keep
data/real/{dataset}/embedded/           pictures that lie in no file of their own
"""

import hashlib
import json
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cia.catalog import SOURCES, code
from cia.errors import UserError
from cia.files import remove_strays, write_text, write_texts
from cia.importing.choices import require_splits, shares_of
from cia.importing.near_duplicates import find_pairs, joined, take_thumbnails
from cia.importing.pictures import SPLITS, Picture, Refused, Wanted, ordered
from cia.importing.splits import Unsplit, assign_splits
from cia.labels.lines import split_label
from cia.scanning import printable, unfit_letters
from cia.tables import write_table

logger = logging.getLogger("cia")

KNOWN = "known.json"

KINDS = ("images", "labels", "captions")

UNGROUPED = "pictures have no group (split.group), so each is split by itself"

_LONGEST = 200
"""Bytes of an id: what is made from it, and the folders' names in it, need some of the 255."""


class Entry(NamedTuple):
    """A picture with its place: its id, the split that the source gives, and the one it gets."""

    id: str
    given: str
    picture: Picture


class Imported(NamedTuple):
    """What an import found.

    Attributes
    ----------
    entries : list of Entry
    refused : list of Refused
    wanted : Wanted
        With its counts.
    given : tuple of str
        The splits that the source names.
    """

    entries: list[Entry]
    refused: list[Refused]
    wanted: Wanted
    given: tuple[str, ...]


class _Known(NamedTuple):
    """What an earlier import gave a picture, and of which split ("" of none) and file it was."""

    given: str
    name: str
    split: str
    id: str
    path: str


def import_dataset(
    folder: Path,
    source: Mapping,
    task: str,
    kpt_shape: Sequence[int] | bool | None,
    split: Mapping | None,
    seed: int | None,
    together: bool = False,
    threads: int = 1,
) -> dict:
    """Read a source and make the folder of its dataset, or bring it up to date.

    Parameters
    ----------
    folder : Path
        data/real/{dataset}. Nothing is written elsewhere.
    source : mapping
        The dataset's `source` in the config, with `classes`: for each class, in index order, what
        the source calls it.
    task, kpt_shape, split
        As in the config.
    seed : int or None
        Of the splits that are made.
    together : bool
        Whether near-duplicates are put into one split.
    threads : int
        How many pictures are opened at a time, to find them.

    Returns
    -------
    dict
        The summary, for people.

    Raises
    ------
    UserError
        If the source can't be read, a split is missing, or the folder holds files of another
        origin.
    """
    _require_own(folder)
    names = source["classes"]
    indices = {old: index for index, olds in enumerate(names.values()) for old in olds}
    group = (split or {}).get("group", "")
    wanted = Wanted(task, indices, kpt_shape, group, folder / "embedded")
    settings = {"split": split, "seed": seed} if shares_of(split) else None
    if settings and together:
        settings["near_duplicates"] = "together"
    before, earlier = _read_known(folder)
    pictures, refused = _read(source, wanted)
    known = _recognized(pictures, earlier)
    given = ordered({picture.split for picture in pictures} - {""})
    if together:
        pictures = _with_near_duplicates(pictures, threads)
    entries = _with_splits(
        pictures, given, split, seed, known if before == settings else {}, refused
    )
    of_splits = {
        name: _with_ids([entry for entry in entries if entry.picture.split == name], known)
        for name in SPLITS
    }
    entries = [entry for some in of_splits.values() for entry in some]
    _write_known(folder, settings, entries)
    for name, some in of_splits.items():
        here = [one for one in refused if (one.split or SPLITS[0]) == name]
        _write_split(folder / name, some, here)
    _remove_embedded(folder / "embedded", entries)
    return _summary(source, Imported(entries, refused, wanted, given))


def _require_own(folder: Path) -> None:
    """Refuse a folder with files of another origin: imports delete what is not in the source."""
    own = (folder / KNOWN).exists()
    for split in SPLITS:
        for kind in KINDS:
            place = folder / split / kind
            foreign = place.is_symlink() or (place.is_dir() and not own and any(place.iterdir()))
            if not foreign and kind == "images" and place.is_dir():
                foreign = any(not entry.is_symlink() for entry in os.scandir(place))
            if foreign:
                raise UserError(
                    f"{place} holds files that no import made. A dataset with a `source` gets this "
                    "folder made: move it away, give the dataset another name in the config, or "
                    "leave `source` out to use the folder as it is"
                )


def _read_known(folder: Path) -> tuple[Any, list[_Known]]:
    path = folder / KNOWN
    if not path.exists():
        return None, []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["settings"], [_Known(*row) for row in content["known"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: damaged ({error}). It holds the pictures' splits and ids; delete it and the "
            "folders beside it to import from scratch"
        ) from error


def _write_known(folder: Path, settings: Any, entries: list[Entry]) -> None:
    """Write it before all else: it marks the folder as one that imports may change."""
    rows = [
        _Known(entry.given, entry.picture.name, entry.picture.split, entry.id, entry.picture.path)
        for entry in entries
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / KNOWN, json.dumps({"settings": settings, "known": rows}))


def _recognized(pictures: list[Picture], known: list[_Known]) -> dict[tuple[str, str], _Known]:
    """Return what is known of pictures, by the source's split and the path.

    A picture is the one that was at its path, since its name changes with those beside it. Where
    there was none, as in a source that was moved, it is the one of its name, unless that is still
    where it was.
    """
    paths = {(one.given, one.path): one for one in known}
    names = {(one.given, one.name): one for one in known}
    there = {(picture.split, picture.path) for picture in pictures}
    found = {key: paths[key] for key in there & paths.keys()}
    for picture in pictures:
        key = picture.split, picture.path
        one = names.get((picture.split, picture.name))
        if key not in found and one and (one.given, one.path) not in there:
            found[key] = one
    return found


def _read(source: Mapping, wanted: Wanted) -> tuple[list[Picture], list[Refused]]:
    """Read a source; names of its pictures are then fit, and each is there once in its split."""
    pictures, refused = [], []
    for found in code(SOURCES[source["format"]]).read(source, wanted):
        if isinstance(found, Refused):
            refused.append(found)
        elif problem := unfit_letters(found.name):
            refused.append(Refused(found.path, problem, found.split, True))
        else:
            pictures.append(found)
    if not pictures:
        first = "".join(f"\n  {printable(one.file)}: {one.reason}" for one in refused[:5])
        raise UserError(f"{source['path']}: no picture that can be used{first}")
    pictures = _grouped(_with_distinct_names(pictures), wanted.group)
    if alone := sum(not picture.group for picture in pictures if wanted.group):
        wanted.notes[UNGROUPED] += alone
    return pictures, refused


def _with_distinct_names(pictures: list[Picture]) -> list[Picture]:
    """Name pictures of several folders by more of their path, where their names are the same."""
    twice = Counter((picture.split, picture.name) for picture in pictures)
    same = [picture for picture in pictures if twice[picture.split, picture.name] > 1]
    if not same:
        return pictures
    root = os.path.commonpath([os.path.dirname(picture.path) for picture in same])
    return [
        picture._replace(name=os.path.relpath(picture.path, root))
        if twice[picture.split, picture.name] > 1
        else picture
        for picture in pictures
    ]


def _grouped(pictures: list[Picture], pattern: str) -> list[Picture]:
    """Give pictures without a group the one that a pattern finds in their names."""
    if not pattern or any(picture.group for picture in pictures):
        return pictures
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise UserError(
            f"split.group: {pattern!r} is no column of the source, and no regular expression: "
            f"{error}"
        ) from error
    found = [search(picture.name) for picture in pictures]
    if not any(found):
        raise UserError(
            f"split.group: {pattern!r} is no column of the source, and as a regular expression "
            f"it is found in no picture's name, such as {pictures[0].name!r}"
        )
    return [
        picture._replace(group=_group_of(match))
        for picture, match in zip(pictures, found, strict=True)
    ]


def _group_of(match: re.Match | None) -> str:
    if match is None:
        return ""
    return (match[1] if match.re.groups else match[0]) or ""


def _with_near_duplicates(pictures: list[Picture], threads: int) -> list[Picture]:
    """Give near-duplicates, with all of their groups, one group."""
    thumbnails = take_thumbnails([picture.path for picture in pictures], threads)
    pairs = find_pairs(thumbnails, threads=threads)
    rows = [Unsplit(picture.name, (), picture.group) for picture in pictures]
    return [
        picture._replace(group=row.group)
        for picture, row in zip(pictures, joined(rows, pairs), strict=True)
    ]


def _with_splits(
    pictures: list[Picture],
    given: tuple[str, ...],
    settings: Mapping | None,
    seed: int | None,
    known: Mapping[tuple[str, str], _Known],
    refused: list[Refused],
) -> list[Entry]:
    """Return the pictures with a split; those that get none are added to the refused."""
    shares = shares_of(settings)
    require_splits(given, settings)
    if not shares:
        without = [picture for picture in pictures if not picture.split]
        reason = "in no split of the source; `split` in the config would give it one"
        refused += [Refused(picture.path, reason) for picture in without]
        return [Entry("", picture.split, picture) for picture in pictures if picture.split]
    free = [not picture.split for picture in pictures]
    if not any(free):
        if spare := [share for share in shares if share in given and share != "train"]:
            raise UserError(
                f"split: the source has {' and '.join(spare)} already, and all its pictures have a "
                f"split; leave out {' and '.join(spare)}, or all of `split` if none is missing"
            )
        free = [picture.split == "train" for picture in pictures]
    keys = [f"{picture.split}/{picture.name}" for picture in pictures]
    rows = [
        Unsplit(key, _classes(picture.label), picture.group)
        for key, picture in zip(keys, pictures, strict=True)
    ]
    fixed = {
        key: picture.split
        for key, picture, is_free in zip(keys, pictures, free, strict=True)
        if not is_free
    }
    earlier = {
        key: known[picture.split, picture.path].split
        for key, picture in zip(keys, pictures, strict=True)
        if key not in fixed and (picture.split, picture.path) in known
    }
    drawn = assign_splits(rows, shares, seed, settings["stratify"], earlier | fixed)
    return [
        Entry("", picture.split, picture._replace(split=drawn[key]))
        for key, picture in zip(keys, pictures, strict=True)
    ]


def _classes(label: str | None) -> tuple[str, ...]:
    return tuple(index for index, *_ in split_label(label or ""))


def _with_ids(entries: list[Entry], known: Mapping[tuple[str, str], _Known]) -> list[Entry]:
    """Return the entries of a split with an id each, sorted by it.

    An id is the picture's name without suffix, its folders joined by `__`. Pictures that would have
    the same one have their suffix behind it. A picture that has an id keeps it.
    """
    ids: dict[int, str] = {}
    taken: set[str] = set()
    for number, entry in enumerate(entries):
        found = known.get((entry.given, entry.picture.path))
        if found and found.id not in taken:
            ids[number] = found.id
            taken.add(found.id)
    alike = defaultdict(list)
    for number, entry in enumerate(entries):
        if number not in ids:
            alike[_plain_id(entry.picture.name)].append(number)
    for plain, numbers in alike.items():
        for number in sorted(numbers, key=lambda number: entries[number].picture.name):
            suffix = os.path.splitext(entries[number].picture.path)[1].lstrip(".")
            wanted = plain if len(numbers) == 1 else f"{plain}_{suffix}"
            ids[number] = _free_id(wanted, f"{plain}_{suffix}", taken)
            taken.add(ids[number])
    named = [entry._replace(id=ids[number]) for number, entry in enumerate(entries)]
    return sorted(named, key=lambda entry: entry.id)


def _plain_id(name: str) -> str:
    """Return a name as an id: no suffix, no folders, no dot before it, and not too long."""
    plain = os.path.splitext(name)[0].replace("/", "__")
    plain = "_" + plain.lstrip(".") if plain.startswith(".") else plain
    content = plain.encode()
    if len(content) <= _LONGEST:
        return plain
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[-(_LONGEST - 9) :].decode('utf-8', 'ignore')}_{digest}"


def _free_id(first: str, second: str, taken: set[str]) -> str:
    if first not in taken:
        return first
    candidates = (second, *(f"{second}_{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in candidates if name not in taken)


def _write_split(folder: Path, entries: list[Entry], refused: list[Refused]) -> None:
    """Make one split's folder hold these pictures, and nothing else."""
    _write_links(folder / "images", entries)
    labels = ((f"{entry.id}.txt", _text(entry.picture.label)) for entry in entries)
    labeled = [f"{entry.id}.txt" for entry in entries if entry.picture.label is not None]
    write_texts(folder / "labels", (pair for pair in labels if pair[1] is not None))
    remove_strays(folder / "labels", labeled)
    captions = {f"{e.id}.txt": e.picture.caption + "\n" for e in entries if e.picture.caption}
    if captions or (folder / "captions").is_dir():
        write_texts(folder / "captions", captions.items())
        remove_strays(folder / "captions", captions)
    rows = [
        {"id": id_, "name": picture.name, "file": picture.path, "split": picture.split}
        | {"group": picture.group}
        for id_, _, picture in entries
    ]
    write_table(folder / "imported.csv", rows, "imported")
    problems = [
        {"id": id_, "file": picture.path, "reason": picture.problem, "unusable": 1}
        for id_, _, picture in entries
        if picture.label is None
    ]
    others = [
        {"id": "", "file": printable(file), "reason": reason, "unusable": int(unusable)}
        for file, reason, _, unusable in refused
    ]
    write_table(folder / "refused.csv", problems + others, "refused")


def _text(label: str | None) -> str | None:
    return label + "\n" * bool(label) if label is not None else None


def _write_links(folder: Path, entries: list[Entry]) -> None:
    """Link to the pictures; links that are right stay untouched."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        entry.id + os.path.splitext(entry.picture.path)[1]: entry.picture.path for entry in entries
    }
    remove_strays(folder, wanted)
    there = set(os.listdir(folder))
    for name, path in wanted.items():
        link = f"{folder}/{name}"
        if name in there:
            if os.readlink(link) == path:
                continue
            os.unlink(link)
        os.symlink(path, link)


def _remove_embedded(folder: Path, entries: list[Entry]) -> None:
    """Remove the pictures that were written for an earlier state of the source."""
    if folder.is_dir():
        wanted = {entry.picture.path for entry in entries}
        for path in folder.absolute().glob("*/*"):
            if str(path) not in wanted:
                path.unlink()


def _summary(source: Mapping, imported: Imported) -> dict:
    """Return what was read, what was left out, and how often what was done about it."""
    entries, refused, wanted, given = imported
    counts = Counter(entry.picture.split for entry in entries)
    made = Counter(entry.picture.split for entry in entries if entry.given != entry.picture.split)
    summary = {
        "source": {"format": source["format"], "path": source["path"]},
        "classes": source["classes"],
        "pictures": {split: counts[split] for split in SPLITS},
        "splits_of_the_source": list(given),
        "split_by_shares": {split: made[split] for split in SPLITS if made[split]},
        "without_objects": sum(entry.picture.label == "" for entry in entries),
        "labels_that_cannot_be_used": sum(entry.picture.label is None for entry in entries),
        "refused": {
            "unusable": sum(one.unusable for one in refused),
            "others": sum(not one.unusable for one in refused),
        },
        "objects_of_other_classes": dict(wanted.dropped.most_common()),
        "notes": dict(wanted.notes),
    }
    return summary


def log_summary(summary: Mapping) -> None:
    """Log what a person has to know of an import."""
    for split, count in summary["pictures"].items():
        logger.info("%s: %d pictures", split, count)
    for name, count in summary["objects_of_other_classes"].items():
        logger.warning("class %s was not chosen: %d objects left out", name, count)
    for note, count in summary["notes"].items():
        logger.warning("%d %s", count, note)
