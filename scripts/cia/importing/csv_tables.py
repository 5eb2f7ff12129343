"""CSV tables with a row for each picture or box; ciagen's, too (Filename, Emotion, Dataset)."""

import csv
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from cia.errors import UserError, suggest
from cia.importing.pictures import (
    SPLITS,
    SUFFIXES,
    Description,
    Picture,
    Refused,
    Wanted,
    find_files,
    is_picture,
    name_within,
    one_class,
    ordered,
    require_file,
    require_folder,
    sorted_names,
    split_named,
    strays,
)

_USUAL = {
    "image": ("image", "filename", "file_name", "file", "path", "image_path", "filepath", "img"),
    "label": ("label", "class", "category", "class_name", "emotion", "name"),
    "split": ("split", "subset", "dataset", "set", "partition"),
    "caption": ("caption", "text", "prompt", "description"),
}
"""What columns are called that the config does not name; in any case of letters."""

_BOXES = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)

_NEEDED = ("image", "label")


def describe(settings: Mapping, task: str) -> Description:
    """Return the values in the column of labels, sorted (numbers by value), and the splits."""
    names, splits = set(), set()
    for path, split in _files(settings):
        for _, row in _rows(path, settings):
            names.add(row["label"])
            splits.add(split or split_named(row["split"]))
    return Description(sorted_names(names - {""}), ordered(splits - {""}))


def watch(settings: Mapping) -> list[Path]:
    """Return the tables, and `images` if it is set."""
    return [*(path for path, _ in _files(settings)), *_given(settings)]


def read(settings: Mapping, wanted: Wanted) -> Iterator[Picture | Refused]:
    """Yield a picture for all rows that name it; rows that can't be used are refused.

    In a detection each row is a box; one without numbers says that there is no object.
    """
    if wanted.task not in ("detection", "classification"):
        raise UserError(f"format: csv has boxes and classes, and nothing for {wanted.task}")
    rows: list[dict] = []
    pictures: dict[str, list[dict]] = defaultdict(list)
    for path, split in _files(settings):
        roots = _given(settings) or [path.parent]
        for number, row in _rows(path, settings, wanted):
            place = f"{path}, line {number}"
            if not row["image"]:
                yield Refused(place, "no picture is named", split, True)
            elif row["split"] and not split and not split_named(row["split"]):
                reason = f"split {row['split']!r} is none of {', '.join(SPLITS)}"
                yield Refused(place, f"{row['image']}: {reason}", "", True)
            else:
                row |= {"place": place, "split": split or split_named(row["split"])}
                row["wanted"], row["roots"] = _wanted(row, roots), roots
                rows.append(row)
    files = find_files(row["wanted"] for row in rows)
    for row in rows:
        file = files[row["wanted"]]
        row["name"] = next(filter(None, (_within(file, root) for root in row["roots"])), "")
        pictures[file].append(row)
    for file, rows in pictures.items():
        yield from _pictures(file, rows, settings, wanted)
    for root in _given(settings):
        yield from strays(root, pictures.keys(), "the table")


def _files(settings: Mapping) -> list[tuple[Path, str]]:
    path = settings["path"]
    if isinstance(path, Mapping):
        return [
            (require_file(path[split], f"path.{split}"), split) for split in SPLITS if split in path
        ]
    return [(require_file(path), "")]


def _given(settings: Mapping) -> list[Path]:
    images = settings["images"]
    return [require_folder(images, "images")] if images else []


def _rows(
    path: Path, settings: Mapping, wanted: Wanted | None = None
) -> Iterator[tuple[int, dict]]:
    """Yield each row's line, and its cells: image, label, split, caption, group, box."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=_delimiter(header))
            names = [name.strip() for name in next(reader, [])]
            places = _columns(path, names, settings, wanted)
            for cells in reader:
                if any(cells):
                    yield reader.line_num, _row(cells, places)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: no CSV table in UTF-8: {error}") from error


def _delimiter(header: str) -> str:
    return max(",;\t|", key=header.count)


def _columns(path: Path, names: list[str], settings: Mapping, wanted: Wanted | None) -> dict:
    """Return the place of each column that is used, and of the four of a box."""
    lower = [name.lower() for name in names]
    places = {}
    for key, usual in _USUAL.items():
        if given := settings[key]:
            places[key] = _place(path, key, given, names)
        else:
            places[key] = next((lower.index(name) for name in usual if name in lower), None)
    for key in _NEEDED:
        if places[key] is None:
            raise UserError(f"{path}: set `{key}`, its column, in `source`; {_options(names)}")
    if wanted and wanted.group in names:
        places["group"] = names.index(wanted.group)
    if wanted and wanted.task == "detection":
        given = settings["box"] or next((b for b in _BOXES if set(b) <= set(lower)), None)
        if not given:
            raise UserError(f"{path}: set `box`, its four columns, in `source`; {_options(names)}")
        among = names if settings["box"] else lower
        places["box"] = [_place(path, "box", name, among) for name in given]
    return places


def _place(path: Path, key: str, name: str, names: list[str]) -> int:
    if name not in names:
        raise UserError(f"{path}: it has no column {name!r} (`{key}`){suggest(name, names)}")
    return names.index(name)


def _options(names: list[str]) -> str:
    return f"there are {', '.join(map(repr, names))}"


def _row(cells: list[str], places: Mapping) -> dict:
    def cell(place: int | None) -> str:
        return cells[place].strip() if place is not None and place < len(cells) else ""

    row = {key: cell(places.get(key)) for key in (*_USUAL, "group")}
    return row | {"box": [cell(place) for place in places.get("box", ())]}


def _wanted(row: Mapping, roots: list[Path]) -> tuple[str, tuple]:
    """Return a row's picture, and where it may be: in a folder of its split, too.

    Many tables have names without suffix.
    """
    name, split = row["image"], row["split"]
    within = [f"{root}/{split}{rest}" for root in roots for rest in ("", "/images")]
    places = (*map(str, roots), *(within if split else ()))
    if not is_picture(name):
        full = [name + suffix for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES))]
        there = (one for one in full if any(os.path.lexists(f"{at}/{one}") for at in places))
        name = next(there, name)
    return name, places


def _within(file: str, root: Path) -> str:
    return name_within(file, root) if file.startswith(f"{root}{os.sep}") else os.path.basename(file)


def _pictures(
    file: str, rows: list[dict], settings: Mapping, wanted: Wanted
) -> Iterator[Picture | Refused]:
    first = rows[0]
    for row in rows:
        if row["split"] != first["split"]:
            reason = f"listed for {first['split'] or 'no split'} and {row['split'] or 'no split'}"
            yield Refused(row["place"], f"{first['image']}: {reason}", first["split"], True)
            return
    if wanted.task == "classification":
        names = [row["label"] for row in rows]
        label, problem = one_class(map(wanted.index, filter(None, names)))
        if not any(names):
            label, problem = None, f"{first['place']}: no label"
        if label == "":
            return  # a picture of a class that is left out, and counted
    else:
        label, problem = _boxes(file, rows, settings, wanted)
    captions = (row["caption"] for row in rows)
    groups = (row["group"] for row in rows)
    found = [next(filter(None, cells), "") for cells in (captions, groups)]
    yield Picture(file, first["name"], first["split"], label, problem, *found)


def _boxes(file: str, rows: list[dict], settings: Mapping, wanted: Wanted) -> tuple:
    from cia.importing.boxes import box_lines

    boxes = []
    for row in rows:
        if not any(row["box"]):
            continue
        if not row["label"]:
            return None, f"{row['place']}: a box without label"
        if (index := wanted.index(row["label"])) is None:
            continue
        try:
            boxes.append((index, [float(cell) for cell in row["box"]]))
        except ValueError as error:
            return None, f"{row['place']}: {error}"
    try:
        return box_lines(file, boxes, settings, None, wanted), ""
    except ValueError as error:
        return None, str(error)
