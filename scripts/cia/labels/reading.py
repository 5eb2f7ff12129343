"""Labels: read from text files, checked, and handed on to the variants of a picture.

Lines are YOLO's of the task (`cia.labels.objects`), normalized to the picture's upright width and
height.
"""

import logging
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cia.errors import UserError
from cia.files import remove_strays, write_texts
from cia.labels.lines import KEYPOINTS, POLYGON, LineReader, box_line, split_label
from cia.labels.objects import box_fields, checked_object, object_line
from cia.scanning import expected_layout, printable, read_text

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger("cia")

FEW = 5
"""Below so many training examples, a class is said to have few."""

_MOST_NAMED = 10
"""Classes to name in a message; those with the fewest examples come first."""

Objects = list[tuple[str, tuple[float, float, float, float]]]
"""Class index and box (left, top, right, bottom in pixels) of each labeled object."""


class Labels(NamedTuple):
    """The labels of a source.

    Attributes
    ----------
    rows : list of dict
        id, label, in the order of the pictures; see `cia.labels.objects` for the label.
    rejected : list of dict
        file, reason; strays of labels/ come last.
    unusable : int
        How many pictures have no valid label.
    kinds : mapping
        For detection, how many lines were what, see `cia.labels.lines`.
    """

    rows: list[dict]
    rejected: list[dict]
    unusable: int
    kinds: Mapping[str, int]


def read_labels(
    folder: str | Path,
    ids: Sequence[str],
    task: str,
    classes: Sequence[str],
    kpt_shape: Sequence[int] | bool | None = None,
) -> Labels:
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
        `detection`, `segmentation`, `pose` or `classification`.
    classes : sequence of str
        Class names in index order.
    kpt_shape : sequence of int, False or None
        Of a pose its keypoints' number and how many numbers each has; of a detection see
        `cia.labels.lines.LineReader`.

    Raises
    ------
    UserError
        If there is no labels/ in the folder, the class names are ambiguous, or what look like
        polygons may be boxes with keypoints.
    """
    labels = Path(folder) / "labels"
    if not labels.is_dir():
        raise UserError(f"{labels} does not exist. {expected_layout(folder)}")
    reader = LineReader(kpt_shape)
    parse = label_parser(task, classes, reader)
    rows, rejected = [], []
    for id_ in ids:
        path = labels / f"{id_}.txt"
        try:
            rows.append({"id": id_, "label": parse(read_text(path))})
        except ValueError as error:
            reason = str(error) if path.is_file() else "the label file is missing"
            rejected.append({"file": path.as_posix(), "reason": reason})
    reader.require_clear(labels.as_posix())
    unusable = len(rejected)
    return Labels(rows, rejected + _strays(labels, set(ids)), unusable, reader.kinds)


def label_parser(
    task: str, classes: Sequence[str], reader: LineReader | None = None
) -> Callable[[str], str]:
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
    if task == "classification":
        return lambda text: parse_class(text, classes)
    if task == "detection":
        return lambda text: parse_boxes(text, classes, reader)
    return lambda text: parse_shapes(text, classes, task, reader and reader.kpt_shape)


def parse_boxes(text: str, classes: Sequence[str], reader: LineReader | None = None) -> str:
    """Check YOLO lines and return their boxes in one form.

    The class is an index or a name; for the numbers after it see `cia.labels.lines`. A line that
    stands twice is one object, as for ultralytics.

    Returns
    -------
    str
        One line `class cx cy w h` per box, with the class index; "" if the file is empty, which
        means that the picture holds no object.

    Raises
    ------
    ValueError
        If a line is not such a line; the message has the line numbers.
    """
    reader = reader or LineReader()
    found = _parse_lines(text, lambda line: _box_of_line(line, classes, reader))
    reader.kinds.update(kind for kind, _ in found)
    return "\n".join(dict.fromkeys(box for _, box in found))


def parse_shapes(
    text: str, classes: Sequence[str], task: str, kpt_shape: Sequence[int] | None = None
) -> str:
    """Check the lines of a segmentation's or a pose's label and return them in one form.

    Returns
    -------
    str
        One line per object as `cia.labels.objects` has it, those that stand twice once; "" if the
        file is empty, which means that the picture holds no object.

    Raises
    ------
    ValueError
        If a line is not such a line; the message has the line numbers.
    """

    def read(line: str) -> str:
        name, values = _split_line(line, classes)
        index = str(_class_index(name, classes))
        return object_line(checked_object(index, values, task, kpt_shape), task)

    return "\n".join(dict.fromkeys(_parse_lines(text, read)))


def _parse_lines(text: str, read: Callable[[str], Any]) -> list:
    """Return what a function makes of each line; a ValueError names all lines that are wrong."""
    found, problems = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(read(line))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        more = f"; and {len(problems) - 3} more lines" if len(problems) > 3 else ""
        raise ValueError("; ".join(problems[:3]) + more)
    return found


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


def summarize_labels(labels: Labels, task: str, classes: Sequence[str]) -> dict:
    """Return the numbers of a source's labels, as plain data.

    Returns
    -------
    dict
        pictures; classes (name to objects, or to pictures of a classification); where there are
        objects also backgrounds (pictures without any), and for detection reduced (kind of line to
        how many gave no more than their box).
    """
    texts = [row["label"] for row in labels.rows]
    counts = Counter(fields[0] for text in texts for fields in split_label(text))
    numbers = {"pictures": len(texts)}
    numbers["classes"] = {name: counts[str(index)] for index, name in enumerate(classes)}
    if task != "classification":
        numbers["backgrounds"] = texts.count("")
    if task == "detection":
        numbers["reduced"] = {kind: labels.kinds[kind] for kind in (POLYGON, KEYPOINTS)}
    return numbers


def few_words(counts: Mapping[str, int], enough: int = FEW) -> str:
    """Name the classes that have few examples, with their number; "" if there are none.

    Parameters
    ----------
    counts : mapping
        Class to number of examples.
    enough : int
        From how many on they are not few.
    """
    few = sorted((count, name) for name, count in counts.items() if count < enough)
    named = ", ".join(f"{name} {count}" for count, name in few[:_MOST_NAMED])
    return named + (f", and {len(few) - _MOST_NAMED} more" if len(few) > _MOST_NAMED else "")


def reduced_words(reduced: Mapping[str, int]) -> str:
    """Say what lines were reduced to boxes; "" if none were."""
    lines = {POLYGON: "{} polygons became boxes", KEYPOINTS: "{} boxes lost their keypoints"}
    named = [lines[kind].format(count) for kind, count in reduced.items() if count]
    return " and ".join(named) + ": task detection uses boxes alone" if named else ""


def name_objects(labels: "pd.DataFrame", classes: Sequence[str], task: str) -> dict[str, list[str]]:
    """Return the class names of what each labeled picture shows, by id.

    Objects are named from left to right by their boxes' centers; a classification has one name.

    Parameters
    ----------
    labels : pandas.DataFrame
        A table of labels: id, label.
    classes : sequence of str
        Class names in index order.
    """
    named = {}
    for id_, label in zip(labels["id"], labels["label"], strict=True):
        boxes = split_label(label)
        boxes.sort(key=lambda fields: box_fields(fields, task)[:2])
        named[id_] = [classes[int(fields[0])] for fields in boxes]
    return named


def write_label_files(folder: str | Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write one label file per row, and delete those of images that are no more.

    Files that hold the right text already stay untouched.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{row['id']}.txt": row["label"] + "\n" * bool(row["label"]) for row in rows}
    remove_strays(folder, wanted, ".txt")
    write_texts(folder, wanted.items())


def read_objects(label: str, size: tuple[int, int]) -> Objects:
    """Return the objects of checked YOLO lines, in a picture of that width and height."""
    objects = []
    for index, *numbers in split_label(label):
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
        lines.append(box_line(index, (cx, cy), (width, height)))
    return "\n".join(lines)


def _box_of_line(line: str, classes: Sequence[str], reader: LineReader) -> tuple[str, str]:
    name, values = _split_line(line, classes)
    index = _class_index(name, classes)
    kind, (left, top, right, bottom) = reader.read(values)
    center, sides = ((left + right) / 2, (top + bottom) / 2), (right - left, bottom - top)
    return kind, box_line(index, center, sides)


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
            raise ValueError(f"{word!r} is NaN or infinity")
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


def list_objects(manifest: "pd.DataFrame", labels: "pd.DataFrame", task: str) -> "pd.DataFrame":
    """Return a row per object: id, image, object (number in its image), class, cx, cy, w, h.

    Parameters
    ----------
    manifest, labels : pandas.DataFrame
        Tables of one source; pictures without a label have no rows.
    """
    import pandas as pd

    images = dict(zip(manifest["id"], manifest["image"], strict=True))
    rows = [
        (id_, images[id_], number, fields[0], *box_fields(fields, task))
        for id_, label in zip(labels["id"], labels["label"], strict=True)
        if id_ in images
        for number, fields in enumerate(split_label(label))
    ]
    names = ["id", "image", "object", "class", "cx", "cy", "w", "h"]
    boxes = dict.fromkeys(("cx", "cy", "w", "h"), "float64")
    return pd.DataFrame(rows, columns=names).astype(boxes)
