"""The size of a condition map, which is the size that generation will use."""

import math
from collections.abc import Mapping, Sequence

from cia.errors import UserError


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
        If the resolution is below the multiple.
    """
    if not isinstance(size, Mapping):
        return size[0], size[1]
    resolution, multiple = size["resolution"], size.get("multiple", 64)
    if resolution < multiple:
        raise UserError(f"size: resolution {resolution} is below the multiple of {multiple}")
    scale = resolution / math.sqrt(width * height)
    return _nearest(width * scale, multiple), _nearest(height * scale, multiple)


def _nearest(side: float, multiple: int) -> int:
    """Round half up, so that equal sides stay equal whatever their parity."""
    return max(1, math.floor(side / multiple + 0.5)) * multiple
