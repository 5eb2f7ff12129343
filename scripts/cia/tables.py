"""CSV tables: text stays text, columns are checked, files are whole or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cia.errors import UserError
from cia.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "manifest": ["id", "image", "width", "height", "sha256", "caption"],
    "imported": ["id", "name", "file", "split", "group"],
    "refused": ["id", "file", "reason", "unusable"],
    "rejected": ["file", "reason"],
    "near_duplicates": ["likeness", "split", "file", "other_split", "other_file"],
    "labels": ["id", "label"],
    "conditions": ["id", "image", "width", "height", "sha256", "found", "picture_sha256"],
    "varied": ["id", "source", "variant", "image", "width", "height", "sha256", "found"],
    "sources": ["id", "source", "source_sha256"],
    "plan": [
        "id",
        "source",
        "variant",
        "seed",
        "prompt",
        "negative_prompt",
        "width",
        "height",
        "condition",
        "condition_sha256",
    ],
    "shard": ["id", "image", "width", "height", "sha256"],
    "stored": ["key", "path", "size"],
    "rows": ["id", "image"],
    "objects": ["id", "image", "object", "class"],
    "neighbors": ["id", "nearest_real", "nearest_synthetic"],
    "selected": ["id", "image", "score", "rank"],
    "mixed": ["image", "label", "split", "origin", "id"],
}
"""The columns of each kind of table, in order."""

_FOR_PEOPLE = {"rejected", "stored", "neighbors"}
"""Kinds of tables that no part of the workflow reads."""
_FORMULA = ("=", "+", "-", "@", "\t", "\n")
"""A spreadsheet may take text that begins so for a formula, which can fetch and run things."""

_NUMBERS = {
    "width": "int64",
    "height": "int64",
    "variant": "int64",
    "seed": "int64",
    "found": "int64",
    "rank": "int64",
    "score": "float64",
    "object": "int64",
    "unusable": "int64",
    "likeness": "float64",
}


def read_table(
    path: str | Path, kind: str | None = None, columns: Sequence[str] | None = None
) -> "pd.DataFrame":
    """Read a CSV table.

    Columns known as numbers become numbers, every other one stays text (an id `007` or `nan` is
    text), except in a table without `kind`, where columns that are all numbers become so, apart
    from `id`, `image` and `source`.

    Parameters
    ----------
    path : path
    kind : str, optional
        One of `COLUMNS`.
    columns : sequence of str, optional
        Those to read; prompts, captions and digests of a million rows take a gigabyte.

    Raises
    ------
    UserError
        If a column of that kind of table is missing.
    """
    import pandas as pd

    wanted = None if columns is None else set(columns).__contains__
    table = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, usecols=wanted)
    if kind is None:
        return _numbers_where_possible(table)
    missing = [name for name in columns or COLUMNS[kind] if name not in table.columns]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}; delete the file to make it again")
    return table.astype({name: kind for name, kind in _NUMBERS.items() if name in table.columns})


def write_table(
    path: str | Path, rows: "pd.DataFrame | Sequence[Mapping]", kind: str | None = None
) -> None:
    """Write a CSV table, whole or not at all; with `kind`, exactly that kind's columns.

    Text stays as it is, for the workflow to read again, but for the kinds that people alone read.
    """
    import pandas as pd

    table = pd.DataFrame(rows, columns=COLUMNS[kind] if kind else None)
    if kind in _FOR_PEOPLE:
        table = _without_formulas(table)
    with atomic_path(path) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")


def write_report_table(path: str | Path, rows: "pd.DataFrame | Sequence[Mapping]") -> None:
    """Write a CSV table for people, whole or not at all: no text in it is a spreadsheet's formula.

    Names, ids and captions come from whoever made a dataset, and the table is opened elsewhere.
    """
    import pandas as pd

    write_table(path, _without_formulas(pd.DataFrame(rows)))


def _without_formulas(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a table whose texts that begin like a formula begin with an apostrophe.

    OWASP, "CSV Injection". Numbers, negative ones too, stay numbers.
    """

    def harmless(cell: object) -> object:
        if not isinstance(cell, str):
            return cell
        text = cell.replace("\r", "\n")  # pandas leaves it bare, where it would begin a new row
        return f"'{text}" if text.startswith(_FORMULA) else text

    return table.map(harmless)


def _numbers_where_possible(table: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    for name in table.columns.difference(["id", "image", "source"]):
        numbers = pd.to_numeric(table[name].replace("", "nan"), errors="coerce")
        if (numbers.notna() | table[name].isin(["", "nan"])).all():
            table[name] = numbers
    return table
