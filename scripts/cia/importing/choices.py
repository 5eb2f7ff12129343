"""What the config chooses of a source: its classes, its splits, and what of near-duplicates.

Light on purpose: the Snakefile imports it for every dry run.
"""

import os
import unicodedata
from collections.abc import Mapping, Sequence

from cia.errors import UserError, suggest
from cia.importing.pictures import SPLITS

_LISTED = 10
"""Pairs that a message lists."""

_SHARES = "{train: 0.7, val: 0.15, test: 0.15}"


def choose_classes(
    chosen: list | dict | None, names: tuple[str, ...] | None
) -> dict[str, list[str]]:
    """Return for each class of the dataset, in index order, what the source calls it.

    Parameters
    ----------
    chosen : list, dict or None
        `classes` of the config.
    names : tuple of str or None
        The source's classes; None if it names none.

    Raises
    ------
    UserError
        If a chosen class is not in the source, or chosen twice.
    """
    if chosen is None:
        if not names:
            raise UserError("`classes` is missing, and the source names none")
        return {name: [name] for name in names}
    if isinstance(chosen, list):
        if names and all(map(_is_number, names)) and not set(chosen) & set(names):
            if len(chosen) != len(names):
                raise UserError(
                    f"classes: {len(chosen)} names for the source's {len(names)} numbers "
                    f"({', '.join(names[:10])})"
                )
            return {name: [number] for name, number in zip(chosen, names, strict=True)}
        chosen = {name: [name] for name in chosen}
    forms = {unicodedata.normalize("NFC", name): name for name in names or ()}
    full = {
        new: [
            forms.get(unicodedata.normalize("NFC", name), name)  # folders of a Mac are in NFD
            for name in ([old] if isinstance(old, str) else old)
        ]
        for new, old in chosen.items()
    }
    every = [name for old in full.values() for name in old]
    for name in every:
        if names is not None and name not in names:
            raise UserError(f"classes: the source has no class {name!r}{suggest(name, names)}")
        if every.count(name) > 1:
            raise UserError(f"classes: {name!r} stands for two classes; leave it at one")
    return full


def require_splits(splits: tuple[str, ...] | None, settings: Mapping | None) -> None:
    """Raise a `UserError` unless a source's splits, and those made by `split`, are all three.

    Parameters
    ----------
    splits : tuple of str or None
        Those that the source names; None if that is not known yet.
    settings : mapping or None
        `split` of the config.
    """
    if splits is None:
        return
    shares = shares_of(settings)
    missing = [split for split in SPLITS if split not in splits and split not in shares]
    if missing and not splits:
        raise UserError(
            f"it names no splits, and {' and '.join(missing)} {_are(missing)} made by nothing. "
            f"Write, beside `source`, split: {_SHARES}"
        )
    if missing:
        example = {"train": 0.7 if len(missing) > 1 else 0.85} | dict.fromkeys(missing, 0.15)
        written = ", ".join(f"{split}: {share}" for split, share in example.items())
        raise UserError(
            f"it has {' and '.join(splits)}, but no {' and no '.join(missing)}. Write, beside "
            f"`source`, split: {{{written}}}, which takes {' and '.join(missing)} from its train "
            "pictures"
        )


def shares_of(settings: Mapping | None) -> dict[str, float]:
    """Return the shares of a `split` by split.

    Raises
    ------
    UserError
        If their sum is not 1.
    """
    shares = {split: settings[split] for split in SPLITS if settings and split in settings}
    if shares and abs(sum(shares.values()) - 1) > 1e-6:
        raise UserError(f"split: the shares sum up to {sum(shares.values()):g}; make it 1")
    return shares


def near_duplicates_setting(entry: Mapping) -> str:
    """Return what a dataset's entry says of near-duplicates in different splits.

    What it does not say depends on who made the splits: of folders, it was the user.
    """
    return entry.get("near_duplicates") or ("error" if "source" in entry else "ignore")


def refuse_across(
    pairs: Sequence[Mapping], setting: str, imported: bool, table: str | os.PathLike
) -> str:
    """Return a warning on near-duplicates in different splits, "" if there are none.

    Parameters
    ----------
    pairs : sequence of mapping
        Rows of a table of near-duplicates.
    setting : str
        `near_duplicates` of the dataset.
    imported : bool
        Whether the pictures are links to those of a `source`, whose names are then said.
    table : path
        Where all pairs are listed.

    Raises
    ------
    UserError
        The same, if the setting is `error`.
    """
    if not pairs:
        return ""
    listed = "".join(
        f"\n  {pair['split']}: {_origin(pair['file'], imported)}, "
        f"{pair['other_split']}: {_origin(pair['other_file'], imported)}"
        for pair in pairs[:_LISTED]
    )
    more = f"\n  ... and {len(pairs) - _LISTED} more" if len(pairs) > _LISTED else ""
    found = (
        f"{len(pairs)} {'pair' if len(pairs) == 1 else 'pairs'} of near-duplicates in different "
        f"splits (all are in {table}, and `snakemake --cores all look` shows them):{listed}{more}"
    )
    if setting != "error":
        return found
    together = ", or write near_duplicates: together to have them put into one split" * imported
    raise UserError(
        f"{found}\nA model that was trained on one of a pair is tested on what it has seen. Remove "
        f"one picture of each pair, or move both into one split{together}. If they are different "
        "pictures that look alike, write near_duplicates: warn, or ignore, in the dataset's entry."
    )


def _origin(path: str, imported: bool) -> str:
    return os.readlink(path) if imported and os.path.islink(path) else path


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _are(things: list) -> str:
    return "are" if len(things) > 1 else "is"
