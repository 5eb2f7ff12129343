"""What of the store no plan needs, and how to say so."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cia.generation.store import Entry
from cia.images import read_png_text

LISTED = 10
"""How many images a listing in the log shows."""


class Parts(NamedTuple):
    """The entries of a store, by what becomes of them."""

    needed: list[Entry]
    held: list[Entry]
    unused: list[Entry]


def split_entries(entries: Iterable[Entry], needed: set[str]) -> Parts:
    """Split entries into those a plan needs, those an image folder holds, and those nobody uses.

    An image folder that is no plan's any more, or another project's, shares its files with the
    store by hard links. To drop such an entry would free nothing, so it is kept.
    """
    parts = Parts([], [], [])
    for entry in entries:
        if entry.key in needed:
            parts.needed.append(entry)
        elif entry.links > 1:
            parts.held.append(entry)
        else:
            parts.unused.append(entry)
    return parts


def preview_pruning(parts: Parts, folder: Path, sets: list[str], listing: str) -> Iterator[str]:
    """Yield the lines that tell a person what would be dropped, and whose plans say so."""
    few = ", ".join(sets[:LISTED]) + (f" and {len(sets) - LISTED} more" if sets[LISTED:] else "")
    yield f"{folder}: {_sum(parts.needed)} are needed by the plans of this configuration ({few})"
    if parts.held:
        yield (
            f"{_sum(parts.held)} are in no plan of this configuration, but stand in an image "
            "folder, so that dropping them would free nothing; they are kept"
        )
    yield f"{_sum(parts.unused)} are in no plan and in no folder; {listing} lists them"
    for entry in parts.unused[:LISTED]:
        prompt = read_png_text(entry.path).get("parameters", "").partition("\n")[0]
        yield f"  {entry.path}  {_size(entry.size)}  {prompt}"
    if len(parts.unused) > LISTED:
        yield f"  and {len(parts.unused) - LISTED} more"


def _sum(entries: list[Entry]) -> str:
    return f"{len(entries)} images ({_size(sum(entry.size for entry in entries))})"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
