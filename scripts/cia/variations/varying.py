"""Varied condition maps of a whole set: other geometry than the real pictures', with its labels."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cia import draws
from cia.errors import UserError
from cia.files import digest_file, remove_strays
from cia.images import load_image, save_png
from cia.labels.lines import Box
from cia.labels.reading import Objects, read_objects, write_objects
from cia.planning.plans import variant_id
from cia.progress import Progress
from cia.variations.recombining import Piece, collect_pieces, compose, erase, lay_out
from cia.variations.warping import Warp, draw_warp, enlarged, outline, warp_map, warped_box

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("cia")

STRENGTHS = (1.0,) * 12 + (0.5, 0.25, 0.125, 0.0)
"""Warps to try until every object is visible enough; the last moves nothing out of the picture."""
MAPS_IN_MEMORY = 256


class Varied(NamedTuple):
    """A varied map: the picture, its objects (None: a classification), and what it comes from.

    `sources` are the real pictures of which it shows something, the varied one first.
    """

    image: np.ndarray
    objects: Objects | None
    found: int
    sources: list[str]


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
    resampling: str,
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
        A picture without label is rejected, since the boxes of its variants would be unknown.
    folder : path
        Where the maps go, into images/; other PNGs there are deleted.
    settings : mapping
        An entry of `variations` in the config.
    resampling : {"lines", "linear", "nearest"}
        How maps of this kind are moved; see `cia.variations.warping.warp_map`.
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
    objects = None
    if labels is not None:
        objects = {
            row.id: read_objects(labels[row.id], (row.width, row.height))
            for row in maps.itertuples()
            if row.id in labels
        }
    vary = _KINDS[settings["kind"]](maps, objects, settings, resampling)
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
                _enter(result, row, id_, variant, varied, images)
    if not result.manifest:
        raise UserError(
            f"None of {len(maps)} condition maps could be varied; the first because: "
            f"{result.rejected[0]['reason'] if result.rejected else 'there is none'}"
        )
    remove_strays(images, [f"{row['id']}.png" for row in result.manifest], ".png")
    return result


def _enter(result: Varieties, row, id_: str, variant: int, varied: Varied, images: Path) -> None:
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
        label = write_objects(varied.objects, (row.width, row.height))
        result.labels.append({"id": id_, "label": label})
    result.sources.extend({"id": id_, "source": source} for source in varied.sources)


def _warper(maps, objects, settings, resampling) -> Callable[..., Varied]:
    """Return the function that warps one map."""

    def vary(row, rng) -> Varied:
        image, size = load_image(row.image), (row.width, row.height)
        own = None if objects is None else objects[row.id]
        warp, boxes = _fitting_warp(rng, settings, image, own, size, resampling)
        moved = own and [(index, box) for (index, _), box in zip(own, boxes, strict=True)]
        warped = warp_map(image, warp, resampling)
        return Varied(warped, moved, row.found if warped.any() else 0, [row.id])

    return vary


def _fitting_warp(rng, settings, image, objects, size, resampling) -> tuple[Warp, list[Box]]:
    """Draw warps, weaker ones in the end, until enough of every object is in the picture."""
    if objects is None:  # the object of a classification is whatever the map draws
        rows, columns = np.nonzero(image.any(axis=2))
        drawn = np.column_stack([columns, rows]) + 0.5
    else:
        outlines = [outline(image, box, resampling) for _, box in objects]
    for strength in STRENGTHS:
        warp = draw_warp(rng, settings, (0, 0, *size), strength)
        if objects is None:
            found, shares = [], [_share_inside(warp.forward(drawn), size)]
        else:
            pairs = [warped_box(points, warp, size) for points in outlines]
            found, shares = [box for box, _ in pairs], [visible for _, visible in pairs]
        if all(share >= settings["min_visible"] for share in shares):
            break
    return warp, found


def _share_inside(points: np.ndarray, size: tuple[int, int]) -> float:
    inside = np.all((points >= 0) & (points <= size), axis=1)
    return float(inside.mean()) if len(inside) else 1.0


def _recombiner(maps, objects, settings, resampling) -> Callable[..., Varied | str]:
    """Return the function that makes one new layout, or says why it can't."""
    paths = dict(zip(maps["id"], maps["image"], strict=True))
    margin, limit = settings["margin"], settings["max_overlap"]
    load = lru_cache(MAPS_IN_MEMORY)(lambda source: load_image(paths[source]))
    pieces: list[Piece] = []
    for row in maps.sort_values("id").itertuples():
        own = objects.get(row.id, [])
        pieces += collect_pieces(row.id, own, (row.width, row.height), margin, limit)
    logger.info("%d pieces of %d objects", len(pieces), sum(map(len, objects.values())))

    def vary(row, rng) -> Varied | str:
        size, own = (row.width, row.height), objects[row.id]
        count = len(own)
        if settings["objects"]:
            count = int(rng.integers(*settings["objects"], endpoint=True))
        layout = []
        if count and pieces:
            layout = lay_out(rng, pieces, count, size, settings, load, resampling)
        if count and not layout:
            return "no piece of a condition map fits in it (see variations: max_overlap, scale)"
        canvas = np.zeros((row.height, row.width, 3), dtype=np.uint8)
        if settings["background"] == "source":
            areas = [enlarged(box, margin, size) for _, box in own]
            canvas = erase(load(row.id), areas, resampling)
        image = compose(canvas, layout, load, resampling)
        sources = dict.fromkeys([row.id, *(placed.piece.source for placed in layout)])
        placed = [(one.piece.index, one.box) for one in layout]
        return Varied(image, placed, len(placed), list(sources))

    return vary


_KINDS = {"warp": _warper, "recombine": _recombiner}


def _rng(seed: int, source: str, variant: int) -> np.random.Generator:
    """Return a generator that depends on configured seed, source and variant alone."""
    return np.random.default_rng(draws.number("cia-vary", seed, source, variant))
