"""The page and the sheet of a look at a dataset."""

import base64
import html
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cia.images import load_reduced, resize_image
from cia.labels.objects import parse_objects
from cia.reporting.look import Split, chosen_pictures, counted
from cia.reporting.overlays import draw_objects
from cia.reporting.pages import Heading, Markup, Part, Table, format_number, html_page
from cia.reporting.sheets import LabelForm, Tile, draw_sheet, read_label
from cia.reporting.style import text_chunks

_ON_PAGE = {"train": 24, "val": 12, "test": 12}
"""Pictures that the page shows of each split."""

_ROWS, _COLUMNS = {"train": 3, "val": 2, "test": 2}, 5
"""Rows of the sheet of each split, and pictures in each."""

_EDGE, _SMALL_EDGE = 300, 200
"""Pixels of a picture's longer side on the page; of those of pairs, and with a bad label."""

_PAIRS, _UNLABELED = 12, 12
_LISTED = 100
"""Rejected files that the page lists."""

_SIZES = 8
_QUALITY = 78

_AREAS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.01)
"""Edges of the classes of areas, as shares of the picture."""

_COUNTS = (0, 1, 2, 3, 4, 5, 10, 20)
"""Where classes of numbers of objects begin."""

_STYLE = """
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(13rem, 45%), 1fr));
  gap: .9rem .7rem; align-items: start }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .4rem; margin: 0; align-items: start;
  border-top: 2px solid var(--line); padding-top: .4rem }
.pair b { grid-column: 1 / -1 }
figure { margin: 0; min-width: 0 }
figure img { display: block; width: 100%; height: auto; border-radius: 3px }
figcaption { font-size: .8rem; line-height: 1.35; color: var(--muted); overflow-wrap: anywhere;
  margin-top: .2rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr));
  gap: 1.2rem 2rem }
.chart h3 { font-size: .9rem; margin: 0 0 .3rem }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .15rem .6rem;
  font-size: .85rem; align-items: center; font-variant-numeric: tabular-nums; margin: 0 }
.bars i { display: block; height: .8em; background: #0072b2; border-radius: 0 2px 2px 0;
  min-width: 1px }
.bars span:nth-child(3n) { text-align: right; color: var(--muted) }
.classes { max-height: 30rem; overflow-y: auto }
td { overflow-wrap: anywhere }
li { color: var(--ink) }
@media (prefers-color-scheme: dark) { .bars i { background: #4aa8e0 } }
"""


def write_look(
    page: str | Path,
    sheet: str | Path,
    dataset: str,
    splits: Sequence[Split],
    form: LabelForm,
    points: Sequence[str],
    pairs: Sequence[Mapping],
) -> None:
    """Write what there is to see of a dataset: a page, and a sheet of pictures with their labels.

    Parameters
    ----------
    page, sheet : path
        HTML, all in one file, and PNG.
    dataset : str
        Its name.
    splits : sequence of Split
    form : LabelForm
    points : sequence of str
        What stands out, see `cia.reporting.look.points_of`.
    pairs : sequence of mapping
        Rows of a table of near-duplicates.
    """
    parts: list[Part] = [_in_a_sentence(splits, form)]
    parts += [list(points) or "Nothing stands out: all pictures and labels can be used."]
    parts += _pictures(splits, form)
    parts += [Heading("Classes"), *_class_table(splits, form)]
    parts += [Heading("Sizes"), _charts(splits, form)]
    parts += _near_duplicates(pairs)
    parts += _rejected(splits, f"data/real/{dataset}/")
    text = html_page(f"A look at {dataset}", parts, _STYLE)
    Path(page).write_text(text, encoding="utf-8")
    _write_sheet(sheet, dataset, splits, form)


def _in_a_sentence(splits: Sequence[Split], form: LabelForm) -> str:
    numbers = ", ".join(f"{format_number(len(split.pictures))} in {split.name}" for split in splits)
    objects = sum(sum(split.classes.values()) for split in splits)
    words = f"{counted(sum(len(split.pictures) for split in splits), 'picture')} ({numbers})"
    if form.task != "classification":
        words += f" with {counted(objects, 'object')}"
    return f"{words} for {form.task}."


def _pictures(splits: Sequence[Split], form: LabelForm) -> list[Part]:
    parts: list[Part] = []
    for split in splits:
        rows = chosen_pictures(split, _ON_PAGE[split.name])
        if rows:
            shown = "all" if len(rows) == len(split.labels) else f"{len(rows)} of"
            heading = f"{split.name}: {shown} {counted(len(split.labels), 'labeled picture')}"
            figures = [_figure(row, split.labels[row["id"]], form) for row in rows]
            parts += [Heading(heading), Markup(_grid(figures))]
        if unlabeled := _unlabeled(split):
            parts += [Heading(f"{split.name}: labels that can't be used"), Markup(_grid(unlabeled))]
    return parts


def _unlabeled(split: Split) -> list[str]:
    """Return the first pictures whose labels are rejected, with the reasons."""
    pictures = {row["id"]: row for row in split.pictures}
    found = [
        (pictures[Path(row["file"]).stem], row["reason"])
        for row in split.rejected_labels
        if Path(row["file"]).stem in pictures
    ]
    return [
        _framed(picture["image"], _small(picture["image"], _SMALL_EDGE), picture["id"], reason)
        for picture, reason in found[:_UNLABELED]
    ]


def _figure(row: Mapping, label: str, form: LabelForm) -> str:
    image = _small(row["image"], _EDGE)
    if form.task != "classification":
        objects = parse_objects(label, form.task, form.kpt_shape)
        image = draw_objects(image, objects, form.classes, form.skeleton)
    name, _ = read_label(label, form)
    words = [name or ("" if label else "no object"), row["caption"]]
    return _framed(row["image"], image, row["id"], ": ".join(filter(None, words)))


def _framed(path: str, image: np.ndarray, name: str, words: str) -> str:
    title = html.escape(f"{path}", quote=True)
    caption = f"<b>{html.escape(name)}</b>" + (f"<br>{html.escape(_cut(words))}" if words else "")
    return (
        f'<figure title="{title}"><img alt="{html.escape(name, quote=True)}" src="{_url(image)}" '
        f'width="{image.shape[1]}" height="{image.shape[0]}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _cut(words: str, most: int = 160) -> str:
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def _small(path: str, edge: int) -> np.ndarray:
    """Load a picture with a longer side of about `edge`: small ones are enlarged in whole steps."""
    image = load_reduced(path, edge)
    longer = max(image.shape[:2])
    if 2 * longer <= edge:
        times = edge // longer
        return image.repeat(times, axis=0).repeat(times, axis=1)
    if longer <= edge:
        return image
    height, width = (max(1, round(side * edge / longer)) for side in image.shape[:2])
    return resize_image(image, (width, height))


def _url(image: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", quality=_QUALITY, method=2)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def _grid(figures: Iterable[str]) -> str:
    return '<div class="pictures">' + "\n".join(figures) + "</div>"


def _class_table(splits: Sequence[Split], form: LabelForm) -> list[Part]:
    names = [split.name for split in splits]
    rows = [
        [name, *(format_number(split.classes.get(name, 0)) for split in splits)]
        for name in form.classes
    ]
    if form.task != "classification":
        without = [sum(not label for label in split.labels.values()) for split in splits]
        rows.append(["(pictures without objects)", *map(format_number, without)])
    what = "Pictures" if form.task == "classification" else "Objects"
    table = Table(["class", *names], rows, range(1, len(names) + 1))
    return [f"{what} of each class and split.", table]


def _charts(splits: Sequence[Split], form: LabelForm) -> Markup:
    pictures = [row for split in splits for row in split.pictures]
    sizes = Counter((row["width"], row["height"]) for row in pictures)
    charts = [_bars("Pictures by width and height", _size_classes(sizes))]
    if form.task != "classification":
        labels = [label for split in splits for label in split.labels.values()]
        objects = [parse_objects(label, form.task, form.kpt_shape) for label in labels]
        boxes = [one.box for some in objects for one in some]
        areas = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
        charts.append(_bars("Objects by their box's share of the picture", _area_classes(areas)))
        charts.append(_bars("Pictures by number of objects", _count_classes(map(len, objects))))
    return Markup('<div class="charts">' + "\n".join(charts) + "</div>")


def _size_classes(sizes: Counter) -> list[tuple[str, int]]:
    """Return the most frequent sizes, or classes of the longer side where there are many."""
    if len(sizes) <= _SIZES:
        return [(f"{width} x {height}", sizes[width, height]) for width, height in sorted(sizes)]
    longer = np.array([max(size) for size in sizes.elements()])
    edges = np.unique(np.histogram_bin_edges(longer, _SIZES).round().astype(int))
    counts, _ = np.histogram(longer, [*edges[:-1], edges[-1] + 1])
    names = [f"longer side {low} - {high}" for low, high in zip(edges, edges[1:], strict=False)]
    return list(zip(names, counts.tolist(), strict=True))


def _area_classes(areas: Sequence[float]) -> list[tuple[str, int]]:
    counts, _ = np.histogram(np.array(areas, dtype=np.float64), _AREAS)
    words = [f"{100 * edge:g} %" for edge in _AREAS]
    names = [f"{low} - {high}" for low, high in zip(words[1:-2], words[2:-1], strict=True)]
    return list(zip([f"< {words[1]}", *names, f"> {words[-2]}"], counts.tolist(), strict=True))


def _count_classes(numbers: Iterable[int]) -> list[tuple[str, int]]:
    counts, _ = np.histogram(list(numbers), [*_COUNTS, np.inf])
    names = [
        str(low) if high == low + 1 else f"{low} - {high - 1}"
        for low, high in zip(_COUNTS, _COUNTS[1:], strict=False)
    ]
    return list(zip([*names, f"{_COUNTS[-1]} or more"], counts.tolist(), strict=True))


def _bars(title: str, classes: Sequence[tuple[str, int]]) -> str:
    most = max((count for _, count in classes), default=0) or 1
    rows = "".join(
        f"<span>{html.escape(name)}</span>"
        + (
            f'<span><i style="width:{100 * count / most:.1f}%"></i></span>'
            if count
            else "<span></span>"
        )
        + f"<span>{format_number(count)}</span>"
        for name, count in classes
    )
    return f'<div class="chart"><h3>{html.escape(title)}</h3><div class="bars">{rows}</div></div>'


def _near_duplicates(pairs: Sequence[Mapping]) -> list[Part]:
    if not pairs:
        return [Heading("Near-duplicates"), "No two pictures are nearly the same."]
    ranked = sorted(pairs, key=lambda pair: pair["split"] == pair["other_split"])
    across = sum(pair["split"] != pair["other_split"] for pair in pairs)
    words = (
        f"{counted(len(pairs), 'pair')} of pictures that are nearly the same, {across} of them in "
        "different splits. The number is the correlation of their details."
    )
    if len(pairs) > _PAIRS:
        words += f" The first {_PAIRS} are shown; near_duplicates.csv has all."
    return [
        Heading("Near-duplicates"),
        words,
        Markup('<div class="pairs">' + "\n".join(map(_pair, ranked[:_PAIRS])) + "</div>"),
    ]


def _pair(pair: Mapping) -> str:
    figures = [
        _framed(pair[file], _small(pair[file], _SMALL_EDGE), os.path.basename(pair[file]), pair[of])
        for file, of in (("file", "split"), ("other_file", "other_split"))
    ]
    return f'<div class="pair"><b>{pair["likeness"]:.2f}</b>{"".join(figures)}</div>'


def _rejected(splits: Sequence[Split], folder: str) -> list[Part]:
    rows = rejected_rows(splits)
    if not rows:
        return []
    words = f"{counted(len(rows), 'file')} that would be left out, or that belong to no picture."
    if len(rows) > _LISTED:
        words += f" The first {_LISTED} are listed; rejected.csv has all."
    cells = [[row["file"].removeprefix(folder), row["reason"]] for row in rows[:_LISTED]]
    return [Heading("Rejected"), words, Table(["file", "reason"], cells)]


def rejected_rows(splits: Sequence[Split]) -> list[dict]:
    """Return file and reason of all that is rejected, split by split."""
    return [row for split in splits for row in [*split.rejected, *split.rejected_labels]]


def _write_sheet(path, dataset: str, splits: Sequence[Split], form: LabelForm) -> None:
    rows = []
    for split in splits:
        pictures = chosen_pictures(split, _ROWS[split.name] * _COLUMNS)
        tiles = [_tile(row, split.labels[row["id"]], form) for row in pictures]
        for start in range(0, len(tiles), _COLUMNS):
            rows.append(("" if start else split.name, tiles[start : start + _COLUMNS]))
    title = f"A look at {dataset}"
    about = text_chunks(title, [f"data/real/{dataset}"])
    draw_sheet(path, title, _in_a_sentence(splits, form), rows, about, form, ())


def _tile(row: Mapping, label: str, form: LabelForm) -> Tile:
    name, objects = read_label(label, form)
    return Tile(row["image"], name, row["id"], objects)
