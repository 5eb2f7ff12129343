"""Selections: which synthetic images are kept, by score, at random, or all."""

import logging
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from cia import draws
from cia.catalog import LOWER, score_numbers
from cia.errors import UserError
from cia.labels.lines import split_label
from cia.shares import count_of_share
from cia.tables import COLUMNS

logger = logging.getLogger("cia")

_NO_OBJECT = frozenset({""})
"""The classes of a picture that shows no object."""

SCORED = ("top_k", "top_p", "threshold", "band")
"""The methods that need a score."""


def select(
    manifest: pd.DataFrame,
    settings: dict,
    seed: int,
    scores: Mapping[str, pd.DataFrame] | None = None,
    labels: pd.DataFrame | None = None,
    picked: Mapping[str, Mapping[str, str]] | None = None,
) -> pd.DataFrame:
    """Return the images that a selection keeps, best first.

    Parameters
    ----------
    manifest : pandas.DataFrame
        The set's images (id, image).
    settings : dict
        One entry of the config's `selections`: method, value, low, high, features, score, order,
        per_class, file, unseen, steps.
    seed : int
        For the methods all, random and picked, whose order is that of a hash of seed and id: it
        depends neither on the order of the rows nor on which other images there are.
    scores : mapping, optional
        Feature model to its scores table (id and a column per score); needed by top_k, top_p,
        threshold and band.
    labels : pandas.DataFrame, optional
        id, label (see `cia.labels.reading`); needed with `per_class`.
    picked : mapping, optional
        File to its verdicts by hand, id to keep or drop; needed by picked.

    Returns
    -------
    pandas.DataFrame
        Columns id, image, score, rank (from 1). Equal scores rank by id. The score of all, random
        and picked is 0; of several weighted scores it is the mean rank, from 0 (best) to 1; of
        steps it is the last one's.

    Raises
    ------
    UserError
        If there is no such score, or an image has none.
    """
    kept = manifest
    for step in steps_of(settings):
        kept = _keep(kept, step, seed, scores, labels, picked)
    if kept.empty:
        logger.warning("The selection keeps none of %d images.", len(manifest))
    return kept.assign(rank=np.arange(1, len(kept) + 1))[COLUMNS["selected"]]


def steps_of(settings: Mapping) -> list[Mapping]:
    """Return the selections that a selection consists of: itself, or a sequence's steps."""
    return settings["steps"] if settings["method"] == "sequence" else [settings]


def is_ascending(settings: dict) -> bool:
    """Return whether small scores are the best ones, as the settings or the score itself say."""
    order = settings.get("order", "auto")
    if order == "auto":
        score = settings["score"]
        return isinstance(score, dict) or score_numbers().get(score, LOWER).better == "lower"
    return order == "ascending"


def rank(images: pd.DataFrame, settings: dict, scores: pd.DataFrame) -> pd.DataFrame:
    """Return all images as a selection by a score ranks them.

    Parameters
    ----------
    images : pandas.DataFrame
        id and image of each.
    settings : dict
        One entry of the config's `selections`, or one of its steps: score (a column, or columns
        with weights), order.
    scores : pandas.DataFrame
        Its scores table: id and a column per score.

    Returns
    -------
    pandas.DataFrame
        Columns id, image, score, best first; equal scores by id. Of several weighted scores it is
        the mean rank, from 0 (best) to 1.

    Raises
    ------
    UserError
        If there is no such score, or an image has none.
    """
    table = images[["id", "image"]].sort_values("id", ignore_index=True)
    scored = _scored(table, scores, settings["score"])
    table = table.merge(scored, on="id", how="left")
    _require_scores(table)
    return table.sort_values(
        ["score", "id"], ascending=[is_ascending(settings), True], ignore_index=True
    )


def _keep(images, settings, seed, scores, labels, picked) -> pd.DataFrame:
    table = _ranked(images, settings, seed, scores)
    if settings["method"] == "picked":
        verdicts = picked[settings["file"]]
        said = table["id"].map(lambda id_: verdicts.get(id_, settings["unseen"]))
        return table[said == "keep"]
    if settings["method"] == "threshold":
        return table[_at_least_as_good(table["score"], settings)]
    if settings["method"] == "band":
        low, high = (count_of_share(settings[end], len(table)) for end in ("low", "high"))
        return table.iloc[low:high]
    if settings.get("per_class"):
        return _keep_per_class(table, settings, labels)
    return table.head(_quota(settings, len(table)))


def _ranked(manifest, settings, seed, scores) -> pd.DataFrame:
    """Return all images with their score, best first."""
    if settings["method"] in SCORED:
        return rank(manifest, settings, scores[settings["features"]])
    table = manifest[["id", "image"]].sort_values("id", ignore_index=True)
    # All in random order too: a mix takes the first ones, which must not favor some sources.
    order = draws.order("cia-filter", ((seed, id_) for id_ in table["id"]))
    return table.iloc[order].reset_index(drop=True).assign(score=0.0)


def _scored(table: pd.DataFrame, scores: pd.DataFrame, score: str | dict) -> pd.DataFrame:
    """Return id and score: a column of the scores, or the weighted mean rank in several."""
    if isinstance(score, str):
        return _column(scores, score)
    total, weights = 0.0, sum(score.values())
    for name, weight in score.items():
        column = table[["id"]].merge(_column(scores, name), on="id", how="left")
        _require_scores(column)
        better_first = is_ascending({"score": name})
        ranks = column["score"].rank(ascending=better_first, method="average")
        total = total + weight / weights * (ranks - 1) / max(1, len(ranks) - 1)
    return table[["id"]].assign(score=total)


def _column(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    if name not in scores.columns:
        known = ", ".join(scores.columns.drop(["id", "image"], errors="ignore"))
        raise UserError(f"there is no score {name!r}; there are {known}")
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
        return count_of_share(value, available)
    if value > available:
        logger.warning("The selection asks for %d of %d images; it keeps all.", value, available)
    return min(int(value), available)


def _keep_per_class(table, settings, labels) -> pd.DataFrame:
    """Fill each class's quota, best first; an image counts for every class that it shows.

    A count is shared out evenly among the classes; a share applies to each class's own images. To
    show no object is a class of its own; an image without valid label has none, and is not kept.
    """
    classes = dict(zip(labels["id"], map(_classes, labels["label"]), strict=True))
    shown = table["id"].map(lambda id_: classes.get(id_, frozenset()))
    if without := sum(not names for names in shown):
        logger.warning("%d of %d images have no valid label; none is kept.", without, len(table))
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
    return frozenset(fields[0] for fields in split_label(label)) or _NO_OBJECT


def _at_least_as_good(scores: pd.Series, settings: dict) -> pd.Series:
    return scores <= settings["value"] if is_ascending(settings) else scores >= settings["value"]
