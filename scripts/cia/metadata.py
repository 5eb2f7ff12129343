"""metadata.yaml: all that is known of one generated set, in one file beside it.

Its `results.metrics.ptd` is what ciagen's filter reads: `{metric}: {features}: {path}: score`.
"""

from collections.abc import Mapping

import pandas as pd

from cia.filtering import SCORED, is_ascending


def gather_metadata(
    name: Mapping[str, str],
    settings: Mapping,
    plan: pd.DataFrame,
    metrics: Mapping[str, Mapping],
    scores: Mapping[str, pd.DataFrame],
    selections: Mapping[str, tuple[Mapping, pd.DataFrame]],
    models: Mapping,
) -> dict:
    """Gather settings, metrics, scores and selections of one generated set.

    Parameters
    ----------
    name : mapping
        dataset and controlnet.
    settings : mapping
        What the set was generated with: the controlnet's entry, its condition and its prompts.
    plan : pandas.DataFrame
        The set's plan.
    metrics : mapping
        Feature model to the content of its metrics file.
    scores : mapping
        Feature model to its scores table.
    selections : mapping
        Selection to its settings and what it kept.
    models : mapping
        Files and versions of the models that made the images.

    Returns
    -------
    dict
        Plain data. Paths are relative to the working folder, like everywhere else, so that it can
        be moved as a whole.
    """
    return {
        **name,
        "generation": {
            **settings,
            "images": len(plan),
            "sources": int(plan["source"].nunique()),
            "models": dict(models),
        },
        "results": {
            "metrics": {
                "dtd": {features: content["metrics"] for features, content in metrics.items()},
                "ptd": _per_image(scores),
            },
            "filtering": {
                selection: _filtering(own, kept, len(plan))
                for selection, (own, kept) in selections.items()
            },
        },
    }


def _per_image(scores: Mapping[str, pd.DataFrame]) -> dict:
    """Return metric -> feature model -> path -> score, paths in the order of ids."""
    found: dict[str, dict] = {}
    for features, table in scores.items():
        ordered = table.sort_values("id")
        for metric in ordered.columns.drop(["id", "image"]):
            values = map(float, ordered[metric])
            found.setdefault(metric, {})[features] = dict(
                zip(ordered["image"], values, strict=True)
            )
    return found


def _filtering(settings: Mapping, kept: pd.DataFrame, images: int) -> dict:
    content = {**settings, "images": images, "kept": len(kept)}
    if settings["method"] in SCORED and len(kept):
        content["best"] = "smallest" if is_ascending(dict(settings)) else "largest"
        content["cut"] = float(kept["score"].iloc[-1])
    content["files"] = kept["image"].tolist()
    return content
