"""Side-by-side sheets: real picture, condition map, and the synthetic images made from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from cia.images import load_image, resize_image, save_png
from cia.labels.objects import Object, parse_objects
from cia.reporting.overlays import font, paint_objects, shorten
from cia.reporting.pages import format_number
from cia.reporting.style import DROPPED, FAINT, INK, KEPT, MUTED

WIDTH = 1140
"""Most pixels that a sheet is wide, so that it reads at the width of a README."""
MARGIN, GAP, GUTTER = 18, 12, 78
"""Pixels around the sheet, between tiles, and, at least, left of them for the rows' names."""
FRAME = 3
"""Pixels of the frame around a synthetic image."""
TALLEST = 1.5
"""Height of a tile over its width, at most."""
PROMPT_LINES = 4
SHARED_MAPS = (("real", 1), ("condition", 1), ("synthetic", 1), ("more variants", 99))
OWN_MAPS = (("real", 1), *(("condition", 1), ("synthetic", 1)) * 3)
"""Headers of the columns of a sheet, with how many each spans at most; the second is for sets
in which each variant has a condition map of its own."""


class LabelForm(NamedTuple):
    """What a dataset's labels are: its task, its class names in index order, and of a pose more.

    `kpt_shape` is the number of keypoints and of numbers of each; `skeleton` the pairs of keypoints
    that lines join.
    """

    task: str
    classes: Sequence[str]
    kpt_shape: Sequence[int] | None = None
    skeleton: Sequence[Sequence[int]] | None = None


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet.

    Attributes
    ----------
    image : str
        Path.
    head : str
        Short line right under the picture: class or score.
    text : str
        Caption or prompt under it.
    objects : sequence of Object
        In shares of the picture's sides.
    kept : bool or None
        Whether the selection kept it; None for a picture that it does not judge.
    """

    image: str
    head: str = ""
    text: str = ""
    objects: Sequence[Object] = ()
    kept: bool | None = None


def sample_rows(images: pd.DataFrame, count: int) -> list[dict]:
    """Choose synthetic images spread evenly over the ranks, each of another real picture.

    The best and the worst are always among them. Without scores, real pictures are spread evenly
    over their ids.

    Parameters
    ----------
    images : pandas.DataFrame
        id, source, variant, rank (from 1, the best; NaN if there is none).
    count : int
        How many, at most.

    Returns
    -------
    list of dict
        id, source, rank (from 1; None without scores) and of (number of ranked images), best first.
    """
    ranked = images.dropna(subset="rank").sort_values("rank")
    if ranked.empty:
        first = images.sort_values(["source", "variant"]).drop_duplicates("source")
        places = np.unique(np.linspace(0, len(first) - 1, min(count, len(first))).round())
        chosen = first.iloc[places.astype(int)] if len(first) else first
        pairs = zip(chosen["id"], chosen["source"], strict=True)
        return [{"id": id_, "source": source, "rank": None, "of": 0} for id_, source in pairs]
    places = _spread_places(ranked["source"].tolist(), count)
    return [
        {
            "id": ranked["id"].iloc[place],
            "source": ranked["source"].iloc[place],
            "rank": place + 1,
            "of": len(ranked),
        }
        for place in places
    ]


def _spread_places(sources: Sequence[str], count: int) -> list[int]:
    """Choose places in a ranking, evenly spread, no source twice; the two ends have priority."""
    wanted = np.linspace(0, len(sources) - 1, count).round().astype(int).tolist()
    chosen: list[int] = []
    taken: set[str] = set()
    for place in [*wanted[:1], *wanted[:0:-1]]:
        free = [near for near in range(len(sources)) if sources[near] not in taken]
        if free:
            nearest = min(free, key=lambda near: (abs(near - place), near))
            chosen.append(nearest)
            taken.add(sources[nearest])
    return sorted(chosen)


def sheet_rows(
    images: pd.DataFrame,
    sample: Sequence[Mapping],
    real: pd.DataFrame,
    labels: Mapping[str, Mapping[str, str]],
    form: LabelForm,
    variants: int,
) -> list[tuple[str, list[Tile]]]:
    """Turn chosen images into named rows of tiles.

    Parameters
    ----------
    images : pandas.DataFrame
        Every synthetic image: id, source, variant, prompt, condition, image, score, kept.
    sample : sequence of mapping
        What `sample_rows` chose.
    real : pandas.DataFrame
        Manifest of the real training images.
    labels : mapping
        `real` and `synthetic`: id to label.
    form : LabelForm
    variants : int
        Synthetic images per row, at most: the chosen one, then others of the same real picture;
        where each has a condition map of its own, which stands beside it, about half as many.

    Returns
    -------
    list of (str, list of Tile)
    """
    pictures = real.set_index("id")
    families = dict(tuple(images.groupby("source", sort=False)))
    paired = has_own_maps(images)
    rows = []
    for item in sample:
        family = families[item["source"]].sort_values("variant")
        chosen = family["id"] == item["id"]
        family = pd.concat([family[chosen], family[~chosen]])
        family = family.head((variants + 1) // 2 if paired else variants)  # as many tiles
        picture = pictures.loc[item["source"]]
        label = labels["real"].get(item["source"], "")
        head, objects = read_label(label, form)
        tiles = [Tile(picture["image"], head, picture["caption"], objects)]
        for number, image in enumerate(family.to_dict("records")):
            if not number or paired:
                tiles.append(Tile(image["condition"]))
            _, objects = read_label(labels["synthetic"].get(image["id"], ""), form)
            score = format_number(image["score"]) if np.isfinite(image["score"]) else ""
            tiles.append(Tile(image["image"], score, image["prompt"], objects, image["kept"]))
        rows.append((_row_name(item), tiles))
    return rows


def has_own_maps(images: pd.DataFrame) -> bool:
    """Say whether variants of one real picture (column source) come from maps of their own."""
    return bool((images.groupby("source")["condition"].nunique() > 1).any())


def _row_name(item: Mapping) -> str:
    if item["rank"] is None:
        return ""
    name = {1: "best", item["of"]: "worst"}.get(item["rank"], "")
    return f"{name}\nrank {item['rank']}\nof {item['of']}".strip()


def read_label(label: str, form: LabelForm) -> tuple[str, list[Object]]:
    """Return a label's class name (of a picture with one class), and the objects to draw."""
    if form.task == "classification":
        return (form.classes[int(label)] if label else ""), []
    return "", parse_objects(label, form.task, form.kpt_shape)


def draw_sheet(
    path: str | Path,
    title: str,
    subtitle: str,
    rows: Sequence[tuple[str, Sequence[Tile]]],
    about: dict[str, str],
    form: LabelForm,
    headers: Sequence[tuple[str, int]] = SHARED_MAPS,
) -> None:
    """Draw rows of tiles as one PNG, under headers with the number of columns that each spans.

    Small pictures are enlarged by whole factors without smoothing, so that every pixel shows;
    others are resized with Lanczos filters.
    """
    columns = max((len(tiles) for _, tiles in rows), default=3)
    pictures = [[load_image(tile.image) for tile in tiles] for _, tiles in rows]
    gutter = _gutter([name for name, _ in rows])
    width = _tile_width(pictures, (WIDTH - 2 * MARGIN - gutter - GAP * (columns - 1)) // columns)
    drawn = [
        _draw_row(row, images, width, gutter, form)
        for row, images in zip(rows, pictures, strict=True)
    ]
    full = 2 * MARGIN + gutter + columns * width + (columns - 1) * GAP
    header = _draw_header(title, subtitle, headers, columns, width, gutter, full)
    sheet = Image.new("RGB", (full, header.height + sum(row.height for row in drawn)), "white")
    top = 0
    for part in [header, *drawn]:
        sheet.paste(part, (0, top))
        top += part.height
    save_png(path, sheet, about)


def _gutter(names: Sequence[str]) -> int:
    lines = [line for name in names for line in name.split("\n") if line]
    if not lines:
        return 0
    return max(GUTTER, *(int(font(14).getlength(line)) + GAP for line in lines))


def _tile_width(pictures: Sequence[Sequence[np.ndarray]], room: int) -> int:
    """Shrink the tiles to a whole multiple of the pictures, if all are of one small width."""
    widths = {image.shape[1] for row in pictures for image in row}
    if len(widths) == 1 and (only := widths.pop()) * 2 <= room:
        return room // only * only
    return room


def _fit(image: np.ndarray, width: int) -> Image.Image:
    height = image.shape[0]
    factor = min(width / image.shape[1], TALLEST * width / height)
    if factor >= 2:
        times = int(factor)
        return Image.fromarray(image.repeat(times, axis=0).repeat(times, axis=1))
    size = max(1, round(image.shape[1] * factor)), max(1, round(height * factor))
    return Image.fromarray(resize_image(image, size))


def _draw_header(title, subtitle, headers, columns, width, gutter, full) -> Image.Image:
    titles = _wrap(title, 18, full - 2 * MARGIN, 2, bold=True)
    subtitles = _wrap(subtitle, 14, full - 2 * MARGIN, 3)
    top = MARGIN + 26 * len(titles)
    height = top + 20 * len(subtitles) + 40
    header = Image.new("RGB", (full, height), "white")
    draw = ImageDraw.Draw(header)
    _write(draw, (MARGIN, MARGIN), titles, 18, INK, 26, bold=True)
    _write(draw, (MARGIN, top), subtitles, 14, MUTED, 20)
    column = 0
    for name, span in headers:
        last = min(column + span, columns)
        if last == column:
            break
        left, right = (MARGIN + gutter + edge * (width + GAP) for edge in (column, last))
        text = _wrap(name, 14, right - GAP - left, 1, bold=True)
        _write(draw, (left, height - 31), text, 14, INK, 20, bold=True)
        draw.line((left, height - 9, right - GAP - 1, height - 9), fill=FAINT, width=2)
        column = last
    return header


def _draw_row(row, images, width: int, gutter: int, form: LabelForm) -> Image.Image:
    name, tiles = row
    fitted = [_fit(image, width) for image in images]
    tallest = max(picture.height for picture in fitted)
    texts = [_wrap(tile.text, 13, width, PROMPT_LINES) for tile in tiles]
    heads = any(tile.head or tile.kept is not None for tile in tiles)
    height = FRAME + tallest + 9 + 21 * heads + 17 * max(map(len, texts)) + 16
    strip = Image.new(
        "RGB", (2 * MARGIN + gutter + len(tiles) * (width + GAP) - GAP, height), "white"
    )
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(name.split("\n")):
        _write(
            draw,
            (MARGIN, FRAME + number * 20),
            [line],
            14,
            MUTED,
            20,
            bold=line in ("best", "worst"),
        )
    for column, (tile, picture, text) in enumerate(zip(tiles, fitted, texts, strict=True)):
        left = MARGIN + gutter + column * (width + GAP)
        area = (left, FRAME, picture.width, picture.height)
        strip.paste(picture, area[:2])
        paint_objects(strip, tile.objects, form.classes, form.skeleton, area)
        _draw_frame(draw, tile, area)
        below = FRAME + tallest + 9
        _draw_head(draw, tile, left, below)
        headed = tile.head or tile.kept is not None
        _write(draw, (left, below + 21 * bool(headed)), text, 13, MUTED, 17)
    return strip


def _draw_frame(draw, tile: Tile, area: tuple[int, int, int, int]) -> None:
    """Frame an image from outside: a full line if it is kept, a dashed one if dropped."""
    if tile.kept is None:
        return
    left, top, right, bottom = area[0], area[1], area[0] + area[2], area[1] + area[3]
    sides = [
        (left - FRAME, top - FRAME, right + FRAME, top),
        (left - FRAME, bottom, right + FRAME, bottom + FRAME),
        (left - FRAME, top - FRAME, left, bottom + FRAME),
        (right, top - FRAME, right + FRAME, bottom + FRAME),
    ]
    for x0, y0, x1, y1 in sides:
        across = x1 - x0 > y1 - y0
        length = x1 - x0 if across else y1 - y0
        dash, step = (length, length) if tile.kept else (9, 15)
        for start in range(0, length, step):
            end = min(start + dash, length)
            part = (x0 + start, y0, x0 + end, y1) if across else (x0, y0 + start, x1, y0 + end)
            color = KEPT if tile.kept else DROPPED
            draw.rectangle((part[0], part[1], part[2] - 1, part[3] - 1), fill=color)


def _draw_head(draw, tile: Tile, left: int, top: int) -> None:
    """Write the score and, as a word and a sign, what became of the image."""
    words = tile.head
    if tile.kept is not None:
        words = f"{words}  {'✓ kept' if tile.kept else '✗ dropped'}".strip()
    color = INK if tile.kept is None else KEPT if tile.kept else DROPPED
    draw.text((left, top), words, font=font(14, bold=True), fill=color)


def _write(draw, corner, lines, size, color, step, bold=False) -> None:
    for number, line in enumerate(lines):
        place = (corner[0], corner[1] + number * step)
        draw.text(place, line, font=font(size, bold), fill=color)


def _wrap(text: str, size: int, width: int, most: int, bold: bool = False) -> list[str]:
    """Break a text into at most `most` lines of at most `width` pixels; an ellipsis if cut."""
    letters = font(size, bold)
    lines, rest = [], text.split()
    while rest and len(lines) < most:
        count = 1
        while count < len(rest) and letters.getlength(" ".join(rest[: count + 1])) <= width:
            count += 1
        lines.append(" ".join(rest[:count]))
        rest = rest[count:]
    if lines and (rest or letters.getlength(lines[-1]) > width):
        lines[-1] = shorten(f"{lines[-1]}…" if rest else lines[-1], letters, width)
    return [shorten(line, letters, width) for line in lines]
