"""What a selection did to the synthetic images: scores, kept or dropped, and where the cut lies."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from cia.filtering import is_ascending, rank, steps_of


def ranked_images(
    plan: pd.DataFrame,
    manifest: pd.DataFrame,
    scores: pd.DataFrame | None,
    step: Mapping | None,
    kept: Iterable[str],
) -> pd.DataFrame:
    """Join what is known of each synthetic image.

    Score and rank are the filter's own, so what is shown as the best is what it takes first.

    Parameters
    ----------
    plan, manifest : pandas.DataFrame
        The plan and the manifest of the generated set.
    scores : pandas.DataFrame or None
        The scores table; None if there is none.
    step : mapping or None
        What `shown_step` gives.
    kept : iterable of str
        Ids that the selection kept.

    Returns
    -------
    pandas.DataFrame
        id, source, variant, prompt, condition, image, score and rank (from 1; both NaN for images
        without a score), kept; sorted by id.

    Raises
    ------
    UserError
        If the scores table has no such score.
    """
    columns = ["id", "source", "variant", "prompt", "condition"]
    images = plan[columns].merge(manifest[["id", "image"]], on="id", validate="one_to_one")
    ranked = pd.DataFrame({"id": [], "score": []})
    if step is not None:
        ranked = rank(_with_scores(images, scores, step), step, scores)
    ranked = ranked.assign(rank=np.arange(1.0, len(ranked) + 1))
    images = images.merge(ranked[["id", "score", "rank"]], on="id", how="left")
    images["kept"] = images["id"].isin(set(kept))
    return images.sort_values("id", ignore_index=True)


def _with_scores(images: pd.DataFrame, scores: pd.DataFrame, step: Mapping) -> pd.DataFrame:
    """Return the images that can be ranked: those that were dropped unseen may have no score."""
    names = {step["score"]} if isinstance(step["score"], str) else set(step["score"])
    known = scores.dropna(subset=list(names.intersection(scores.columns)))
    return images[images["id"].isin(known["id"])]


def shown_step(settings: Mapping, scores: pd.DataFrame | None) -> Mapping | None:
    """Return by what to show images, as a selection by a score: the first step that reads one.

    It is the whole selection where that has one score or several weighted ones; for a selection
    that reads none it is the table's first score. None if there are no scores.
    """
    if scores is None:
        return None
    first = {"score": scores.columns.drop(["id", "image"])[0]}
    return next((step for step in steps_of(settings) if "score" in step), first)


def score_words(step: Mapping) -> str:
    """Name the score of a selection: `realism`, `mean rank in realism (2) and label_iou (1)`."""
    score = step["score"]
    if isinstance(score, str):
        return score
    names = [f"{name} ({weight:g})" for name, weight in score.items()]
    return f"mean rank in {' and '.join(filter(None, [', '.join(names[:-1]), names[-1]]))}"


def direction_words(step: Mapping) -> str:
    """Say which end of the score is the better one for a selection."""
    end = "smaller" if is_ascending(step) else "larger"
    if is_ascending(step) != is_ascending({**step, "order": "auto"}):
        return f"here {end} is better"
    return f"{end} is better"


def find_cut(images: pd.DataFrame, settings: Mapping) -> float | None:
    """Return the score that parts those kept from those dropped: a set threshold, or the middle.

    None where no one score parts them: all or none are kept, or the choice was by chance, by
    class, or by something else.
    """
    if settings["method"] == "threshold":
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
