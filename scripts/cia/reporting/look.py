"""A look at a dataset before anything is made of it: what is there, and what can't be used.

Nothing here stops at what is wrong: a person looks because something is.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cia import draws
from cia.errors import UserError
from cia.importing.refusals import explain_missing, refused_pictures
from cia.labels.lines import split_label
from cia.labels.reading import FEW, few_words, read_labels, reduced_words, summarize_labels
from cia.reporting.pages import format_number
from cia.reporting.sheets import LabelForm
from cia.scanning import scan_folder

_SHOWN_OF_CLASS = 2
"""Pictures of each class that are chosen before any others."""


@dataclass
class Split:
    """One split of a dataset.

    Attributes
    ----------
    name : str
    pictures : list of dict
        The usable ones: rows of a manifest.
    labels : dict
        id to label, of pictures with a valid one.
    classes : dict
        Class name to objects (or pictures, of a classification).
    rejected, rejected_labels : list of dict
        file, reason.
    unusable, of : int
        How many pictures can't be used, of how many.
    unlabeled : int
        How many of the usable ones have no valid label.
    points : list of str
        What a person should know.
    """

    name: str
    pictures: list[dict] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    rejected: list[dict] = field(default_factory=list)
    rejected_labels: list[dict] = field(default_factory=list)
    unusable: int = 0
    of: int = 0
    unlabeled: int = 0
    points: list[str] = field(default_factory=list)


def look_at(
    folder: Path, form: LabelForm, threads: int, refused: str | os.PathLike | None = None
) -> Split:
    """Open all pictures and labels of a split.

    Parameters
    ----------
    folder : Path
        The split's, with images/, labels/ and perhaps captions/ in it.
    form : LabelForm
    threads : int
    refused : path, optional
        What an import could not use of the split.
    """
    split = Split(folder.name)
    try:
        scan = scan_folder(folder, threads)
    except UserError as error:
        split.points.append(_first_line(error))
        return split
    if refused:
        rows, unusable = refused_pictures(refused)
        scan.rejected += rows
        scan.unusable += unusable
        scan.pictures += unusable
    split.pictures, split.rejected = scan.rows, scan.rejected
    split.unusable, split.of = scan.unusable, scan.pictures
    try:
        labels = read_labels(
            folder, [row["id"] for row in scan.rows], form.task, form.classes, form.kpt_shape
        )
    except UserError as error:
        split.points.append(_first_line(error))
        return split
    if refused:
        explain_missing(labels.rejected, refused)
    split.labels = {row["id"]: row["label"] for row in labels.rows}
    split.rejected_labels = labels.rejected
    split.unlabeled = labels.unusable
    summary = summarize_labels(labels, form.task, form.classes)
    split.classes = summary["classes"]
    if words := reduced_words(summary.get("reduced", {})):
        split.points.append(f"In {split.name}, {words}.")
    return split


def _first_line(error: UserError) -> str:
    return str(error).splitlines()[0].removesuffix(" Expected is")


def points_of(
    splits: Sequence[Split],
    pairs: Sequence[Mapping],
    imported: Mapping | None,
    max_rejected: float,
) -> list[str]:
    """Return sentences on what stands out, the most important first.

    Parameters
    ----------
    splits : sequence of Split
    pairs : sequence of mapping
        Rows of a table of near-duplicates.
    imported : mapping or None
        Summary of the import.
    max_rejected : float
        As in the config.
    """
    points = [point for split in splits for point in split.points]
    for split in splits:
        points += _unusable_words(
            split.unusable, split.of, f"pictures of {split.name}", max_rejected
        )
        labels = f"labels of {split.name}"
        points += _unusable_words(split.unlabeled, len(split.pictures), labels, max_rejected)
    across = sum(pair["split"] != pair["other_split"] for pair in pairs)
    if across:
        points.append(
            f"In {counted(across, 'pair')} of pictures, in different splits, both are nearly the "
            "same. Copies make a test easier than it should be."
        )
    for split in splits:
        words = few_words(split.classes, FEW if split.name == "train" else 1)
        if words:
            what = "few examples, or none" if split.name == "train" else "no example"
            points.append(f"Classes with {what} in {split.name}: {words}.")
    if imported:
        for name, count in imported["objects_of_other_classes"].items():
            points.append(f"Class {name} was not chosen: {counted(count, 'object')} left out.")
        points += [f"{format_number(n)} {note}." for note, n in imported["notes"].items()]
    return points


def _unusable_words(count: int, total: int, what: str, max_rejected: float) -> list[str]:
    if not count:
        return []
    words = f"{format_number(count)} of {format_number(total)} {what} can't be used"
    if count > max_rejected * total or count == total:
        stop = f"A run would stop: max_rejected allows {max_rejected:.0%}."
        return [f"{words}. {stop} The reasons are below."]
    return [f"{words} and would be left out. The reasons are below."]


def counted(count: int, thing: str) -> str:
    """Write a number of things."""
    return f"{format_number(count)} {thing}{'' if count == 1 else 's'}"


def chosen_pictures(split: Split, count: int) -> list[dict]:
    """Choose labeled pictures by chance, but such that each class is shown if there is room.

    Returns
    -------
    list of dict
        Rows of the manifest, in its order.
    """
    labeled = [row for row in split.pictures if row["id"] in split.labels]
    drawn = [labeled[place] for place in draws.order("cia-look", ((r["id"],) for r in labeled))]
    shown: Counter[str] = Counter()
    first, rest = [], []
    for row in drawn:
        classes = {fields[0] for fields in split_label(split.labels[row["id"]])} or {""}
        is_needed = len(first) < count and any(shown[name] < _SHOWN_OF_CLASS for name in classes)
        (first if is_needed else rest).append(row)
        shown.update(classes if is_needed else ())
    ids = {row["id"] for row in [*first, *rest][:count]}
    return [row for row in labeled if row["id"] in ids]
