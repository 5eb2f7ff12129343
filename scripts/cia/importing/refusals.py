"""What an import could not use, for the tables of what scan and label reject."""

from pathlib import Path

from cia.tables import read_table


def refused_pictures(path: str | Path) -> tuple[list[dict], int]:
    """Return what a refused.csv says of pictures (file, reason), and how many count as unusable."""
    table = read_table(path, "refused")
    table = table[table["id"] == ""]
    return table[["file", "reason"]].to_dict("records"), int(table["unusable"].sum())


def explain_missing(rejected: list[dict], path: str | Path) -> None:
    """Say of label files that an import did not write why it could not.

    Parameters
    ----------
    rejected : list of dict
        file and reason, which is changed.
    path : path
        A refused.csv.
    """
    table = read_table(path, "refused")
    reasons = {f"{row.id}.txt": row.reason for row in table.itertuples() if row.id}
    for row in rejected:
        row["reason"] = reasons.get(Path(row["file"]).name, row["reason"])
