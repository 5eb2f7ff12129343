"""Labels drawn over their pictures: boxes, masks, keypoints with their skeleton, class names."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from cia.labels.masks import rasterize
from cia.labels.objects import Object
from cia.labels.shapes import labeled

COLORS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#0072B2", "#D55E00")
"""Okabe and Ito's colors for all kinds of color vision, for classes in turn; less the black."""
OPACITY = 0.45
"""Of a mask's filling."""
_BOX, _HALO = "#FFFFFF", "#000000"
_TAG = 11
"""Height of a class name's letters in pixels."""

Area = tuple[int, int, int, int]
"""Left, top, width and height in pixels of where a picture is on a canvas."""


def draw_objects(
    image: np.ndarray,
    objects: Sequence[Object],
    names: Sequence[str],
    skeleton: Sequence[Sequence[int]] | None = None,
) -> np.ndarray:
    """Return a picture with its objects drawn over it.

    An object with a polygon has its mask half transparent, with an outline, in its class's color;
    one with keypoints its box, the skeleton's lines in that color, and a dot for each keypoint,
    hollow if it is hidden; any other its box. An object that is the whole picture, as the one of a
    classification is, has its class name alone.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 RGB, shape (height, width, 3). Not changed. Enlarge a small one first: lines and
        letters are of a few pixels whatever its size.
    objects : sequence of Object
        In shares of the picture's sides.
    names : sequence of str
        Class names in index order.
    skeleton : sequence of pairs of int, optional
        The keypoints that lines join.

    Returns
    -------
    numpy.ndarray
        uint8, of the same shape.
    """
    canvas = Image.fromarray(image)
    paint_objects(canvas, objects, names, skeleton, (0, 0, *canvas.size))
    return np.asarray(canvas)


def paint_objects(
    canvas: Image.Image,
    objects: Sequence[Object],
    names: Sequence[str],
    skeleton: Sequence[Sequence[int]] | None,
    area: Area,
) -> None:
    """Do what `draw_objects` does on the part of a canvas where the picture is."""
    for one in objects:
        if one.polygon is not None:
            _paint_mask(canvas, one, area)
    draw = ImageDraw.Draw(canvas)
    boxed = [one for one in objects if one.polygon is None and not _is_whole(one)]
    for one in boxed:
        _draw_box(draw, _corners(one, area))
    for one in objects:
        if one.keypoints is not None:
            _draw_pose(draw, one, skeleton or (), area)
    for one in objects:
        _draw_tag(draw, names[int(one.index)], _corners(one, area), area)


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: the same letters on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / name, size, layout_engine=ImageFont.Layout.BASIC)


def shorten(line: str, letters: ImageFont.FreeTypeFont, width: int) -> str:
    """Cut a line to at most `width` pixels, with an ellipsis."""
    while len(line) > 1 and letters.getlength(line) > width:
        line = line[:-2].rstrip(" ,;") + "…"
    return line


def _is_whole(one: Object) -> bool:
    return one.box == (0.0, 0.0, 1.0, 1.0) and one.keypoints is None


def _color(one: Object) -> str:
    return COLORS[int(one.index) % len(COLORS)]


def _stroke(area: Area) -> int:
    """Pixels of a line, by the picture's longer side."""
    return max(1, round(max(area[2:]) / 350))


def _paint_mask(canvas: Image.Image, one: Object, area: Area) -> None:
    """Fill and outline the pixels of a mask; bridges between its rings are none of them."""
    left, top, width, height = area
    where = (left, top, left + width, top + height)
    pixels = np.asarray(canvas.crop(where), dtype=np.float64)
    mask = rasterize(one.polygon, width, height)
    color = np.array(ImageColor.getrgb(_color(one)), dtype=np.float64)
    inner = mask
    for _ in range(_stroke(area) + 1):
        inner = _eroded(inner)
    pixels[inner] = (1 - OPACITY) * pixels[inner] + OPACITY * color
    pixels[mask & ~inner] = color
    canvas.paste(Image.fromarray(pixels.round().astype(np.uint8)), where[:2])


def _eroded(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    sides = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    return mask & np.logical_and.reduce(sides)


def _corners(one: Object, area: Area) -> list[int]:
    """Return the pixels of a box's inner outline: left, top, right, bottom."""
    left, top, width, height = area
    x0, y0, x1, y1 = one.box
    ends = left + x0 * width, top + y0 * height, left + x1 * width - 1, top + y1 * height - 1
    return [round(end) for end in ends]


def _draw_box(draw, corners: Sequence[int]) -> None:
    draw.rectangle(corners, outline=_HALO, width=1)
    draw.rectangle(_outer(corners), outline=_BOX, width=1)


def _outer(corners: Sequence[int]) -> list[int]:
    return [corners[0] - 1, corners[1] - 1, corners[2] + 1, corners[3] + 1]


def _draw_pose(draw, one: Object, skeleton: Sequence[Sequence[int]], area: Area) -> None:
    left, top, width, height = area
    points = (one.keypoints[:, :2] * (width, height) + (left, top) - 0.5).tolist()
    shown, stroke = labeled(one.keypoints), _stroke(area)
    for start, end in skeleton:
        if shown[start] and shown[end]:
            ends = [*points[start], *points[end]]
            draw.line(ends, fill=_HALO, width=stroke + 3)
            draw.line(ends, fill=_color(one), width=stroke + 1)
    radius = stroke + 2
    for (x, y), numbers, is_shown in zip(points, one.keypoints, shown, strict=True):
        if is_shown:
            hidden = len(numbers) == 3 and numbers[2] == 1
            around = (x - radius, y - radius, x + radius, y + radius)
            fill, edge = (_HALO, _color(one)) if hidden else (_color(one), _HALO)
            draw.ellipse(around, fill=fill, outline=edge, width=stroke)


def _draw_tag(draw, name: str, corners: Sequence[int], area: Area) -> None:
    """Write a class name on the box's upper edge, inside the picture."""
    box, letters = _outer(corners), font(_TAG)
    name = shorten(name, letters, area[2] - 4)
    width = round(letters.getlength(name)) + 4
    left = min(max(box[0], area[0]), area[0] + area[2] - width)
    top = max(box[1] - 13, area[1])
    draw.rectangle((left, top, left + width - 1, top + 13), fill=_HALO)
    draw.text((left + 2, top), name, font=letters, fill="white")
