"""COCO's annotation files: instances, keypoints and captions, as of COCO itself and of Roboflow.

https://cocodataset.org/#format-data. Millions of annotations are many GB as Python objects, so each
is packed as soon as the parser has it, and its dict is dropped.
"""

import json
import math
import mmap
import os
import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from cia.errors import UserError
from cia.importing.pictures import (
    SPLITS,
    Description,
    Picture,
    Refused,
    Wanted,
    find_file,
    find_files,
    name_within,
    one_class,
    ordered,
    require_either,
    require_file,
    require_folder,
    split_named,
    strays,
)

ROBOFLOW = "_annotations.coco.json"
"""What Roboflow calls the file in each split's folder, beside its pictures."""

CROWD = "crowd regions (iscrowd: 1) were left out"
CAPTIONS = "captions were left out: of several of a picture, the first counts"

_PREFIXES = {"pose": ("person_keypoints_", "keypoints_")}
"""How files in annotations/ begin by task, COCO's and those of our exports, less `instances_`."""

_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')

_FIRST = 100
"""Pictures of which one is looked for, to find their folder."""

_PLACES = (".", "images", "../images", "data", "JPEGImages")
"""Where pictures are looked for, from the annotation file, unless `images` says it."""


def describe(settings: Mapping, task: str) -> Description:
    """Return the categories' names, by their ids, and the keypoints' shape and skeleton."""
    files = _files(settings, task)
    categories = {}
    for path, _ in files:
        categories |= {_id(entry): entry for entry in _categories(path)}
    entries = [categories[id_] for id_ in sorted(categories, key=lambda id_: (str(type(id_)), id_))]
    if any(path.name == ROBOFLOW for path, _ in files):
        entries = _without_group(entries)
    names = tuple(dict.fromkeys(_name(entry) for entry in entries))
    splits = ordered({split for _, split in files if split})
    return Description(names, splits, _pose(entries) if task == "pose" else {})


def watch(settings: Mapping) -> list[Path]:
    """Return the annotation files and the folders of pictures."""
    found = []
    for path, split in _files(settings, ""):
        root = _images(settings, path, split, list(islice(_file_names(path), _FIRST)))
        found += [path, *_folders(root, _file_names(path))]
    return list(dict.fromkeys(found))


def read(settings: Mapping, wanted: Wanted) -> Iterator[Picture | Refused]:
    """Yield the pictures that the files list; pictures beside them are refused as unlabeled.

    A picture without annotations is one without objects. Crowd regions are left out: they are no
    single object.
    """
    found: dict[str, Picture] = {}
    folders: dict[Path, list[tuple[str, Path]]] = defaultdict(list)
    for path, split in _files(settings, wanted.task):
        contents = _Contents(path, wanted)
        names = [name for name, _ in contents.images.values()]
        root = _images(settings, path, split, names)
        for folder in _folders(root, names):
            folders[folder].append((split, path))
        for picture in contents.pictures(root, split):
            if isinstance(picture, Refused):
                yield picture
            elif (first := found.get(picture.path)) is None:
                found[picture.path] = picture
            elif first.split != picture.split:
                reason = f"listed for {first.split or 'no split'} and for {split or 'no split'}"
                yield Refused(picture.path, f"{reason}; the first counts", split, True)
            else:
                found[picture.path] = _merged(first, picture)
    for folder, files in folders.items():
        where = ", ".join(sorted({path.name for _, path in files}))
        splits = {split for split, _ in files}
        yield from strays(folder, found.keys(), where, splits.pop() if len(splits) == 1 else "")
    for picture in found.values():
        if picture.label is None and not picture.problem:
            picture = picture._replace(problem="its annotations are captions alone")
        yield picture


def _files(settings: Mapping, task: str) -> list[tuple[Path, str]]:
    """Return the annotation files with their splits ("" for one that is to be split)."""
    path = settings["path"]
    if isinstance(path, Mapping):
        return [
            (require_file(name, f"path.{split}"), split)
            for split in SPLITS
            for name in _listed(path.get(split, []))
        ]
    if isinstance(path, Sequence) and not isinstance(path, str):
        return [(require_file(name), "") for name in path]
    place = require_either(path)
    return [(place, "")] if place.is_file() else _in_folder(place, task)


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _in_folder(folder: Path, task: str) -> list[tuple[Path, str]]:
    """Find the annotation files of an export: Roboflow's, COCO's own layout, or a single one."""
    exported = [(path, split_named(path.parent.name)) for path in folder.glob(f"*/{ROBOFLOW}")]
    if named := [(path, split) for path, split in exported if split]:
        return sorted(named, key=lambda pair: SPLITS.index(pair[1]))
    for kind in (*_PREFIXES.get(task, ()), "instances_"):
        paths = sorted((folder / "annotations").glob(f"{kind}*.json"))
        pairs = [(path, _split_of(path.stem.removeprefix(kind))) for path in paths]
        if pairs:
            return pairs
    files = sorted(folder.glob("*.json"))
    if len(files) == 1:
        return [(files[0], "")]
    raise UserError(
        f"path: {folder} has no train/{ROBOFLOW}, no annotations/instances_*.json and "
        f"{'no' if not files else 'more than one'} .json file; name the files, such as "
        "path: {train: train.json, val: val.json}"
    )


def _split_of(name: str) -> str:
    """Return the split of `train2017` or `val`, or ""."""
    return split_named(name.rstrip("0123456789").rstrip("_-"))


def _roots(settings: Mapping, path: Path, split: str) -> list[Path]:
    """List the folders in which a file's pictures may be."""
    images = settings.get("images")
    if isinstance(images, Mapping):
        if split not in images:
            raise UserError(f"images: there is none for {split or 'a file without split'}")
        return [require_folder(images[split], f"images.{split}")]
    if images:
        return [require_folder(images, "images")]
    subset = path.stem.partition("_")[2]  # train2017 of instances_train2017
    layout = [f"../images/{subset}", f"../{subset}"] if subset and path.name != ROBOFLOW else []
    places = dict.fromkeys(os.path.normpath(path.parent / at) for at in (*layout, *_PLACES))
    return [Path(place) for place in places if os.path.isdir(place)]


def _images(settings: Mapping, path: Path, split: str, names: Sequence[str]) -> Path:
    """Return the first of the folders that has one of a file's first pictures."""
    roots = _roots(settings, path, split)
    for root in roots:
        if any((root / name).exists() for name in names[:_FIRST]):
            return root
    for root in roots:
        if any(os.path.exists(find_file(name, root)) for name in names[:_FIRST]):
            return root
    if settings.get("images"):  # links to what is missing say so, picture by picture
        return roots[0]
    raise UserError(
        f"{path}: its pictures ({', '.join(map(repr, names[:2]))}, ...) are not in "
        f"{', '.join(map(str, roots))}. Set `images`, the folder that file_name is meant from"
    )


def _folders(root: Path, names: Iterable[str]) -> list[Path]:
    """Return the folders of pictures: the root, but of one with the project in it those named."""
    if root != Path.cwd() and root not in Path.cwd().parents:
        return [root]
    return [
        root / first for first in sorted({name.partition("/")[0] for name in names if "/" in name})
    ]


def _file_names(path: Path) -> Iterator[str]:
    """Yield the names of a file's pictures without parsing it, as far as they stand in one line."""
    with open(path, "rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file can't be mapped
            return
        with content:
            for match in _FILE_NAME.finditer(content):
                with suppress(ValueError):
                    yield json.loads(match[1])


def _categories(path: Path) -> list[dict]:
    """Return a file's categories without reading the rest of it, which takes long."""
    with open(path, "rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                start = content.find(b'"categories"')
                text = (
                    content[start : start + 2**24].decode("utf-8", "replace") if start >= 0 else ""
                )
        except ValueError:  # an empty file can't be mapped
            text = ""
    after = text.partition(":")[2].lstrip()
    try:
        found, _ = json.JSONDecoder().raw_decode(after)
    except ValueError:
        found = None
    if isinstance(found, list) and all(isinstance(entry, dict) for entry in found):
        return found
    return _load(path).get("categories") or []


def _load(path: Path, hook=None) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_hook=hook)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise UserError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise UserError(f"{path}: no COCO file, since it has no list `images`")
    return content


def _id(category: dict) -> Any:
    if "id" not in category:
        raise UserError(f"categories: {category} has no id")
    return category["id"]


def _name(category: dict) -> str:
    return str(category.get("name", category["id"]))


def _without_group(entries: list[dict]) -> list[dict]:
    """Leave out the category that Roboflow puts above all others, and that no object has."""
    above = {entry.get("supercategory") for entry in entries}
    return [
        entry
        for entry in entries
        if entry.get("supercategory") != "none" or entry.get("name") not in above
    ] or entries


def _pose(entries: Sequence[Mapping]) -> dict:
    """Return `kpt_shape`, names and `skeleton` (from 0 on) of the categories with keypoints."""
    posed = [entry for entry in entries if entry.get("keypoints")]
    counts = {len(entry["keypoints"]) for entry in posed}
    if len(counts) != 1:
        return {}
    skeleton = [[a - 1, b - 1] for a, b in posed[0].get("skeleton") or []]
    names = list(map(str, posed[0]["keypoints"]))
    keys = {"kpt_shape": [counts.pop(), 3], "skeleton": skeleton}
    keys |= {"keypoints": names if len(set(names)) == len(names) else None}
    return {key: value for key, value in keys.items() if value}


def _merged(one: Picture, other: Picture) -> Picture:
    """Return a picture that stands twice, as in a file of objects and one of captions."""
    if one.label is None and not one.problem:
        one = one._replace(label=other.label, problem=other.problem)
    elif other.problem:
        one = one._replace(label=None, problem=one.problem or other.problem)
    elif other.label and one.label is not None:
        lines = dict.fromkeys([*one.label.splitlines(), *other.label.splitlines()])
        one = one._replace(label="\n".join(lines))
    return one._replace(caption=one.caption or other.caption)


class _Contents:
    """One annotation file: its pictures, and its annotations packed by picture.

    Attributes
    ----------
    images : dict
        Id to file_name, width and height.
    """

    def __init__(self, path: Path, wanted: Wanted):
        self._wanted, self._path = wanted, path
        self._numbers: dict[str, int] = {}  # category id -> place, for arrays of numbers
        self._boxes: dict[str, array] = defaultdict(lambda: array("d"))
        self._shapes: dict[str, list] = defaultdict(list)
        self._captions: dict[str, str] = {}
        self._problems: dict[str, list[tuple[int | None, str]]] = defaultdict(list)
        self._captioned = False
        content = _load(path, self._take)
        categories = content.get("categories") or []
        names = {str(_id(entry)): _name(entry) for entry in categories}
        self._names = [names.get(id_, f"category {id_}") for id_ in self._numbers]
        self._has_objects = bool(categories) or not self._captioned
        self.images: dict[str, tuple] = {}
        self._same: list[tuple[str, str]] = []
        for id_, image in self._listed(content.pop("images")):
            if self.images.setdefault(id_, image)[0] != image[0]:
                self._same.append((id_, image[0]))

    def _listed(self, images: list) -> Iterator[tuple[str, tuple]]:
        for number, entry in enumerate(images):
            name = isinstance(entry, dict) and (entry.get("file_name") or _from_url(entry))
            if not name or "id" not in entry:
                raise UserError(f"{self._path}: images[{number}] has no id or no file_name")
            images[number] = None
            if entry.get("caption"):  # no key of COCO's own, but of our exports
                self._keep_caption(str(entry["id"]), entry["caption"])
            size = entry.get("width"), entry.get("height")
            yield str(entry["id"]), (str(name), size if all(map(_is_side, size)) else None)

    def _keep_caption(self, image: str, caption: Any) -> None:
        """Keep a picture's first caption, and count the others."""
        if image in self._captions:
            self._wanted.notes[CAPTIONS] += 1
        else:
            self._captions[image] = " ".join(str(caption).split())

    def _take(self, entry: dict) -> dict | None:
        """Pack an annotation; of all else that the parser meets, nothing."""
        if "image_id" not in entry:
            return entry
        image = str(entry["image_id"])  # some programs write "1" here and 1 there
        if entry.get("iscrowd"):
            self._wanted.notes[CROWD] += 1
            return None
        if "caption" in entry and "category_id" not in entry:
            self._captioned = True
            self._keep_caption(image, entry["caption"])
            return None
        if "segments_info" in entry:
            raise UserError(f"{self._path}: panoptic annotations; take the file of instances")
        try:
            self._pack(image, entry)
        except (TypeError, ValueError, KeyError) as error:
            number = entry.get("id", "without id")
            place = self._numbers.get(str(entry.get("category_id")))
            self._problems[image].append((place, f"annotation {number}: {_reason(error)}"))
        return None

    def _pack(self, image: str, entry: dict) -> None:
        id_ = str(entry["category_id"])
        place = self._numbers.setdefault(id_, len(self._numbers))
        task = self._wanted.task
        if task == "classification":
            self._shapes[image].append(place)
        elif task == "segmentation":
            self._shapes[image].append((place, _mask(entry)))
        elif task == "pose":
            points = _finite(array("d", entry["keypoints"]))
            if self._wanted.kpt_shape and len(points) != 3 * self._wanted.kpt_shape[0]:
                raise ValueError(f"{len(points)} numbers of keypoints")
            self._shapes[image].append((place, _corners(entry["bbox"]), points))
        elif entry.get("bbox"):
            self._boxes[image].extend((place, *_corners(entry["bbox"])))
        else:
            self._shapes[image].append((place, _mask(entry)))

    def pictures(self, root: Path, split: str) -> Iterator[Picture | Refused]:
        """Yield the pictures, and what annotates none of them."""
        indices = [self._wanted.classes.get(name) for name in self._names]
        paths = find_files((file, (root,)) for file, _ in self.images.values())
        for id_, (file, size) in self.images.items():
            path = paths[file, (root,)]
            label, problem = None, self._problem(id_, indices)
            shapes, boxes = self._shapes.pop(id_, ()), self._boxes.pop(id_, ())
            if self._has_objects and not problem:
                try:
                    label, problem = self._label(path, size, indices, shapes, boxes)
                except ValueError as error:
                    problem = str(error)
            if self._wanted.task == "classification" and label == "" and shapes:
                continue  # a picture of a class that is left out, and counted
            caption = self._captions.get(id_, "")
            name = name_within(path, root)
            yield Picture(path, name, split, label, problem, caption)
        for id_, file in self._same:
            reason = (
                f"{self._path.name} has id {id_} for {self.images[id_][0]}, too; that one counts"
            )
            yield Refused(find_file(file, root), reason, split, True)
        for id_ in {*self._shapes, *self._boxes, *self._problems}:
            reason = f"annotations of a picture with id {id_}, which the file does not list"
            yield Refused(str(self._path), reason, split)

    def _problem(self, id_: str, indices: Sequence[int | None]) -> str:
        """Return what is wrong with a picture's annotations, but for those of classes left out."""
        problems = self._problems.pop(id_, ())
        left_out = [place for place, _ in problems if place is not None and indices[place] is None]
        self._count(left_out)
        return next((reason for place, reason in problems if place not in left_out), "")

    def _label(self, path, size, indices, shapes, boxes) -> tuple[str | None, str]:
        task = self._wanted.task
        if task == "classification":
            if not shapes:
                return None, "no annotation says its class"
            self._count([place for place in shapes if indices[place] is None])
            return one_class(indices[place] for place in shapes)
        self._count([int(place) for place in boxes[::5] if indices[int(place)] is None])
        self._count([shape[0] for shape in shapes if indices[shape[0]] is None])
        kept = [shape for shape in shapes if indices[shape[0]] is not None]
        starts = [n for n in range(0, len(boxes), 5) if indices[int(boxes[n])] is not None]
        if not kept and not starts:
            return "", ""
        from cia.importing.frames import cut_box, frame_of, line_of_box

        frame, lines = frame_of(path, size, self._wanted), []
        for n in starts:
            box = cut_box(frame.box(*boxes[n + 1 : n + 5]), frame, self._wanted)
            lines.append(line_of_box(indices[int(boxes[n])], box))
        if kept:
            from cia.importing.shapes import shape_line

            for place, *shape in kept:
                lines.append(shape_line(indices[place], shape, frame, self._wanted))
        return "\n".join(lines), ""

    def _count(self, places: list[int]) -> None:
        for place in places:
            self._wanted.dropped[self._names[place]] += 1


def _from_url(entry: Mapping) -> str:
    """Return the file's name of LVIS, which gives an address instead: train2017/1.jpg."""
    return "/".join(str(entry.get("coco_url") or "").split("/")[-2:])


def _is_side(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0


def _corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    if not isinstance(box, Sequence) or isinstance(box, str) or len(box) != 4:
        raise ValueError(f"its bbox is {box!r}, and not four numbers: x, y, width, height")
    left, top, width, height = _finite([float(number) for number in box])
    return left, top, left + width, top + height


def _mask(entry: Mapping) -> list[array] | dict:
    """Return the rings of a segmentation, or its run lengths."""
    shape = entry.get("segmentation")
    if isinstance(shape, Mapping):
        return {"counts": shape["counts"], "size": shape["size"]}
    if shape and not all(isinstance(ring, list) for ring in shape):
        raise ValueError("its segmentation is no list of polygons, [[x1, y1, x2, y2, ...], ...]")
    rings = [_finite(array("d", ring)) for ring in shape or ()]
    if not rings:
        raise ValueError("it has no segmentation" + " and no bbox" * (not entry.get("bbox")))
    if any(len(ring) < 6 or len(ring) % 2 for ring in rings):
        raise ValueError("a polygon of its segmentation has fewer than 3 points")
    return rings


def _finite(numbers):
    if not math.isfinite(sum(numbers)):
        raise ValueError("a coordinate is no finite number")
    return numbers


def _reason(error: Exception) -> str:
    return f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
