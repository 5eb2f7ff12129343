"""Varied condition maps of a whole set: other geometry than the real pictures', with its labels."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cia import draws
from cia.catalog import VARIATIONS, code
from cia.errors import UserError
from cia.files import digest_file, remove_strays
from cia.images import save_png
from cia.labels.objects import Object
from cia.labels.shapes import label_of_pixels, objects_in_pixels
from cia.planning.plans import variant_id
from cia.progress import Progress

if TYPE_CHECKING:
    import pandas as pd


class Varied(NamedTuple):
    """A varied map: the picture, its objects (None: a classification), and what it comes from.

    Objects are in pixels of the map. `sources` are the real pictures of which it shows something,
    the varied one first.
    """

    image: np.ndarray
    objects: list[Object] | None
    found: int
    sources: list[str]


Varier = Callable[
    ["pd.DataFrame", Mapping[str, list[Object]] | None, Mapping[str, Any], str],
    Callable[[Any, np.random.Generator], Varied | str],
]
"""What the `VARIATIONS` of `cia.catalog` are.

Functions of all maps (as `vary_maps` takes them), the objects of each in pixels (None for a
classification), the settings, and how maps of this kind are moved. They return the function that
varies one map: of its row and a random generator, to a varied map, or to the reason why there is
none.
"""


class Varieties(NamedTuple):
    """Tables of a set of varied maps: manifest, labels (none for a classification), ancestors."""

    manifest: list[dict]
    labels: list[dict]
    sources: list[dict]
    rejected: list[dict]


def vary_maps(
    maps: "pd.DataFrame",
    labels: Mapping[str, str] | None,
    folder: str | Path,
    settings: Mapping[str, Any],
    interpolation: str,
    variants: int,
    seed: int,
    threads: int = 1,
) -> Varieties:
    """Make every variant's own condition map.

    A map depends on the configured seed, its source, its variant and the settings; a recombined
    one on all maps and labels, since any piece may come into it.

    Parameters
    ----------
    maps : pandas.DataFrame
        Manifest of the condition maps: id, image, width, height, found.
    labels : mapping or None
        Real picture to its YOLO lines; None for a classification, whose label no warp changes.
        A picture without label is rejected, since the objects of its variants would be unknown.
    folder : path
        Where the maps go, into images/; other PNGs there are deleted.
    settings : mapping
        An entry of `variations` in the config; its `kind` is one of `VARIATIONS`. For labels other
        than boxes `labels` says what they are: task, and of a pose kpt_shape and flip_idx.
    interpolation : {"lines", "linear", "nearest"}
        How maps of this kind are moved; see `cia.variations.geometry.warp_map`.
    variants : int
        Maps per real picture.
    seed : int
        The configured seed.
    threads : int
        How many maps to make at once.

    Returns
    -------
    Varieties
        Rows of the four tables, sorted by source and variant.

    Raises
    ------
    UserError
        If there is not one map that can be varied.
    """
    images = Path(folder) / "images"
    images.mkdir(parents=True, exist_ok=True)
    task, kpt_shape = _form(settings)
    objects = None
    if labels is not None:
        objects = {
            row.id: objects_in_pixels(labels[row.id], (row.width, row.height), task, kpt_shape)
            for row in maps.itertuples()
            if row.id in labels
        }
    varier: Varier = code(VARIATIONS[settings["kind"]])
    vary = varier(maps, objects, settings, interpolation)
    progress = Progress(len(maps) * variants, "varied maps")

    def of_source(row) -> tuple[list[tuple[str, int, Varied]], str | None]:
        if objects is not None and row.id not in objects:
            return [], "no valid label, so its variants would have none"
        made = []
        for variant in range(variants):
            varied = vary(row, _rng(seed, row.id, variant))
            if isinstance(varied, str):
                return [], varied
            id_ = variant_id(row.id, variant)
            save_png(images / f"{id_}.png", varied.image)
            made.append((id_, variant, varied._replace(image=np.empty(0))))
        progress.add(variants)
        return made, None

    result = Varieties([], [], [], [])
    with ThreadPoolExecutor(threads) as pool:
        rows = list(maps.sort_values("id").itertuples())
        for row, (made, reason) in zip(rows, pool.map(of_source, rows), strict=True):
            if reason:
                result.rejected.append({"file": row.image, "reason": reason})
            for id_, variant, varied in made:
                _enter(result, row, id_, variant, varied, images, task)
    if not result.manifest:
        raise UserError(
            f"None of {len(maps)} condition maps could be varied; the first because: "
            f"{result.rejected[0]['reason'] if result.rejected else 'there is none'}"
        )
    remove_strays(images, [f"{row['id']}.png" for row in result.manifest], ".png")
    return result


def _form(settings: Mapping[str, Any]) -> tuple[str, list[int] | None]:
    """Return the task and the kpt_shape of the labels to move."""
    form = settings.get("labels", {"task": "detection"})
    return form["task"], form.get("kpt_shape")


def _enter(
    result: Varieties, row, id_: str, variant: int, varied: Varied, images: Path, task: str
) -> None:
    path = images / f"{id_}.png"
    result.manifest.append(
        {
            "id": id_,
            "source": row.id,
            "variant": variant,
            "image": path.as_posix(),
            "width": row.width,
            "height": row.height,
            "sha256": digest_file(path),
            "found": varied.found,
        }
    )
    if varied.objects is not None:
        label = label_of_pixels(varied.objects, (row.width, row.height), task)
        result.labels.append({"id": id_, "label": label})
    result.sources.extend({"id": id_, "source": source} for source in varied.sources)


def _rng(seed: int, source: str, variant: int) -> np.random.Generator:
    """Return a generator that depends on configured seed, source and variant alone."""
    return np.random.default_rng(draws.number("cia-vary", seed, source, variant))
