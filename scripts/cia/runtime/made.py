"""Which files a job made in a folder, so that a later run sees what is gone or was changed since.

Snakemake watches the files that a rule declares; a folder of pictures holds too many to declare. So
a job ends with a record of what it made there, and when the next run (or dry run) plans its jobs,
the folder is held against the record: names, sizes and times alone, since a million files are not
to be opened for a plan. Files that no job made (a cache, a thumbnail index) don't count.

Records lie in a folder of their own, so that a set's folder can be lost with all that is in it.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cia.files import atomic_path

RECORDS = Path("results/made")

_SHOWN = 3
"""How many files a message names."""


class Changes(NamedTuple):
    """What is no longer as a job left it: names by part, and how many files were made in all."""

    names: dict[str, list[str]]
    made: int

    def describe(self, folder: Path) -> str:
        """Return the line for a person; only where there are changes."""
        names = sorted(name for part in self.names.values() for name in part)
        shown = ", ".join(names[:_SHOWN]) + (f", ... {names[-1]}" if len(names) > _SHOWN else "")
        how = "are gone or were changed since they were made"
        if len(names) == 1:
            how = "is gone or was changed since it was made"
        return f"{folder}: {len(names)} of {self.made} files {how} ({shown}); to be made again"


def record_path(folder: Path, part: str = "") -> Path:
    """Return where the record of a folder is, or of one of several jobs' part of it.

    `data/conditions/a/canny/images` -> `results/made/conditions/a/canny/images.txt`
    """
    place = RECORDS.joinpath(*folder.parts[1:])
    return place / f"{part}.txt" if part else place.with_name(f"{place.name}.txt")


def forget(folder: Path, part: str = "") -> None:
    """Remove the record: what a job does before it changes the folder, and may be killed."""
    record_path(folder, part).unlink(missing_ok=True)


def record(folder: Path, part: str = "", names: Iterable[str] = ("",)) -> None:
    """Record the files of a folder as they are now: what a job does when it has made them.

    Parameters
    ----------
    folder : Path
        Relative to the working folder, under `data/` or `results/`; with its subfolders.
    part : str
        Which part of the folder this job makes, where several make one together.
    names : iterable of str
        What the job made there: files, and subfolders with all that is in them; by default the
        whole folder. Not outputs that Snakemake watches, since it may renew their times.
    """
    lines: list[str] = []
    for name in names:
        try:
            status = os.stat(f"{folder}/{name}")
        except FileNotFoundError:  # as a training set of a classification has no labels/
            continue
        if stat.S_ISDIR(status.st_mode):
            lines += _states(folder, f"{name}/" if name else "")
        else:
            lines.append(_line(status, name))
    with (
        atomic_path(record_path(folder, part)) as partial,
        open(partial, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file,
    ):
        file.writelines(f"{line}\n" for line in sorted(lines) if "\n" not in line)


def find_changes(folder: Path, parts: Sequence[str] = ("",)) -> Changes:
    """Hold a folder against its records; what has no record is not looked at.

    About 4 microseconds for a file, on a local disk.
    """
    records = {part: path for part in parts if (path := record_path(folder, part)).exists()}
    there = set(_states(folder)) if records else set()
    names, made = {}, 0
    for part, path in records.items():
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1]
        made += len(lines)
        if lost := [_name(line) for line in lines if line not in there]:
            names[part] = lost
    return Changes(names, made)


def drop_changed(folder: Path) -> list[str]:
    """Delete the files that are not as they were made, and the record; return the files' names.

    For a job that keeps what is there: a file that was edited would pass for its own.
    """
    names = find_changes(folder).names.get("", [])
    for name in names:
        (folder / name).unlink(missing_ok=True)
    forget(folder)
    return names


def _line(status: os.stat_result, name: str) -> str:
    """Return size, time in whole seconds (archives and some file systems keep no more) and name."""
    return f"{status.st_size} {int(status.st_mtime)} {name}"


def _name(line: str) -> str:
    return line.split(" ", 2)[2]


def _states(folder: Path, within: str = "") -> list[str]:
    """Return a line for each file that is not hidden, with those of subfolders.

    As few steps per file as can be: see `cia.files.folder_fingerprint`.
    """
    lines, subfolders = [], [within]
    while subfolders:
        parent = subfolders.pop()
        try:
            handle = os.open(folder / parent, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            with os.scandir(handle) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        subfolders.append(f"{parent}{entry.name}/")
                        continue
                    try:
                        status = entry.stat()
                    except OSError:  # a link that leads nowhere is no file
                        continue
                    lines.append(_line(status, f"{parent}{entry.name}"))
        finally:
            os.close(handle)
    return lines
