"""Warped condition maps: all of a map is turned, scaled, moved and bent, its objects with it."""

from collections.abc import Callable

import numpy as np

from cia.images import load_image
from cia.labels.objects import Object
from cia.variations.geometry import Warp, draw_warp, followed, moved_object, warp_map
from cia.variations.varying import Varied

STRENGTHS = (1.0,) * 12 + (0.5, 0.25, 0.125, 0.0)
"""Warps to try until every object is visible enough; the last moves nothing out of the picture."""


def varier(maps, objects, settings, interpolation) -> Callable[..., Varied]:
    """Return the function that warps one map (`cia.variations.varying.Varier`)."""

    def vary(row, rng) -> Varied:
        image, size = load_image(row.image), (row.width, row.height)
        own = None if objects is None else objects[row.id]
        warp, moved = _fitting_warp(rng, settings, image, own, size, interpolation)
        warped = warp_map(image, warp, interpolation)
        return Varied(warped, moved, row.found if warped.any() else 0, [row.id])

    return vary


def _fitting_warp(
    rng, settings, image, objects, size, interpolation
) -> tuple[Warp, list[Object] | None]:
    """Draw warps, weaker ones in the end, until enough of every object is in the picture."""
    flip_idx = settings.get("labels", {}).get("flip_idx")
    if objects is None:  # the object of a classification is whatever the map draws
        rows, columns = np.nonzero(image.any(axis=2))
        drawn = np.column_stack([columns, rows]) + 0.5
    else:
        points = [followed(image, one, interpolation) for one in objects]
    for strength in STRENGTHS:
        warp = draw_warp(rng, settings, (0, 0, *size), strength)
        if objects is None:
            found, shares = None, [_share_inside(warp.forward(drawn), size)]
        else:
            moved = [
                moved_object(*pair, warp, size, flip_idx)
                for pair in zip(objects, points, strict=True)
            ]
            found, shares = [one for one, _ in moved], [visible for _, visible in moved]
        if all(share >= settings["min_visible"] for share in shares):
            break
    return warp, found


def _share_inside(points: np.ndarray, size: tuple[int, int]) -> float:
    inside = np.all((points >= 0) & (points <= size), axis=1)
    return float(inside.mean()) if len(inside) else 1.0
