"""Pascal VOC: an XML file for each picture, and lists of them in ImageSets/Main.

Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge: development kit" (2012).
Coordinates are pixels from 1 on, both ends included, so a box of the whole picture is 1, 1, width,
height. Programs that count from 0 write 0, 0, width, height: `first_pixel` says so.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from cia.errors import UserError
from cia.importing.pictures import (
    SPLITS,
    SUFFIXES,
    Description,
    Picture,
    Refused,
    Wanted,
    is_picture,
    list_files,
    name_within,
    one_class,
    ordered,
    require_folder,
    split_named,
)

_SETS = "ImageSets/Main"

_FOLDERS = ("JPEGImages", "images")
"""What folders of all pictures are called."""

FROM_ZERO = "pictures have boxes from pixel 0 on: if all do so, set `first_pixel: 0` in `source`"


def describe(settings: Mapping, task: str) -> Description:
    """Return the names of all objects in all files, sorted, and the splits."""
    root = require_folder(settings["path"])
    names, files = set(), list(_files(root))
    for path in files:
        try:
            names |= {_text(entry, "name") for entry in _parse(path).iter("object")}
        except ValueError:
            continue  # reading says what is wrong with it
    if not files:
        raise UserError(f"path: {root} has no .xml file")
    splits = {split for path in files if (split := _folder_s_split(root, path))}
    return Description(tuple(sorted(names - {""})), ordered({*_sets(root), *splits}))


def watch(settings: Mapping) -> list[Path]:
    """Return the folder."""
    return [require_folder(settings["path"])]


def read(settings: Mapping, wanted: Wanted) -> Iterator[Picture | Refused]:
    """Yield the pictures that an XML file or a list names; others there are refused."""
    if wanted.task not in ("detection", "classification"):
        raise UserError(f"format: voc has boxes and classes, and nothing for {wanted.task}")
    root = require_folder(settings["path"])
    sets, pictures = _sets(root), _pictures(root)
    listed, seen = {stem: split for split in sets for stem in sets[split]}, set()
    for path in _files(root):
        entry, label, problem = None, None, ""
        try:
            entry = _parse(path)
        except ValueError as error:
            problem = f"{path}: {error}"
        file = _picture(root, path, entry, pictures)
        if file is None:
            several = pictures.get(path.stem, [])
            reason = f"it may be of {' or of '.join(several)}: give them different names"
            reason = reason if several else "its picture is not there"
            yield Refused(str(path), reason, unusable=True)
            continue
        if file in seen:
            yield Refused(str(path), f"another file has labels of {file}, too; that one counts")
            continue
        seen.add(file)
        split = listed.pop(path.stem, "") or _folder_s_split(root, path)
        if entry is not None:
            label, problem = _label(file, entry, settings["first_pixel"], wanted)
        if wanted.task == "classification" and label == "":
            continue  # a picture of a class that is left out, and counted
        yield Picture(file, _name(root, file), split, label, problem)
    for stem, split in listed.items():
        (file,) = files if len(files := pictures.get(stem, [])) == 1 else [None]
        if file is None or file in seen:
            yield Refused(stem, f"{_SETS} lists it for {split}, but there is none", split, True)
        else:
            seen.add(file)
            problem = f"it has no file {stem}.xml, and {_SETS} lists it for {split}"
            yield Picture(file, _name(root, file), split, None, problem)
    for file in sorted(file for files in pictures.values() for file in files):
        if file not in seen:
            yield Refused(file, "unlabeled: no .xml file has its name")


def _files(root: Path) -> Iterator[Path]:
    for name in list_files(root):
        if name.lower().endswith(".xml"):
            yield root / name


def _pictures(root: Path) -> dict[str, list[str]]:
    """Return the pictures by name, without folder and suffix."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in list_files(root):
        if is_picture(name):
            found[os.path.splitext(os.path.basename(name))[0]].append(f"{root}/{name}")
    return dict(found)


def _sets(root: Path) -> dict[str, set[str]]:
    """Return the names of pictures by split; test before val before train, if one is in two."""
    found = {}
    for split in SPLITS:
        path = root / _SETS / f"{split}.txt"
        if path.is_file():
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            found[split] = {_listed(line) for line in lines if line.strip()}
    return found


def _listed(line: str) -> str:
    """Return the name in a line, which may have a 1 or -1 after it, or a suffix."""
    name = line.strip()
    first, _, last = name.rpartition(" ")
    name = first.strip() if first and last in ("1", "-1", "0") else name
    return os.path.splitext(name)[0] if name.lower().endswith(SUFFIXES) else name


def _folder_s_split(root: Path, path: Path) -> str:
    """Return the split of a file in train/, valid/ or test/, as Roboflow exports them."""
    parts = path.relative_to(root).parts
    return split_named(parts[0]) if len(parts) > 1 else ""


def _name(root: Path, file: str) -> str:
    """Return a picture's name, less a first folder of a split or of all pictures."""
    name = name_within(file, root)
    first, _, rest = name.partition("/")
    return rest if rest and (split_named(first) or first in _FOLDERS) else name


def _parse(path: Path) -> ElementTree.Element:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"not valid XML: {error}") from error
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from error
    if root.tag != "annotation":
        raise ValueError(f"no annotation of VOC, since it begins with <{root.tag}>")
    return root


def _text(entry: ElementTree.Element, path: str) -> str:
    return (entry.findtext(path) or "").strip()


def _picture(root: Path, path: Path, entry, pictures: Mapping[str, list[str]]) -> str | None:
    """Find a file's picture: by the XML file's name, else by the one in it.

    Of several, it is the one in the same folder, or in folders called the same, or of the suffix
    that the file says.
    """
    named = _text(entry, "filename") if entry is not None else ""
    named = os.path.basename(named.replace("\\", "/"))
    for stem in (path.stem, os.path.splitext(named)[0]):
        ranks = defaultdict(list)
        for file in pictures.get(stem, ()):
            beside = os.path.dirname(file) == str(path.parent)
            folders = set(Path(file).relative_to(root).parts[:-1])
            shared = len(folders.intersection(path.relative_to(root).parts[:-1]))
            ranks[beside, shared, os.path.basename(file) == named].append(file)
        if ranks:
            best = ranks[max(ranks)]
            return best[0] if len(best) == 1 else None
    return None


def _label(
    file: str, entry: ElementTree.Element, first: int, wanted: Wanted
) -> tuple[str | None, str]:
    objects = list(entry.iter("object"))
    indices = [wanted.index(_text(object_, "name")) for object_ in objects]
    if wanted.task == "classification":
        return one_class(indices)
    kept = [pair for pair in zip(indices, objects, strict=True) if pair[0] is not None]
    if not kept:
        return "", ""
    from cia.importing.frames import cut_box, frame_of, line_of_box

    try:
        corners = [_corners(object_) for _, object_ in kept]
        frame = frame_of(file, _size(entry), wanted)
    except ValueError as error:
        return None, str(error)
    if first and any(0 in (left, top) for left, top, *_ in corners):
        wanted.notes[FROM_ZERO] += 1
    lines = []
    for (index, _), (left, top, right, bottom) in zip(kept, corners, strict=True):
        box = frame.box(left - first, top - first, right, bottom)
        lines.append(line_of_box(index, cut_box(box, frame, wanted)))
    return "\n".join(lines), ""


def _corners(object_: ElementTree.Element) -> list[float]:
    name = _text(object_, "name")
    try:
        return [float(_text(object_, f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")]
    except ValueError:
        raise ValueError(f"an object {name!r} has no bndbox of four numbers") from None


def _size(entry: ElementTree.Element) -> tuple[float, float] | None:
    """Return the size that the file says; some programs write 0 x 0."""
    try:
        size = float(_text(entry, "size/width")), float(_text(entry, "size/height"))
    except ValueError:
        return None
    return size if min(size) > 0 else None
