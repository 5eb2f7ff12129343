"""Tables of distribution metrics, whatever metrics and numbers their files hold."""

from collections.abc import Iterator, Mapping

import pandas as pd

from cia.reporting.pages import Table, format_number

_FIRST = ["features", "of", "metric", "value", "low", "high", "std"]
_FIRST += ["floor", "matched", "direction"]
_LAST = ["n_real", "n_synthetic", "dimensions", "note"]
_BESIDE = {
    "floor": "floor (real to real)",
    "matched": "matched (synthetic to real)",
    "n_real": "n real",
    "n_synthetic": "n synthetic",
    "dimensions": "dimensions",
}
"""Columns that people see besides the value, and their headings; the CSV has them all."""
_NOTES = ("reason", "warning")
_SCALARS = (str, int, float, bool)


def metric_rows(files: list[Mapping]) -> pd.DataFrame:
    """Return one row per feature model and metric.

    Every scalar that a metric's entry holds becomes a column, so a new one needs no change here;
    `reason` and `warning` become the note. What the file says of all its metrics (n_real,
    n_synthetic, dimensions) stands in each row, unless the metric has its own.

    Parameters
    ----------
    files : list of mapping
        Contents of results/{dataset}/{generator}/metrics/{features}.yaml.
    """
    rows = []
    for content, part, own in _parts(files):
        common = {name: own.get(name, content.get(name)) for name in _LAST if name in content}
        for metric, entry in own["metrics"].items():
            entry = entry if isinstance(entry, Mapping) else {"value": entry}
            numbers = {
                name: value
                for name, value in entry.items()
                if name not in _NOTES and (value is None or isinstance(value, _SCALARS))
            }
            note = ". ".join(str(entry[name]) for name in _NOTES if entry.get(name))
            row = {"features": content["features"], "of": part, "metric": metric}
            row |= {**common, **numbers}
            rows.append({**row, "note": note})
    table = pd.DataFrame(rows)
    first = [name for name in _FIRST if name in table.columns]
    last = [name for name in _LAST if name in table.columns]
    others = [name for name in table.columns if name not in (*first, *last)]
    return table[[*first, *others, *last]]


def _parts(files: list[Mapping]) -> Iterator[tuple[Mapping, str, Mapping]]:
    """Yield each file with what its metrics are of: whole images, and labelled objects."""
    for content in files:
        yield content, "images", content
        if "objects" in content:
            yield content, "objects", content["objects"]


def metric_cells(table: pd.DataFrame) -> Table:
    """Turn the rows into cells for people.

    Spread or interval stand beside the value; whether smaller or larger is better is said in
    words.
    """
    others = [name for name in _BESIDE if name in table.columns]
    headers = ["features", "of", "metric", "value", "better"]
    headers += [*(_BESIDE[name] for name in others), "note"]
    rows = []
    for row in table.astype(object).where(table.notna(), None).to_dict("records"):
        better = {"lower": "smaller", "higher": "larger"}.get(row.get("direction"), "")
        cells = [
            row["features"],
            row["of"],
            row["metric"].replace("_", " "),
            value_words(row),
            better,
        ]
        rows.append([*cells, *(_plain(row[name]) for name in others), row["note"] or ""])
    numbers = [3, *range(5, 5 + len(others))]
    return Table(headers, rows, numbers)


def value_words(row: Mapping) -> str:
    """Write a value with its interval `[low, high]`, or else its standard deviation."""
    words = format_number(row.get("value"))
    if row.get("low") is not None and row.get("high") is not None:
        return f"{words} [{format_number(row['low'])}, {format_number(row['high'])}]"
    if row.get("std") is not None:
        return f"{words} ± {format_number(row['std'])}"
    return words


def _plain(value) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return format_number(int(value))
    return format_number(value) if isinstance(value, int | float) else str(value)
