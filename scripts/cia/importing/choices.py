"""What the config chooses of a source: its classes, and the splits that it lacks.

Light on purpose: the Snakefile imports it for every dry run.
"""

from collections.abc import Mapping

from cia.errors import UserError, suggest
from cia.importing.pictures import SPLITS

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
    full = {new: [old] if isinstance(old, str) else old for new, old in chosen.items()}
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


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _are(things: list) -> str:
    return "are" if len(things) > 1 else "is"
