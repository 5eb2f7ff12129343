"""metadata.yaml: all that is known of one generated set, in one file beside it.

Its `results.metrics.ptd` is what ciagen's filter (1.0.1) reads: `{metric}: {features}: {path}:
score`. That filter

- takes scores of the feature models `vit` and `inception` alone: so must an entry of the config's
  `features` be named whose scores it is to read;
- takes the smallest scores, or those up to a threshold, for the best: of realism and of what else
  is better when larger it keeps the worst;
- cuts a share's float product, where `cia.shares` is exact: top-p 0.29 of 100 keeps 28 there and 29
  here. Its top-k with our `kept` keeps the same images, whatever the share.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from cia.files import atomic_path
from cia.filtering import SCORED, is_ascending
from cia.picking import picked_files


def gather_metadata(
    name: Mapping[str, str],
    settings: Mapping,
    plan: pd.DataFrame,
    metrics: Mapping[str, Mapping],
    scores: Mapping[str, pd.DataFrame],
    selections: Mapping[str, tuple[Mapping, pd.DataFrame]],
    models: Mapping,
    by_hand: Mapping[str, Mapping[str, int]] | None = None,
) -> dict:
    """Gather settings, metrics, scores and selections of one generated set.

    Parameters
    ----------
    name : mapping
        dataset and generator.
    settings : mapping
        What the set was generated with: the generator's entry, its condition and its prompts.
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
    by_hand : mapping, optional
        Of each file that selections of method picked read: what `cia.picking.count_picked` gives.

    Returns
    -------
    dict
        Plain data, and columns for what every image has: a score by path, or paths. Paths are
        relative to the working folder, like everywhere else, so that it can be moved as a whole.
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
                selection: _filtering(own, kept, len(plan), by_hand or {})
                for selection, (own, kept) in selections.items()
            },
        },
    }


def _per_image(scores: Mapping[str, pd.DataFrame]) -> dict:
    """Return metric -> feature model -> scores by path, in the order of ids."""
    found: dict[str, dict] = {}
    for features, table in scores.items():
        ordered = table.sort_values("id")
        for metric in ordered.columns.drop(["id", "image"]):
            column = pd.Series(ordered[metric].to_numpy(float), ordered["image"].to_numpy())
            found.setdefault(metric, {})[features] = column
    return found


def _filtering(settings: Mapping, kept: pd.DataFrame, images: int, by_hand: Mapping) -> dict:
    content = {**settings, "images": images, "kept": len(kept)}
    if files := picked_files(settings):
        content |= {"dropped": images - len(kept), "by_hand": {f: dict(by_hand[f]) for f in files}}
    if settings["method"] in SCORED and len(kept):
        content["best"] = "smallest" if is_ascending(dict(settings)) else "largest"
        content["cut"] = float(kept["score"].iloc[-1])
    content["files"] = kept["image"]
    return content


def write_metadata(path: str | Path, metadata: Mapping) -> None:
    """Write what `gather_metadata` gives as YAML, image by image, whole or not at all.

    PyYAML makes a tree of all nodes before it writes the first, which for a million images and a
    few scores would take gigabytes.
    """
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(_lines(metadata, ""))


def _lines(data: Mapping, indent: str) -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, pd.Series) and value.empty:
            value = {} if value.dtype == float else []
        if isinstance(value, pd.Series):
            yield f"{indent}{_dumped(key)}:\n"
            yield from _rows(value, indent + "  ")
        elif isinstance(value, Mapping) and value:
            yield f"{indent}{_dumped(key)}:\n"
            yield from _lines(value, indent + "  ")
        else:
            text = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=100)
            yield textwrap.indent(text, indent)


def _rows(column: pd.Series, indent: str) -> Iterator[str]:
    if column.dtype != float:
        yield from (f"{indent}- {_quoted(name)}\n" for name in column)
        return
    for name, value in zip(map(_quoted, column.index), column.tolist(), strict=True):
        number = repr(value)
        plain = number[-1].isdigit() and "e" not in number  # YAML writes 1e-07 and inf otherwise
        yield f"{indent}{name}: {number if plain else _dumped(value)}\n"


def _quoted(text: str) -> str:
    """Return a text as YAML quotes it; JSON's way is the same where all can be printed."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else _dumped(text)


def _dumped(value: Any) -> str:
    """Return a name or number on one line of YAML."""
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    text = yaml.safe_dump(value, default_style=style, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")
