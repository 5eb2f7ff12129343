"""The plan: one row per synthetic image to make, with all that decides how it looks."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cia.errors import UserError
from cia.prompts import make_prompts
from cia.tables import COLUMNS


def make_plan(
    manifest: pd.DataFrame, conditions: pd.DataFrame, prompts: dict, variants: int, seed: int
) -> pd.DataFrame:
    """List the synthetic images to make.

    Parameters
    ----------
    manifest : pandas.DataFrame
        Manifest of the real training images (id, caption are read).
    conditions : pandas.DataFrame
        Manifest of their condition maps; an image without a map is not in the plan.
    prompts : dict
        One entry of the config's `prompts`.
    variants : int
        Synthetic images per real one.
    seed : int
        The configured seed.

    Returns
    -------
    pandas.DataFrame
        Columns of a plan, sorted by id; `id` is `{source}_v{variant:03d}`.

    Raises
    ------
    UserError
        If there is no condition map, a map has no image, or the prompts can't be written.
    """
    maps = _maps_with_captions(manifest, conditions)
    sources = maps["id"].to_numpy(dtype=object)
    numbers = np.tile(np.arange(variants), len(maps))
    each = np.repeat(np.arange(len(maps)), variants)
    plan = pd.DataFrame(
        {
            "id": _names(sources, variants),
            "source": sources[each],
            "variant": numbers,
            "seed": [image_seed(seed, s, v) for s in sources for v in range(variants)],
            "prompt": make_prompts(prompts, sources, maps["caption"].tolist(), variants, seed),
            "negative_prompt": " ".join(prompts.get("negative", "").split()),
            "width": maps["width"].to_numpy()[each],
            "height": maps["height"].to_numpy()[each],
            "condition": maps["image"].to_numpy(dtype=object)[each],
            "condition_sha256": maps["sha256"].to_numpy(dtype=object)[each],
        },
        columns=COLUMNS["plan"],
    )
    return plan.sort_values("id", ignore_index=True)


def image_seed(seed: int, source: str, variant: int) -> int:
    """Return the seed of one synthetic image, 0 to 2**32 - 1.

    It depends on the configured seed, the real image's id and the variant, so it is the same
    whatever else is in the plan.
    """
    return _number(f"{seed}\0{source}\0{variant}", b"cia-image", 4)


def shard_of(ids: Sequence[str], count: int) -> np.ndarray:
    """Return the shard of each id, 0 to count - 1; it depends on id and count alone.

    Returns
    -------
    numpy.ndarray
        int64, shape (len(ids),).
    """
    shards = (_number(id_, b"cia-shard", 8) % count for id_ in ids)
    return np.fromiter(shards, dtype=np.int64, count=len(ids))


def _number(text: str, purpose: bytes, size: int) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=size, person=purpose).digest()
    return int.from_bytes(digest, "big")


def _maps_with_captions(manifest: pd.DataFrame, conditions: pd.DataFrame) -> pd.DataFrame:
    if conditions.empty:
        raise UserError(
            "There is no condition map, so there is nothing to generate from; rejected.csv beside "
            "the maps says why"
        )
    maps = conditions.merge(manifest[["id", "caption"]], on="id", how="left", validate="1:1")
    unknown = maps.loc[maps["caption"].isna(), "id"].tolist()
    if unknown:
        raise UserError(
            f"{len(unknown)} condition maps belong to no training image ({', '.join(unknown[:5])}"
            "); make the maps again: snakemake --forcerun condition"
        )
    return maps


def _names(sources: np.ndarray, variants: int) -> list[str]:
    ends = [f"_v{variant:03d}" for variant in range(variants)]
    return [source + end for source in sources for end in ends]
