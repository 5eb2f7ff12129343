"""Selections: which synthetic images are kept, by score, at random, or all."""

import hashlib
import logging
import math

import numpy as np
import pandas as pd

from cia.errors import UserError
from cia.scores import SCORES
from cia.tables import COLUMNS

logger = logging.getLogger("cia")

SCORED = ("top_k", "top_p", "threshold")
"""The methods that need a score."""


def select(
    manifest: pd.DataFrame,
    settings: dict,
    seed: int,
    scores: pd.DataFrame | None = None,
    labels: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the images that a selection keeps, best first.

    Parameters
    ----------
    manifest : pandas.DataFrame
        The set's images (id, image).
    settings : dict
        One entry of the config's `selections`: method, value, score, order, per_class.
    seed : int
        For the methods all and random, whose order is that of a hash of seed and id: it depends
        neither on the order of the rows nor on which other images there are.
    scores : pandas.DataFrame, optional
        id and a column per score; needed by top_k, top_p and threshold.
    labels : pandas.DataFrame, optional
        id, label (see `cia.labels`); needed with `per_class`.

    Returns
    -------
    pandas.DataFrame
        Columns id, image, score, rank (from 1). Equal scores rank by id. The score of all and
        random is 0.

    Raises
    ------
    UserError
        If there is no such score, or scores and manifest are not of the same images.
    """
    table = _ranked(manifest, settings, seed, scores)
    if settings["method"] == "threshold":
        kept = table[_at_least_as_good(table["score"], settings)]
    elif settings.get("per_class"):
        kept = _keep_per_class(table, settings, labels)
    else:
        kept = table.head(_quota(settings, len(table)))
    if kept.empty:
        logger.warning("The selection keeps none of %d images.", len(table))
    return kept.assign(rank=np.arange(1, len(kept) + 1))[COLUMNS["selected"]]


def is_ascending(settings: dict) -> bool:
    """Return whether small scores are the best ones, as the settings or the score itself say."""
    order = settings.get("order", "auto")
    if order == "auto":
        score = settings["score"]
        return score not in SCORES or SCORES[score].direction == "lower"
    return order == "ascending"


def _ranked(manifest, settings, seed, scores) -> pd.DataFrame:
    """Return all images with their score, best first."""
    method = settings["method"]
    table = manifest[["id", "image"]].sort_values("id", ignore_index=True)
    if method in SCORED:
        table = table.merge(_column(scores, settings["score"]), on="id", how="left")
        _require_scores(table)
        return table.sort_values(
            ["score", "id"], ascending=[is_ascending(settings), True], ignore_index=True
        )
    # All in random order too: a mix takes the first ones, which must not favor some sources.
    order = sorted(range(len(table)), key=lambda row: _draw(seed, table["id"][row]))
    return table.iloc[order].reset_index(drop=True).assign(score=0.0)


def _column(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    if name not in scores.columns:
        known = ", ".join(scores.columns.drop(["id", "image"], errors="ignore"))
        raise UserError(f"selections: there is no score {name!r}; there are {known}")
    return scores[["id", name]].rename(columns={name: "score"})


def _require_scores(table: pd.DataFrame) -> None:
    without = table.loc[table["score"].isna(), "id"].tolist()
    if without:
        named = ", ".join(without[:5])
        raise UserError(f"{len(without)} images have no score: {named}; make the scores again")


def _quota(settings: dict, available: int) -> int:
    """Return how many of `available` images to keep."""
    method, value = settings["method"], settings.get("value")
    if method == "all":
        return available
    if method == "top_p" or (method == "random" and value < 1):
        return int(available * value)
    if value > available:
        logger.warning("The selection asks for %d of %d images; it keeps all.", value, available)
    return min(int(value), available)


def _keep_per_class(table, settings, labels) -> pd.DataFrame:
    """Fill each class's quota, best first; an image counts for every class that it shows.

    A count is shared out evenly among the classes; a share applies to each class's own images.
    """
    classes = dict(zip(labels["id"], map(_classes, labels["label"]), strict=True))
    shown = table["id"].map(lambda id_: classes.get(id_, frozenset()))
    found = sorted({name for names in shown for name in names})
    if settings["method"] == "top_k" or settings["value"] > 1:
        settings = {**settings, "value": math.ceil(settings["value"] / max(1, len(found)))}
    quota = {name: _quota(settings, sum(name in names for names in shown)) for name in found}
    keep = []
    for names in shown:
        wanted = any(quota[name] > 0 for name in names)
        keep.append(wanted)
        if wanted:
            for name in names:
                quota[name] -= 1
    return table[keep]


def _classes(label: str) -> frozenset[str]:
    return frozenset(line.split()[0] for line in label.splitlines() if line.strip())


def _at_least_as_good(scores: pd.Series, settings: dict) -> pd.Series:
    return scores <= settings["value"] if is_ascending(settings) else scores >= settings["value"]


def _draw(seed: int, id_: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{id_}".encode(), digest_size=16, person=b"cia-filter").digest()
