"""What is exported: pictures with their labels and origin, and how they get into a folder."""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from PIL import Image

from cia.errors import UserError
from cia.files import link_file
from cia.images import load_image, orientation, save_png
from cia.labels.objects import Object, parse_objects

logger = logging.getLogger("cia")

SPLITS = ("train", "val", "test")


class Picture(NamedTuple):
    """One picture of an export.

    Attributes
    ----------
    file : str
        Where it lies now.
    split : str
        train, val or test.
    origin : str
        real, synthetic or classical.
    id : str
    label : str
        See `cia.labels.objects`.
    width, height : int
        Upright, in pixels.
    caption : str
    sources : tuple of str
        Ids of the real pictures that it descends from; none of a real one.
    scores : dict
        Name (feature model, a dot, score) to number; where there are any.
    copies : int
        How often it stands in the training set.
    """

    file: str
    split: str
    origin: str
    id: str
    label: str
    width: int
    height: int
    caption: str = ""
    sources: tuple[str, ...] = ()
    scores: Mapping[str, float] = {}
    copies: int = 1

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.file.rpartition("/")[2]

    @property
    def source(self) -> str:
        """Return the sources as one text, for formats that hold no lists."""
        return ";".join(self.sources)


@dataclass(frozen=True)
class Collection:
    """All that a format writes.

    Attributes
    ----------
    name : str
        Of the whole, for formats that hold one.
    task : str
    classes : sequence of str
        Names in index order.
    pictures : list of Picture
        In order of splits.
    shape : mapping
        Of a pose, the dataset's kpt_shape, and if known flip_idx, skeleton and keypoints (names).
    """

    name: str
    task: str
    classes: Sequence[str]
    pictures: list[Picture]
    shape: Mapping = field(default_factory=dict)

    def objects(self, picture: Picture) -> list[Object]:
        """Return the objects of a picture."""
        return parse_objects(picture.label, self.task, self.shape.get("kpt_shape"))

    def class_of(self, index: str) -> str:
        """Return a class's name."""
        return self.classes[int(index)]

    def by_split(self) -> dict[str, list[int]]:
        """Return the places of each split's pictures, splits without any left out."""
        found = {split: [] for split in SPLITS}
        for place, picture in enumerate(self.pictures):
            found[picture.split].append(place)
        return {split: places for split, places in found.items() if places}

    def score_names(self) -> list[str]:
        """Return the names of all scores that a picture has."""
        return sorted({name for picture in self.pictures for name in picture.scores})


def pictures_of_mix(
    folder: Path,
    entries: pd.DataFrame,
    manifests: Mapping[str, pd.DataFrame],
    sources: pd.DataFrame | None,
    scores: Mapping[str, pd.DataFrame],
    task: str,
) -> list[Picture]:
    """Return the pictures of a training set, each once.

    Parameters
    ----------
    folder : Path
        data/mixed/.../{mix}.
    entries : pandas.DataFrame
        Its dataset.csv.
    manifests : mapping
        train, val, test and, if there are any, synthetic: the manifest of these images.
    sources : pandas.DataFrame or None
        id, source of the synthetic images.
    scores : mapping
        Feature model to the synthetic images' scores table.
    task : str
    """
    known = {name: _known(manifest) for name, manifest in manifests.items()}
    descent, numbers = _sources(sources), _scores(scores)
    copies = entries["image"].value_counts()
    found = []
    for row in entries.drop_duplicates("image").itertuples():
        file = f"{folder}/{row.image}"
        synthetic = row.origin == "synthetic"
        manifest = known.get("synthetic" if synthetic else row.split, {})
        stated = manifest.get(row.id) if row.origin != "classical" else None
        found.append(
            Picture(
                *(file, row.split, row.origin, row.id),
                row.label if task == "classification" else _read(f"{folder}/{row.label}"),
                *(stated or (*_size(file), "")),
                sources=descent.get(row.id, ()) if synthetic else (),
                scores=numbers.get(row.id, {}) if synthetic else {},
                copies=int(copies[row.image]),
            )
        )
    return found


def pictures_of_set(
    manifest: pd.DataFrame,
    labels: pd.DataFrame,
    sources: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
) -> list[Picture]:
    """Return the synthetic images of a generated set that have a label, as one split, train.

    Parameters
    ----------
    manifest, labels, sources : pandas.DataFrame
        Of the set.
    scores : mapping
        Feature model to its scores table.
    """
    texts = dict(zip(labels["id"], labels["label"], strict=True))
    known, descent, numbers = _known(manifest), _sources(sources), _scores(scores)
    files = dict(zip(manifest["id"], manifest["image"], strict=True))
    if without := sum(id_ not in texts for id_ in files):
        logger.warning("%d of %d images have no valid label; left out.", without, len(files))
    return [
        Picture(
            *(file, "train", "synthetic", id_, texts[id_], *known[id_]),
            sources=descent.get(id_, ()),
            scores=numbers.get(id_, {}),
        )
        for id_, file in files.items()
        if id_ in texts
    ]


def images_path(picture: Picture, name: str, classes: Sequence[str]) -> str:
    """Return where a picture lies in the folder, for formats that do not say it themselves."""
    return f"images/{picture.split}/{picture.origin}/{name}"


def upright(pictures: Sequence[Picture]) -> list[bool]:
    """Say of each picture whether its pixels are stored upright, as every program shows them.

    Those that EXIF turns are not: a program that does not know of it would see boxes beside the
    objects. Images that the workflow draws are upright.
    """
    return [picture.origin != "real" or _is_upright(picture.file) for picture in pictures]


def require_unlike(pictures: Sequence[Picture], paths: Sequence[str]) -> None:
    """Check that no two pictures would have one name, whatever the suffix: their labels would, too.

    Raises
    ------
    UserError
        Naming the first two.
    """
    seen: dict[str, str] = {}
    for picture, path in zip(pictures, paths, strict=True):
        other = seen.setdefault(stem(path), picture.file)
        if other != picture.file:
            raise UserError(f"{other} and {picture.file} would both be {path}; rename one of them")


def place_pictures(
    folder: Path, files: Sequence[str], paths: Sequence[str], straight: Sequence[bool], copy: bool
) -> None:
    """Put pictures into a folder: as hard links, or copies where that can't be or `copy` is set.

    Parameters
    ----------
    folder : Path
    files : sequence of str
        Where the pictures lie.
    paths : sequence of str
        Where they come to lie, relative to the folder.
    straight : sequence of bool
        Those that are not are drawn upright, as PNGs.
    copy : bool
    """
    for parent in {path.rpartition("/")[0] for path in paths}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    for file, path, as_it_is in zip(files, paths, straight, strict=True):
        target = f"{folder}/{path}"
        if not as_it_is:
            save_png(target, load_image(file))
        elif copy:
            shutil.copyfile(file, target)
        else:
            _link(file, target)


def stem(name: str) -> str:
    """Return a file's name without its suffix."""
    return name.rpartition(".")[0]


def _link(file: str, target: str) -> None:
    try:
        link_file(file, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(file, target)


def _known(manifest: pd.DataFrame) -> dict[str, tuple[int, int, str]]:
    columns = (manifest["width"].tolist(), manifest["height"].tolist(), manifest["caption"])
    return dict(zip(manifest["id"], zip(*columns, strict=True), strict=True))


def _sources(table: pd.DataFrame | None) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    if table is not None:
        for id_, source in zip(table["id"], table["source"], strict=True):
            found[id_] = (*found.get(id_, ()), source)
    return found


def _scores(tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for features, table in tables.items():
        columns = table.drop(columns=["id", "image"]).select_dtypes("number")
        names = [f"{features}.{name}" for name in columns]
        for id_, values in zip(table["id"], columns.to_numpy().tolist(), strict=True):
            known = {name: value for name, value in zip(names, values, strict=True)}
            own = found.setdefault(id_, {})
            own |= {name: value for name, value in known.items() if value == value}  # not NaN
    return found


def _read(path: str) -> str:
    with open(path, "rb", buffering=0) as file:  # less than half the time of a text file's opening
        return file.readall().decode("utf-8").strip("\n")


def _size(file: str) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def _is_upright(file: str) -> bool:
    with Image.open(os.fspath(file)) as image:
        return orientation(image) == 1
