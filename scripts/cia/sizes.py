"""The size of a condition map, which is the size that generation will use."""

import math
from collections.abc import Mapping, Sequence

from cia.errors import UserError

STEP = 8
"""Sides must be multiples of this: the VAE of Stable Diffusion and its kin scales down by 8."""


def target_size(
    width: int, height: int, size: Sequence[int] | Mapping[str, int]
) -> tuple[int, int]:
    """Return the size at which a picture's variants will be generated.

    Parameters
    ----------
    width, height : int
        The real picture's size in pixels.
    size : sequence or mapping
        `[width, height]`, the same for all pictures; or `{resolution: r, multiple: m}`, which
        keeps the picture's aspect: the area is about r x r pixels, and each side is the nearest
        multiple of m (at least m).

    Returns
    -------
    tuple of int
        Width and height in pixels, multiples of 8.

    Raises
    ------
    UserError
        If `size` is neither, or its numbers can't be sides of a generated picture.
    """
    if isinstance(size, Mapping):
        resolution, multiple = _resolution(size)
        scale = resolution / math.sqrt(width * height)
        return _nearest(width * scale, multiple), _nearest(height * scale, multiple)
    if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 2:
        raise UserError(_explain(size))
    for side in size:
        _check(side, size)
    return int(size[0]), int(size[1])


def _resolution(size: Mapping[str, int]) -> tuple[int, int]:
    if set(size) - {"resolution", "multiple"} or "resolution" not in size:
        raise UserError(_explain(size))
    resolution, multiple = size["resolution"], size.get("multiple", 64)
    _check(multiple, size)
    if not _is_count(resolution) or resolution < multiple:
        raise UserError(f"size: resolution {resolution!r} is not an integer of at least {multiple}")
    return resolution, multiple


def _nearest(side: float, multiple: int) -> int:
    """Round half up, so that equal sides stay equal whatever their parity."""
    return max(1, math.floor(side / multiple + 0.5)) * multiple


def _check(side: object, size: object) -> None:
    if not _is_count(side) or side % STEP:
        raise UserError(f"{_explain(size)}; {side!r} is not a positive multiple of {STEP}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _explain(size: object) -> str:
    return f"size: {size!r} is neither [width, height] nor {{resolution: 512, multiple: 64}}"
