"""One image set from its shards, and nothing in its folder that the plan does not name."""

import os
from pathlib import Path

import pandas as pd

from cia.errors import UserError
from cia.files import write_texts
from cia.remedies import command
from cia.tables import COLUMNS


def join_shards(plan: pd.DataFrame, shards: list[pd.DataFrame]) -> pd.DataFrame:
    """Join shard manifests to the manifest of the image set.

    Returns
    -------
    pandas.DataFrame
        Columns of a manifest, sorted by id; the caption is the prompt.

    Raises
    ------
    UserError
        If a planned image is in no shard, or a shard has one that is not planned.
    """
    made = pd.concat(shards, ignore_index=True)
    joined = plan[["id", "prompt"]].merge(made, on="id", how="outer", indicator=True)
    for side, problem in (
        ("left_only", "planned images are in no shard"),
        ("right_only", "images of the shards are not planned"),
    ):
        wrong = joined.loc[joined["_merge"] == side, "id"].tolist()
        if wrong:
            raise UserError(
                f"{len(wrong)} {problem} ({', '.join(wrong[:5])}); make the shards again: "
                f"{command('--forcerun generate')}"
            )
    if joined["id"].duplicated().any():
        raise UserError(
            f"An image is in two shards; make them again: {command('--forcerun generate')}"
        )
    manifest = joined.rename(columns={"prompt": "caption"})[COLUMNS["manifest"]]
    numbers = {"width": "int64", "height": "int64"}
    return manifest.astype(numbers).sort_values("id", ignore_index=True)


def check_images(manifest: pd.DataFrame, folder: Path) -> None:
    """Raise a UserError if an image of the manifest is not in the folder."""
    there = set(os.listdir(folder)) if folder.is_dir() else set()
    gone = [id_ for id_ in manifest["id"] if f"{id_}.png" not in there]
    if gone:
        raise UserError(
            f"{folder}: {len(gone)} images are gone ({', '.join(gone[:5])}); make them again: "
            f"{command('--forcerun generate')}"
        )


def write_captions(manifest: pd.DataFrame, folder: Path) -> int:
    """Write each caption into `{id}.txt`, unless it stands there; return how many were written."""
    names = (f"{id_}.txt" for id_ in manifest["id"])
    texts = (f"{caption}\n" for caption in manifest["caption"])
    return write_texts(folder, zip(names, texts, strict=True))
