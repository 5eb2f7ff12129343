"""Scores that look at the images themselves, shard by shard.

A judge, one of the `JUDGES` of `cia.catalog`, is a function of a `Case` and its settings that
returns a column per score.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cia.catalog import JUDGES, code
from cia.planning.plans import shard_of


@dataclass(frozen=True)
class Case:
    """Synthetic images to judge, with what they were made from.

    Attributes
    ----------
    images : pandas.DataFrame
        id, image, prompt, condition (the map's path), width, height, and label where labels count.
    task : str
        Of the dataset.
    classes : list of str
        Class names in index order.
    batch_size, threads : int
    kpt_shape : sequence of int, optional
        Of a pose: number of keypoints, and of numbers of each.
    """

    images: pd.DataFrame
    task: str
    classes: list[str]
    batch_size: int
    threads: int
    kpt_shape: Sequence[int] | None = None


def make_case(
    plan: pd.DataFrame,
    manifest: pd.DataFrame,
    labels: pd.DataFrame | None,
    shard: int,
    shards: int,
    **rest: Any,
) -> Case:
    """Join plan, images and labels, and take one shard's; the same shards as generation's."""
    wanted = plan.loc[shard_of(plan["id"], shards) == shard, ["id", "prompt", "condition"]]
    images = wanted.merge(manifest[["id", "image", "width", "height"]], on="id")
    if labels is not None:
        images = images.merge(labels[["id", "label"]], on="id")
    return Case(images.sort_values("id"), **rest)


def judge_images(case: Case, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return id and a column per score of the judge that the settings name.

    Raises
    ------
    UserError
        If a model can't be loaded.
    """
    judge: Callable[..., dict[str, np.ndarray]] = code(JUDGES[settings["kind"]])
    if case.images.empty:
        return pd.DataFrame({"id": []})
    return pd.DataFrame({"id": case.images["id"], **judge(case, settings)})
