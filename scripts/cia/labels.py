"""Labels: read from text files, checked, and handed on to the variants of a picture.

Boxes are YOLO's, `class cx cy w h`, normalized to the picture's upright width and height.
"""

import logging
import math
import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cia.errors import UserError
from cia.files import write_texts
from cia.scanning import expected_layout, printable, read_text

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("cia")

TOLERANCE = 1e-6
"""How far a box may stick out of its picture, as a share of the side: rounding to 6 decimals."""


Objects = list[tuple[str, tuple[float, float, float, float]]]
"""Class index and box (left, top, right, bottom in pixels) of each labeled object."""


def read_labels(
    folder: str | Path, ids: Sequence[str], task: str, classes: Sequence[str]
) -> tuple[list[dict], list[dict], int]:
    """Read and check the label files of a source.

    A file with one bad line is rejected whole: its picture would teach that the object which the
    line describes is background.

    Parameters
    ----------
    folder : path
        The source, with labels/ in it.
    ids : sequence of str
        The usable pictures.
    task : str
        `detection` or `classification`.
    classes : sequence of str
        Class names in index order.

    Returns
    -------
    rows : list of dict
        id, label, in the order of `ids`; see `parse_boxes` and `parse_class` for the label.
    rejected : list of dict
        file, reason; strays of labels/ come last.
    unusable : int
        How many pictures have no valid label.

    Raises
    ------
    UserError
        If there is no labels/ in the folder, or the class names are ambiguous.
    """
    labels = Path(folder) / "labels"
    if not labels.is_dir():
        raise UserError(f"{labels} does not exist. {expected_layout(folder)}")
    parse = label_parser(task, classes)
    rows, rejected = [], []
    for id_ in ids:
        path = labels / f"{id_}.txt"
        try:
            rows.append({"id": id_, "label": parse(read_text(path))})
        except ValueError as error:
            reason = str(error) if path.is_file() else "the label file is missing"
            rejected.append({"file": path.as_posix(), "reason": reason})
    unusable = len(rejected)
    return rows, rejected + _strays(labels, set(ids)), unusable


def label_parser(task: str, classes: Sequence[str]) -> Callable[[str], str]:
    """Return the function that turns a label file's text into a label, or raises ValueError.

    Raises
    ------
    UserError
        If a class is named with a number other than its index: `3` could then mean either.
    """
    for index, name in enumerate(classes):
        if _is_index(name) and int(name) != index:
            raise UserError(
                f"classes: {name!r} is the name of class {index}, so {name!r} in a label file is "
                f"ambiguous; rename it, say to 'class {name}'"
            )
    parse = {"detection": parse_boxes, "classification": parse_class}[task]
    return lambda text: parse(text, classes)


def parse_boxes(text: str, classes: Sequence[str]) -> str:
    """Check YOLO lines and return them in one form.

    A line is `class cx cy w h`, or a polygon `class x1 y1 x2 y2 x3 y3 ...`, which becomes its
    bounding box. The class is an index or a name.

    Returns
    -------
    str
        One line `class cx cy w h` per box, with the class index and 6 decimals; "" if the file is
        empty, which means that the picture holds no object.

    Raises
    ------
    ValueError
        If a line is not such a line; the message has the line numbers.
    """
    boxes, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            boxes.append(_box_line(line, classes))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        more = f"; and {len(problems) - 3} more lines" if len(problems) > 3 else ""
        raise ValueError("; ".join(problems[:3]) + more)
    return "\n".join(boxes)


def parse_class(text: str, classes: Sequence[str]) -> str:
    """Check the one line of a classification label, a class name or index.

    Returns
    -------
    str
        The class index.

    Raises
    ------
    ValueError
        If there is not exactly one line, or no such class.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1:
        raise ValueError(f"{len(lines)} lines; one class name or index is expected")
    return str(_class_index(lines[0], classes))


def inherit_labels(
    ids: Sequence[str], sources: Mapping[str, str], labels: Mapping[str, str]
) -> tuple[list[dict], list[dict]]:
    """Give each generated image the label of the real picture that it varies.

    Parameters
    ----------
    ids : sequence of str
        The generated images.
    sources : mapping
        Generated image to real picture: the plan, never a guess from the name.
    labels : mapping
        Real picture to label.

    Returns
    -------
    rows : list of dict
        id, label.
    unlabeled : list of dict
        id, reason.
    """
    rows, unlabeled = [], []
    for id_ in ids:
        source = sources.get(id_)
        if source is None:
            unlabeled.append({"id": id_, "reason": "not in the plan"})
        elif source not in labels:
            reason = f"its source {source!r} has no valid label"
            unlabeled.append({"id": id_, "reason": reason})
        else:
            rows.append({"id": id_, "label": labels[source]})
    return rows, unlabeled


def name_objects(labels: "pd.DataFrame", classes: Sequence[str]) -> dict[str, list[str]]:
    """Return the class names of what each labeled picture shows, by id.

    Boxes are named from left to right by their centers; a classification has one name.

    Parameters
    ----------
    labels : pandas.DataFrame
        A table of labels: id, label.
    classes : sequence of str
        Class names in index order.
    """
    named = {}
    for id_, label in zip(labels["id"], labels["label"], strict=True):
        boxes = [line.split() for line in label.splitlines()]
        boxes.sort(key=lambda fields: [float(number) for number in fields[1:3]])
        named[id_] = [classes[int(fields[0])] for fields in boxes]
    return named


def write_label_files(folder: str | Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write one label file per row, and delete those of images that are no more.

    Files that hold the right text already stay untouched.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{row['id']}.txt": row["label"] + "\n" * bool(row["label"]) for row in rows}
    for name in os.listdir(folder):
        if name.endswith(".txt") and name not in wanted:
            os.unlink(folder / name)
    write_texts(folder, wanted.items())


def read_objects(label: str, size: tuple[int, int]) -> Objects:
    """Return the objects of checked YOLO lines, in a picture of that width and height."""
    objects = []
    for line in label.splitlines():
        index, *numbers = line.split()
        cx, cy, width, height = map(float, numbers)
        sides = cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
        box = tuple(
            min(max(side, 0.0), 1.0) * length for side, length in zip(sides, size * 2, strict=True)
        )
        objects.append((index, box))
    return objects


def write_objects(objects: Objects, size: tuple[int, int]) -> str:
    """Return the YOLO lines of objects in a picture of that width and height."""
    lines = []
    for index, (left, top, right, bottom) in objects:
        cx, width = (left + right) / 2 / size[0], (right - left) / size[0]
        cy, height = (top + bottom) / 2 / size[1], (bottom - top) / size[1]
        lines.append(" ".join([index, *(f"{value:.6f}" for value in (cx, cy, width, height))]))
    return "\n".join(lines)


def _box_line(line: str, classes: Sequence[str]) -> str:
    name, values = _split_line(line, classes)
    index = _class_index(name, classes)
    if len(values) == 4:
        cx, cy, width, height = values
        if width <= 0 or height <= 0:
            raise ValueError(f"a box of no area (width {width:g}, height {height:g})")
        sides = cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
    elif len(values) >= 6 and len(values) % 2 == 0:
        xs, ys = values[0::2], values[1::2]
        sides = min(xs), min(ys), max(xs), max(ys)
    else:
        raise ValueError(
            f"{len(values)} numbers after the class; 4 (cx cy w h) or a polygon are expected"
        )
    left, top, right, bottom = _inside(sides)
    if right <= left or bottom <= top:
        raise ValueError("a polygon of no area")
    box = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    return " ".join([str(index), *(f"{value:.6f}" for value in box)])


def _split_line(line: str, classes: Sequence[str]) -> tuple[str, list[float]]:
    """Split a line into its class, which may have spaces in its name, and its numbers."""
    line = " ".join(line.split())
    spaced = (name for name in classes if " " in name and line.startswith(f"{name} "))
    longest = max(spaced, key=len, default="")
    if longest:
        return longest, _numbers(line[len(longest) :].split())
    name, *words = line.split()
    return name, _numbers(words)


def _numbers(words: Sequence[str]) -> list[float]:
    values = []
    for word in words:
        try:
            values.append(float(word))
        except ValueError:
            raise ValueError(f"{word!r} is not a number") from None
        if not math.isfinite(values[-1]):
            raise ValueError(f"{word!r} is not a finite number")
    return values


def _class_index(name: str, classes: Sequence[str]) -> int:
    if name in classes:
        return list(classes).index(name)
    if _is_index(name):
        if int(name) < len(classes):
            return int(name)
        raise ValueError(f"class {name} is out of range (0 to {len(classes) - 1})")
    raise ValueError(f"no class {name!r}; the classes are {', '.join(classes)}")


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _inside(sides: Sequence[float]) -> list[float]:
    for side in sides:
        if not -TOLERANCE <= side <= 1 + TOLERANCE:
            numbers = ", ".join(f"{value:g}" for value in sides)
            raise ValueError(f"sticks out of the picture (left, top, right, bottom: {numbers})")
    return [min(max(side, 0.0), 1.0) for side in sides]


def _strays(labels: Path, ids: set[str]) -> list[dict]:
    """List the files of labels/ that belong to no usable picture."""
    strays = [
        path
        for path in sorted(labels.iterdir())
        if not path.name.startswith(".")
        and (path.suffix != ".txt" or path.stem not in ids or path.is_dir())
    ]
    looks = {_look(id_) for id_ in ids} if strays else set()
    return [{"file": printable(path.as_posix()), "reason": _stray(path, looks)} for path in strays]


def _stray(path: Path, looks: set[str]) -> str:
    """Say why a file of labels/ belongs to none of the pictures, which look so."""
    if path.is_dir() or path.suffix.lower() != ".txt":
        return "not a .txt file"
    if path.suffix != ".txt":
        return f"write {path.suffix} as .txt, in lower case"
    if _look(path.stem) in looks:
        return (
            "a picture's name looks the same, but is of other Unicode characters (NFC and NFD, as "
            "from a Mac): rename one of them"
        )
    return "a label without usable picture"


def _look(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def list_objects(manifest: "pd.DataFrame", labels: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row per labelled box: id, image, object (number in its image), class, cx, cy, w, h.

    Parameters
    ----------
    manifest, labels : pandas.DataFrame
        Tables of one source; pictures without a label have no rows.
    """
    import pandas as pd

    images = dict(zip(manifest["id"], manifest["image"], strict=True))
    rows = [
        (id_, images[id_], number, *line.split())
        for id_, label in zip(labels["id"], labels["label"], strict=True)
        if id_ in images
        for number, line in enumerate(filter(str.strip, label.splitlines()))
    ]
    names = ["id", "image", "object", "class", "cx", "cy", "w", "h"]
    boxes = dict.fromkeys(("cx", "cy", "w", "h"), "float64")
    return pd.DataFrame(rows, columns=names).astype(boxes)
