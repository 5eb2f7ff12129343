"""Verdicts by hand: the images that a person kept or dropped in the gallery, as picked.csv has it.

Light on purpose: no table library, since the file is read line by line to name the lines at fault.
"""

import csv
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from cia.errors import UserError, suggest

logger = logging.getLogger("cia")

VERDICTS = ("keep", "drop")
_REQUIRED = ("dataset", "generator", "id", "verdict")
_BOM = "\ufeff"
"""What spreadsheets put before a UTF-8 text."""


class Row(NamedTuple):
    """One verdict of a file, and the line that it stands in."""

    line: int
    dataset: str
    generator: str
    id: str
    verdict: str
    sha256: str


class Picked(NamedTuple):
    """What a file says of a set as it is now.

    `verdicts` has id -> keep or drop of the images that are there. `gone` counts those that are
    not, `anew` those that have other bytes now, so that nobody looked at them.
    """

    verdicts: dict[str, str]
    gone: int
    anew: int


def picked_files(selection: Mapping) -> list[str]:
    """List the files with verdicts by hand that a selection, or a step of it, reads."""
    steps = selection.get("steps", [selection])
    return list(dict.fromkeys(step["file"] for step in steps if step["method"] == "picked"))


def missing_picked(used: Mapping) -> Iterable[str]:
    """Yield a sentence for each file of verdicts that is not there, of the selections in use."""
    for name, selection in used["selections"].items():
        for file in picked_files(selection):
            if not Path(file).is_file():
                yield (
                    f"selections.{name}.file: there is no file {file!r} in the folder in which the "
                    "workflow runs. Save it from the gallery (results/report/gallery.html); until "
                    f"then, take {name!r} out of `experiments`"
                )


def read_picked(path: str | Path) -> list[Row]:
    """Read the verdicts of a file, of every set that it has.

    Parameters
    ----------
    path : path
        CSV (UTF-8) with the columns dataset, generator, id, verdict (keep or drop), and where it is
        known sha256, of the image that the verdict is about.

    Raises
    ------
    UserError
        If the file is not there or is no such table, or says two things of one image. The message
        has the line.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return _rows(path, csv.reader(file, strict=True))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; save it from the gallery") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {error}; save it as UTF-8") from None


def picked_of(
    rows: Iterable[Row], path: str | Path, dataset: str, generator: str, digests: Mapping[str, str]
) -> Picked:
    """Return what a file says of one set, and log it.

    Parameters
    ----------
    rows : iterable of Row
        From `read_picked`.
    path : path
        For messages.
    dataset, generator : str
        The set.
    digests : mapping
        Id of each of its images to its SHA-256. A verdict without one counts whatever the bytes.

    Raises
    ------
    UserError
        If all verdicts are of another dataset.
    """
    rows = list(rows)
    own = [row for row in rows if (row.dataset, row.generator) == (dataset, generator)]
    if rows and all(row.dataset != dataset for row in rows):
        first = rows[0]
        raise UserError(
            f"{path}, line {first.line}: it is of dataset {first.dataset!r}, and no line of the "
            f"file is of {dataset!r}. Save a file from the gallery that shows {dataset!r}"
        )
    if not own:
        logger.warning("%s has no verdict on %s / %s.", path, dataset, generator)
    there = [row for row in own if row.id in digests]
    same = [row for row in there if row.sha256 in ("", digests[row.id].lower())]
    verdicts = {row.id: row.verdict for row in same}
    anew = len({row.id for row in there} - verdicts.keys())
    picked = Picked(verdicts, len({row.id for row in own} - digests.keys()), anew)
    logger.info("%s: %s", path, _words(picked, len(digests)))
    return picked


def count_picked(picked: Picked, images: int) -> dict[str, int]:
    """Return how many images were kept, dropped and not looked at, and how many rows count not."""
    kept = sum(verdict == "keep" for verdict in picked.verdicts.values())
    return {
        "kept": kept,
        "dropped": len(picked.verdicts) - kept,
        "not_looked_at": images - len(picked.verdicts),
        "gone": picked.gone,
        "made_anew": picked.anew,
    }


def _words(picked: Picked, images: int) -> str:
    counts = count_picked(picked, images)
    text = (
        f"by hand {counts['kept']} of {images} images are kept and {counts['dropped']} dropped; "
        f"{counts['not_looked_at']} were not looked at."
    )
    if picked.gone:
        text += f" {picked.gone} more are not there any more."
    if picked.anew:
        text += f" {picked.anew} were made anew with other bytes, and count as not looked at."
    return text


def _rows(path, reader) -> list[Row]:
    found: list[Row] = []
    said: dict[tuple, Row] = {}
    header, begin = None, 1
    try:
        for fields in reader:
            line, begin = begin, reader.line_num + 1
            if header is None:
                header = _header(path, fields)
            elif fields:
                row = _row(path, line, header, fields)
                before = said.setdefault(row[1:4], row)
                if before.verdict != row.verdict:
                    raise UserError(
                        f"{path}, line {line}: verdict {row.verdict!r} for {row.id!r}, and line "
                        f"{before.line} has {before.verdict!r} for it; delete one of them"
                    )
                found.append(row)
    except csv.Error as error:
        raise UserError(f"{path}, line {begin}: {error}") from error
    if header is None:
        raise UserError(f"{path}, line 1: the file is empty; save it from the gallery")
    return found


def _header(path, fields: list[str]) -> dict[str, int]:
    names = [name.removeprefix(_BOM).strip() for name in fields]
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise UserError(
            f"{path}, line 1: no column {', '.join(missing)}; there are {', '.join(names)}. A file "
            f"from the gallery has {', '.join(_REQUIRED)} and sha256, with commas between"
        )
    return {name: index for index, name in enumerate(names)}


def _row(path, line: int, header: Mapping[str, int], fields: list[str]) -> Row:
    if len(fields) != len(header):
        raise UserError(f"{path}, line {line}: {len(fields)} fields, and {len(header)} columns")
    verdict = fields[header["verdict"]].strip()
    if verdict not in VERDICTS:
        raise UserError(
            f"{path}, line {line}: verdict {verdict!r} is unknown{suggest(verdict, VERDICTS)}"
        )
    digest = fields[header["sha256"]].strip().lower() if "sha256" in header else ""
    names = (fields[header[name]] for name in ("dataset", "generator", "id"))
    return Row(line, *names, verdict, digest)
