"""What is in a folder of pictures: a manifest of the usable ones, and a reason for each other."""

import ctypes
import hashlib
import logging
import os
import re
import signal
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from cia.errors import UserError
from cia.images import IMAGE_SUFFIXES, PNG_SIGNATURE, check_image, check_png
from cia.progress import track

logger = logging.getLogger("cia")

_UNFIT_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories of what breaks lists of files: control, surrogate, line separators."""

SMALLEST_SIDE = 10
"""Pixels that a side has at least: ultralytics trains on no smaller picture."""

LONGEST_NAME = 255 - len("_v000000.png")
"""Bytes that an id has at most: the longest name of a file made from it is that of a variant."""

_BATCH = 32
"""Pictures that a process checks in one go: to hand over a small one takes as long as its check."""

_BATCHES = 64
"""Batches handed out at a time: waiting for a million pictures at once takes memory."""

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent ends."""

LAYOUT = """\
Expected is
  {folder}/images/NAME.png       the pictures ({suffixes})
  {folder}/labels/NAME.txt       one label file for each
  {folder}/captions/NAME.txt     a caption for each (optional)"""


class Listed(NamedTuple):
    """An entry of a folder; of a million of them, paths would take twice the memory and the time.

    Attributes
    ----------
    path, stem, suffix : str
        The suffix in lower case.
    is_folder : bool
    """

    path: str
    stem: str
    suffix: str
    is_folder: bool


@dataclass
class Scan:
    """What a scan found.

    Attributes
    ----------
    rows : list of dict
        The usable pictures as rows of a manifest (id, image, width, height, sha256, caption),
        sorted by id.
    rejected : list of dict
        What can't be used: file, reason.
    pictures : int
        How many files images/ holds, usable or not.
    unusable : int
        How many of the rejected are pictures or captions of pictures, rather than strays.
    """

    rows: list[dict] = field(default_factory=list)
    rejected: list[dict] = field(default_factory=list)
    pictures: int = 0
    unusable: int = 0


def scan_folder(folder: str | Path, threads: int = 1) -> Scan:
    """Decode every picture of a source and read its caption.

    A picture's id is its file's stem. Of hidden files, those with a picture's suffix are listed as
    rejected. A caption that can't be read is listed as rejected and the picture stays, with an
    empty caption.

    Parameters
    ----------
    folder : path
        The source, with images/ and perhaps captions/ in it.
    threads : int
        How many pictures to decode at once: processes, since small ones leave Python's lock to
        other threads for too short a time.

    Raises
    ------
    UserError
        If there is no images/ in the folder, or nothing in it.
    """
    # forked, since another start would run the script again that calls this
    context = get_context("fork")
    ours = (os.getpid(),)
    with ProcessPoolExecutor(threads, context, _end_with_parent, ours) as pool:
        pool.submit(int).result()  # forks now, while this process is small
        return _scan(Path(folder), pool)


def _end_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before
        os._exit(1)


def _scan(folder: Path, pool: Executor) -> Scan:
    files, hidden = _files(folder / "images")
    if not files:
        problem = "is empty" if (folder / "images").is_dir() else "does not exist"
        raise UserError(f"{folder / 'images'} {problem}. {expected_layout(folder)}")
    scan = Scan(pictures=len(files))
    texts, _ = _files(folder / "captions")
    captions = {file.stem: file.path for file in texts if _is_text(file)}
    checked = _check_all(_with_reasons(files), pool)
    for file, row, reason in track(checked, len(files), "pictures"):
        if reason:
            _reject(scan, file.path, reason)
        else:
            row["caption"] = _caption(scan, captions.get(file.stem))
            scan.rows.append(row)
    scan.unusable = len(scan.rejected)
    _reject_stray_captions(scan, texts, {file.stem for file in files})
    _reject_hidden_pictures(scan, hidden)
    scan.rows.sort(key=lambda row: row["id"])
    return scan


def expected_layout(folder: str | Path) -> str:
    """Describe the folders of a source."""
    suffixes = ", ".join(sorted(suffix.lstrip(".") for suffix in IMAGE_SUFFIXES))
    return LAYOUT.format(folder=folder, suffixes=suffixes)


def require_few(rejected: list[dict], unusable: int, total: int, limit: float, what: str) -> None:
    """Stop when more than a share of the files are unusable, or all of them.

    Parameters
    ----------
    rejected : list of dict
        Rows of file and reason; the first few are named in the message.
    unusable, total : int
        How many are unusable, of how many.
    limit : float
        The largest share of them that is no error: `max_rejected` of the config.
    what : str
        What they are, as a plural: `pictures`.

    Raises
    ------
    UserError
        If there are too many.
    """
    if unusable <= limit * total and unusable < total:
        return
    first = "\n".join(f"  {row['file']}: {row['reason']}" for row in rejected[:5])
    more = f"\n  ... and {len(rejected) - 5} more" if len(rejected) > 5 else ""
    raise UserError(
        f"{unusable} of {total} {what} can't be used (max_rejected allows {limit:.0%}):\n"
        f"{first}{more}\nThe log above names them all. Repair or remove these files, or raise "
        "max_rejected in the config."
    )


def log_rejected(rejected: list[dict]) -> None:
    """Log every rejected file: where they are too many, the job's log is all that remains."""
    for row in rejected:
        logger.warning("rejected %s: %s", row["file"], row["reason"])


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file, with or without a byte order mark.

    Raises
    ------
    ValueError
        If it is not UTF-8, or can't be read; the message is fit for rejected.csv.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror or error}") from error
    if "\0" in text:
        raise ValueError("not text (it holds NUL characters)")
    return text


def printable(path: str | Path) -> str:
    """Return a path as text that UTF-8 can hold, whatever bytes its name has."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def unfit_letters(name: str) -> str:
    """Say why a name can't be part of a table and a path; nothing if it can."""
    if not name.isprintable() and any(
        unicodedata.category(letter) in _UNFIT_CATEGORIES for letter in name
    ):
        return "its name has control characters or bytes that are not UTF-8"
    return ""


def _files(folder: Path) -> tuple[list[Listed], list[Listed]]:
    """Return what is in a folder, sorted: what is visible, and what a leading dot hides."""
    visible, hidden = [], []
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                (hidden if entry.name.startswith(".") else visible).append(_entry(entry))
    return sorted(visible), sorted(hidden)


def _entry(entry: os.DirEntry) -> Listed:
    stem, suffix = os.path.splitext(entry.name)
    return Listed(entry.path, stem, suffix.lower(), entry.is_dir())


def _is_text(file: Listed) -> bool:
    return file.suffix == ".txt" and not file.is_folder


def _with_reasons(files: Iterable[Listed]) -> list[tuple[Listed, str]]:
    """Pair each entry with the reason why it can't even be opened, or with an empty text."""
    first_of: dict[str, Listed] = {}
    pairs = []
    for file in files:
        reason = _unfit(file)
        if not reason:
            first = first_of.setdefault(file.stem, file)
            if first is not file:
                reason = f"its name without suffix is that of {os.path.basename(first.path)}"
        pairs.append((file, reason))
    return pairs


def _unfit(file: Listed) -> str:
    if file.is_folder:
        return "a folder; pictures lie directly in images/"
    if file.suffix not in IMAGE_SUFFIXES:
        suffix = os.path.splitext(file.path)[1]
        return f"unknown suffix {suffix!r}; known are {', '.join(sorted(IMAGE_SUFFIXES))}"
    if reason := unfit_letters(file.stem):
        return reason
    if len(os.fsencode(file.stem)) > LONGEST_NAME:
        return (
            f"its name is too long for those of its variants: {len(os.fsencode(file.stem))} bytes "
            f"without suffix; {LONGEST_NAME} are the most"
        )
    return ""


def _check_all(
    pairs: list[tuple[Listed, str]], pool: Executor
) -> Iterator[tuple[Listed, dict, str]]:
    """Yield each entry, a manifest row without caption, and the reason if there is no row."""
    at_a_time = _BATCH * _BATCHES
    for start in range(0, len(pairs), at_a_time):
        some = pairs[start : start + at_a_time]
        paths = ["" if reason else file.path for file, reason in some]
        checked = pool.map(_check_picture, paths, chunksize=_BATCH)
        for (file, reason), found in zip(some, checked, strict=True):
            if isinstance(found, str):
                yield file, {}, reason or found
            else:
                width, height, digest = found
                row = {"id": file.stem, "image": file.path, "width": width, "height": height}
                yield file, row | {"sha256": digest}, ""


def _check_picture(path: str) -> tuple[int, int, str] | str:
    """Return width, height and SHA-256 of a picture, or why it can't be used ("" of no path)."""
    if not path:
        return ""
    try:
        with open(path, "rb") as opened:
            content = opened.read()  # once, for the picture and for its digest
        if not content:
            return "an empty file"
        width, height = check_image(BytesIO(content))
        if content.startswith(PNG_SIGNATURE):
            check_png(content)
    except FileNotFoundError:
        return _missing(path)
    except OSError as error:
        return f"not a readable picture: {_one_line(error)}"
    if min(width, height) < SMALLEST_SIDE:
        return f"only {width} x {height} pixels; a side has at least {SMALLEST_SIDE}"
    return width, height, hashlib.sha256(content).hexdigest()


def _missing(path: str) -> str:
    if not os.path.islink(path):
        return "gone since the folder was listed"
    return (
        f"a broken link to {printable(os.readlink(path))}, which is missing; fetch that file "
        "(git annex get, dvc pull) or repair the link"
    )


def _one_line(error: OSError) -> str:
    text = error.strerror or re.sub(r" <_io\.BytesIO object at \w+>", "", str(error))
    return " ".join(text.split())


def _caption(scan: Scan, path: str | None) -> str:
    if path is None:
        return ""
    try:
        return read_text(path).strip()
    except ValueError as error:
        _reject(scan, path, f"{error}; the picture is used without caption")
        return ""


def _reject_stray_captions(scan: Scan, texts: Iterable[Listed], stems: set[str]) -> None:
    """List the files of captions/ that belong to no file of images/."""
    for file in texts:
        if not _is_text(file):
            _reject(scan, file.path, "not a .txt file")
        elif file.stem not in stems:
            _reject(scan, file.path, "a caption without picture")


def _reject_hidden_pictures(scan: Scan, hidden: Iterable[Listed]) -> None:
    """List hidden files that look like pictures; no more, since they may be another program's."""
    for file in hidden:
        name = os.path.basename(file.path)
        if file.suffix not in IMAGE_SUFFIXES or name.startswith(".tmp-"):
            continue
        kind = "macOS' notes on another file (._)" if name.startswith("._") else "a hidden file"
        _reject(scan, file.path, f"{kind}; if it is a picture of yours, rename it without the dot")


def _reject(scan: Scan, path: str, reason: str) -> None:
    scan.rejected.append({"file": printable(path), "reason": reason})
