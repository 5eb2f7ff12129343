"""YOLO datasets of ultralytics and Roboflow: data.yaml, and a label file for each picture.

https://docs.ultralytics.com/datasets/detect. What a file means is what `ultralytics.data.utils`
(8.4) takes it for: `labels` in place of the last `images` in a picture's path, and no label file is
a picture without objects. Coordinates are shares of the upright picture.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cia.errors import UserError
from cia.files import read_yaml
from cia.importing.pictures import (
    SPLITS,
    Description,
    Picture,
    Refused,
    Wanted,
    is_picture,
    list_files,
    ordered,
    require_either,
    split_named,
)

_NO_STRAYS = (".txt", ".cache", ".npy", ".yaml", ".yml", ".json", ".csv", ".md")
"""Suffixes of what lies beside pictures and was never meant for one."""


def describe(settings: Mapping, task: str) -> Description:
    """Return `names`, the splits, and what the file says of keypoints."""
    path, data = _data(settings)
    names = data.get("names")
    if isinstance(names, Mapping):
        names = [str(names[key]) for key in _by_number(path, names)]
    elif isinstance(names, list):
        names = list(map(str, names))
    else:
        names = [str(number) for number in range(int(data.get("nc") or 0))]
    if not names:
        raise UserError(f"{path}: it has no `names`, and they can't be told without")
    known = {"kpt_shape": data.get("kpt_shape"), "flip_idx": data.get("flip_idx")}
    keys = {key: value for key, value in known.items() if value}
    return Description(tuple(names), ordered(_entries(path, data)), keys)


def watch(settings: Mapping) -> list[Path]:
    """Return data.yaml, and the folders and lists of pictures with the folders of their labels."""
    path, data = _data(settings)
    found = [path]
    for places in _entries(path, data).values():
        for place in places:
            if place.is_dir():
                found += [place, Path(_label_path(f"{place}/x")).parent]
            else:
                found.append(place)
                folders = {os.path.dirname(picture) for picture in _from_list(place, path, data)}
                found += [Path(folder) for folder in sorted(folders)]
                found += [Path(_label_path(f"{folder}/x")).parent for folder in sorted(folders)]
    return list(dict.fromkeys(found))


def read(settings: Mapping, wanted: Wanted) -> Iterator[Picture | Refused]:
    """Yield the pictures of each split."""
    if wanted.task == "classification":
        raise UserError("format: yolo has no classifications; a folder per class is imagefolder")
    path, data = _data(settings)
    names = describe(settings, wanted.task).names
    seen: dict[str, str] = {}
    for split, places in _entries(path, data).items():
        pictures = []
        for place in places:
            if place.is_dir():
                for name in list_files(place):
                    if is_picture(name):
                        pictures.append(f"{place}/{name}")
                    elif not name.lower().endswith(_NO_STRAYS):
                        yield Refused(f"{place}/{name}", "not a picture of a known suffix", split)
            else:
                pictures += _from_list(place, path, data)
        pictures = list(dict.fromkeys(pictures))
        _require_labels(pictures, split)
        root = _common(list(filter(os.path.lexists, pictures)) or pictures)
        for picture in pictures:
            if (first := seen.setdefault(picture, split)) != split:
                yield Refused(picture, f"listed for {first}, too; that one counts", split, True)
                continue
            label, problem = _label(picture, names, wanted)
            inside = picture.startswith(f"{root}{os.sep}")
            name = os.path.relpath(picture, root) if inside else os.path.basename(picture)
            yield Picture(picture, name, split, label, problem)
    yield from _orphans(seen)


def _data(settings: Mapping) -> tuple[Path, dict]:
    path = require_either(settings["path"])
    if path.is_dir():
        files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
        files = [file for file in files if file.stem == "data"] or files
        if len(files) != 1:
            raise UserError(
                f"path: {path} has {'no' if not files else 'several'} .yaml files; name the one "
                "with `names` and `train`"
            )
        path = files[0]
    data = read_yaml(path)
    if not isinstance(data, dict) or not data.get("train"):
        raise UserError(f"{path}: no data.yaml of YOLO, since it has no `train`")
    return path, data


def _by_number(path: Path, names: Mapping) -> list:
    try:
        numbers = sorted(names, key=int)
    except (TypeError, ValueError):
        numbers = []
    if [int(number) for number in numbers] != list(range(len(names))):
        raise UserError(f"{path}: the keys of `names` are not the numbers 0, 1, 2, ...")
    return numbers


def _entries(path: Path, data: Mapping) -> dict[str, list[Path]]:
    """Return the folders and lists of each split that the file names."""
    found: dict[str, list[Path]] = {}
    for key, value in data.items():
        split = split_named(str(key))
        if split and value:
            places = value if isinstance(value, list) else [value]
            found.setdefault(split, []).extend(_place(path, data, str(place)) for place in places)
    return {split: found[split] for split in SPLITS if split in found}


def _roots(path: Path, data: Mapping) -> list[Path]:
    """List the folders that entries may be meant from: `path` of the file, and its own."""
    return [path.parent / str(data.get("path") or "."), path.parent]


def _place(path: Path, data: Mapping, name: str) -> Path:
    """Return the folder or list that an entry means.

    Roboflow writes ../train/images for train/images, which ultralytics takes, too.
    """
    roots = _roots(path, data)
    for candidate in (name, *([name[3:]] if name.startswith("../") else [])):
        for root in roots:
            if (place := Path(os.path.normpath(root / candidate))).exists():
                return place
    tried = " or ".join(dict.fromkeys(os.path.normpath(root / name) for root in roots))
    raise UserError(f"{path}: there is no {tried}; correct `path`, or the entry {name!r}")


def _from_list(place: Path, path: Path, data: Mapping) -> list[str]:
    """Return the pictures that a .txt file lists; `./` means its own folder."""
    found = []
    for line in place.read_text(encoding="utf-8-sig").splitlines():
        if not (name := line.strip()):
            continue
        roots = [place.parent] if name.startswith("./") else [*_roots(path, data), place.parent]
        candidates = [os.path.normpath(root / name) for root in roots]
        found.append(next(filter(os.path.lexists, candidates), candidates[0]))
    return found


def _common(pictures: list[str]) -> str:
    """Return the folder that all pictures of a split are in."""
    folders = {os.path.dirname(picture) for picture in pictures}
    return os.path.commonpath(folders) if folders else "."


def _label_path(picture: str) -> str:
    """Return where a picture's labels are, as `ultralytics.data.utils.img2label_paths` does."""
    before, between, after = picture.rpartition("/images/")
    moved = f"{before}/labels/{after}" if between else picture
    return os.path.splitext(moved)[0] + ".txt"


def _require_labels(pictures: list[str], split: str) -> None:
    """Refuse a split without any label file, which is in another place more often than empty."""
    if pictures and not any(os.path.lexists(_label_path(picture)) for picture in pictures):
        raise UserError(
            f"none of the {len(pictures)} pictures of {split} has a label file: that of "
            f"{pictures[0]} would be {_label_path(pictures[0])}. Move the label files there; if "
            "all these pictures show no object, write an empty file for one of them"
        )


def _orphans(pictures: Iterable[str]) -> Iterator[Refused]:
    """Yield the label files of no picture, in folders that are for them alone."""
    expected = {_label_path(picture) for picture in pictures}
    folders = {os.path.dirname(path) for path in expected}
    for folder in sorted(folders - {os.path.dirname(picture) for picture in pictures}):
        names = f"{folder}/classes.txt"  # of labelImg
        for name in list_files(folder) if os.path.isdir(folder) else ():
            path = f"{folder}/{name}"
            if name.endswith(".txt") and "/" not in name and path not in expected and path != names:
                yield Refused(path, "labels of a picture that is not there, or not listed")


def _label(picture: str, names: tuple[str, ...], wanted: Wanted) -> tuple[str | None, str]:
    """Return the lines of a picture, or what is wrong with them."""
    path = _label_path(picture)
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except FileNotFoundError:
        if os.path.islink(path):
            return None, f"{path} is a broken link; fetch its file (git annex get, dvc pull)"
        return "", ""
    except (OSError, UnicodeDecodeError) as error:
        return None, f"{path} can't be read: {error}"
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        if fields := line.split():
            try:
                index = wanted.index(_name(fields[0], names))
                numbers = _inside(fields[1:], wanted) if index is not None else ()
            except ValueError as error:
                return None, f"{path}: line {number}: {error}"
            if index is not None:
                lines.append(" ".join([str(index), *numbers]))
    return "\n".join(lines), ""


def _name(text: str, names: tuple[str, ...]) -> str:
    number = float(text)  # some programs write 0.0
    if not number.is_integer() or not 0 <= number < len(names):
        raise ValueError(f"class {text} is out of range (0 to {len(names) - 1})")
    return names[int(number)]


def _inside(words: list[str], wanted: Wanted) -> list[str]:
    """Return a line's numbers as they are; those of a box or polygon out by a hair are cut."""
    values = [float(word) for word in words]
    if len(values) == 4:
        cx, cy, width, height = values
        sides = cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
        return words if min(sides) >= 0 and max(sides) <= 1 else _cut(words, sides, wanted)
    is_polygon = not wanted.kpt_shape and len(values) >= 6 and len(values) % 2 == 0
    if is_polygon and (min(values) < 0 or max(values) > 1):
        import numpy as np

        from cia.importing.frames import SHARES, cut_points

        points = cut_points(np.array(values).reshape(-1, 2), SHARES, wanted)
        return [f"{value:.9g}" for value in points.ravel().tolist()]
    return words


def _cut(words: list[str], sides: tuple, wanted: Wanted) -> list[str]:
    from cia.importing.frames import SHARES, cut_box, line_of_box

    cut = cut_box(sides, SHARES, wanted)
    return words if cut == sides else line_of_box(0, cut).split()[1:]
