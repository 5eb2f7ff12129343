"""The plan: one row per synthetic image to make, with all that decides how it looks."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cia import draws
from cia.errors import UserError
from cia.planning.prompts import make_prompts
from cia.remedies import command
from cia.tables import COLUMNS

logger = logging.getLogger("cia")


def make_plan(
    manifest: pd.DataFrame,
    conditions: pd.DataFrame,
    prompts: dict,
    variants: int,
    seed: int,
    objects: Mapping[str, Sequence[str]] | None = None,
    key: str = "prompts",
) -> pd.DataFrame:
    """List the synthetic images to make.

    Parameters
    ----------
    manifest : pandas.DataFrame
        Manifest of the real training images (id, caption are read).
    conditions : pandas.DataFrame
        Manifest of their condition maps, which all variants of an image share, or of varied maps,
        one for each variant (with the columns source and variant). An image without a map is not
        in the plan.
    prompts : dict
        One entry of the config's `prompts`.
    variants : int
        Synthetic images per real one.
    seed : int
        The configured seed.
    objects : mapping, optional
        Condition map to the class names of what it shows, from left to right, for prompts that
        name them. An image without them is not in the plan.
    key : str
        Where in the config the prompts are, for messages: `prompts.NAME`.

    Returns
    -------
    pandas.DataFrame
        Columns of a plan, sorted by id; `id` is `{source}_v{variant:03d}`.

    Raises
    ------
    UserError
        If there is no condition map, a map has no image, or the prompts can't be written.
    """
    maps = _one_per_variant(conditions, variants)
    maps = _described(_with_captions(maps, manifest), objects, key)
    sources = maps["source"][::variants]
    named = None if objects is None else [objects[id_] for id_ in maps["map"]]
    pairs = list(zip(maps["source"], maps["variant"], strict=True))
    plan = pd.DataFrame(
        {
            "id": [variant_id(*pair) for pair in pairs],
            "source": maps["source"],
            "variant": maps["variant"],
            "seed": [image_seed(seed, *pair) for pair in pairs],
            "prompt": make_prompts(
                prompts,
                sources.tolist(),
                maps["caption"][::variants].tolist(),
                variants,
                seed,
                named,
                key,
            ),
            "negative_prompt": " ".join(prompts.get("negative", "").split()),
            "width": maps["width"],
            "height": maps["height"],
            "condition": maps["image"],
            "condition_sha256": maps["sha256"],
        },
        columns=COLUMNS["plan"],
    )
    return plan.sort_values("id", ignore_index=True)


def variant_id(source: str, variant: int) -> str:
    """Return the id of a synthetic image; nothing reads it back, the plan says what it is."""
    return f"{source}_v{variant:03d}"


def image_seed(seed: int, source: str, variant: int) -> int:
    """Return the seed of one synthetic image, 0 to 2**32 - 1.

    It depends on the configured seed, the real image's id and the variant, so it is the same
    whatever else is in the plan.
    """
    return draws.number("cia-image", seed, source, variant, size=4)


def shard_of(ids: Sequence[str], count: int) -> np.ndarray:
    """Return the shard of each id, 0 to count - 1; it depends on id and count alone.

    Returns
    -------
    numpy.ndarray
        int64, shape (len(ids),).
    """
    shards = (draws.number("cia-shard", id_, size=8) % count for id_ in ids)
    return np.fromiter(shards, dtype=np.int64, count=len(ids))


def _one_per_variant(conditions: pd.DataFrame, variants: int) -> pd.DataFrame:
    """Return a row for each source and variant; the column `map` is the id of its map."""
    if conditions.empty:
        raise UserError(
            "There is no condition map, so there is nothing to generate from; rejected.csv beside "
            "the maps says why"
        )
    maps = conditions.rename(columns={"id": "map"})
    if "variant" in maps.columns:
        return maps.sort_values(["source", "variant"], ignore_index=True)
    maps = maps.loc[maps.index.repeat(variants)].reset_index(drop=True)
    return maps.assign(source=maps["map"], variant=np.arange(len(maps)) % variants)


def _with_captions(maps: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    captions = manifest.set_index("id", verify_integrity=True)["caption"]
    maps = maps.assign(caption=maps["source"].map(captions))
    unknown = maps.loc[maps["caption"].isna(), "source"].unique().tolist()
    if unknown:
        raise UserError(
            f"{len(unknown)} condition maps belong to no training image ({', '.join(unknown[:5])}"
            f"); make the maps again: {command('--forcerun condition')}"
        )
    return maps


def _described(
    maps: pd.DataFrame, objects: Mapping[str, Sequence[str]] | None, key: str
) -> pd.DataFrame:
    """Leave out the sources whose objects are not known, where the prompts are to name them."""
    if objects is None:
        return maps
    unknown = maps.loc[~maps["map"].isin(list(objects)), "source"].unique()
    if not len(unknown):
        return maps
    logger.warning(
        "%d images have no valid label that a prompt could name, so nothing is made from them: %s",
        len(unknown),
        ", ".join(unknown[:5]),
    )
    left = maps[~maps["source"].isin(unknown)].reset_index(drop=True)
    if left.empty:
        raise UserError(f"{key}: {{objects}} needs labels, and no image has a valid one")
    return left


def with_digests(ancestors: pd.DataFrame, maps: pd.DataFrame) -> pd.DataFrame:
    """Add to rows of id and source the digests of the pictures whose condition maps these are.

    Parameters
    ----------
    ancestors : pandas.DataFrame
        Columns id, source.
    maps : pandas.DataFrame
        Manifest of the extracted maps: id, picture_sha256.
    """
    digests = maps.set_index("id")["picture_sha256"]
    return ancestors.assign(source_sha256=ancestors["source"].map(digests))
