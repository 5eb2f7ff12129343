"""What a selection did to the synthetic images: scores, kept or dropped, and where the cut lies."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from cia.directions import SCORES
from cia.errors import UserError
from cia.filtering import steps_of


def judged_images(
    plan: pd.DataFrame,
    manifest: pd.DataFrame,
    scores: pd.DataFrame | None,
    score: str | None,
    kept: Iterable[str],
) -> pd.DataFrame:
    """Join what is known of each synthetic image.

    Parameters
    ----------
    plan, manifest : pandas.DataFrame
        The plan and the manifest of the generated set.
    scores : pandas.DataFrame or None
        The scores table; None where the selection reads no scores.
    score : str or None
        Its column.
    kept : iterable of str
        Ids that the selection kept.

    Returns
    -------
    pandas.DataFrame
        id, source, variant, prompt, condition, image, score (NaN if there is none), kept; sorted
        by id.

    Raises
    ------
    UserError
        If the scores table has no such column.
    """
    columns = ["id", "source", "variant", "prompt", "condition"]
    images = plan[columns].merge(manifest[["id", "image"]], on="id", validate="one_to_one")
    images["score"] = np.nan
    if scores is not None:
        if score not in scores.columns:
            raise UserError(f"the scores have no column {score!r}, but {', '.join(scores.columns)}")
        images["score"] = images["id"].map(scores.set_index("id")[score]).astype(float)
    images["kept"] = images["id"].isin(set(kept))
    return images.sort_values("id", ignore_index=True)


def shown_score(settings: Mapping, scores: pd.DataFrame | None) -> str | None:
    """Return the score by which to show images: the selection's first, or the table's.

    None if there are no scores.
    """
    if scores is None:
        return None
    for step in steps_of(settings):
        if score := step.get("score"):
            return score if isinstance(score, str) else next(iter(score))
    return scores.columns.drop(["id", "image"])[0]


def direction_words(score: str) -> str:
    """Say which end of a score is the better one; "" if the score does not say."""
    if score not in SCORES:
        return ""
    end = {"lower": "smaller", "higher": "larger"}[SCORES[score]]
    return f"{end} is better"


def find_cut(images: pd.DataFrame, settings: Mapping) -> float | None:
    """Return the score that parts those kept from those dropped: a set threshold, or the middle.

    None where no one score parts them: all or none are kept, or the choice was by chance, by
    class, or by something else.
    """
    if settings["method"] == "threshold" and isinstance(settings["score"], str):
        return float(settings["value"])
    scored = images.dropna(subset="score")
    kept, dropped = scored.loc[scored["kept"], "score"], scored.loc[~scored["kept"], "score"]
    if kept.empty or dropped.empty:
        return None
    for low, high in ((kept, dropped), (dropped, kept)):
        if low.max() <= high.min():
            return float(low.max() + high.min()) / 2
    return None


def keeps_words(images: pd.DataFrame) -> str:
    """Say how many images a selection kept: `all 180 synthetic images`, `90 of 180 ...`."""
    kept, total = int(images["kept"].sum()), len(images)
    return f"{'all' if kept == total else f'{kept} of'} {total} synthetic images"
