"""Training sets of real and synthetic images, whole in one folder that can be moved."""

import hashlib
import logging
import os
import shutil
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ExifTags, Image

from cia import draws
from cia.errors import UserError
from cia.files import link_file, write_text, write_texts, write_yaml
from cia.images import PNG_SIGNATURE, load_image, orientation, save_png
from cia.labels.lines import split_label
from cia.labels.objects import object_line, parse_objects
from cia.labels.shapes import labeled as labeled_points
from cia.remedies import command
from cia.shares import count_of_ratio
from cia.tables import COLUMNS, write_table

logger = logging.getLogger("cia")

_JPEGS = ("JPEG", "MPO")
_TIFF_COMPRESSIONS = {
    "raw",
    "packbits",
    "tiff_lzw",
    "tiff_adobe_deflate",
    "tiff_deflate",
    "jpeg",
    "group4",
}
"""Those that OpenCV reads, by Pillow's names."""

_EXIF_SHORT = 3
"""EXIF's type of a 16-bit number."""

_ORIENTATION_MARKS = (b"eXIf", b"exif", b"XML:com.adobe.xmp")
"""What stands in a PNG that may tell its orientation, before its pixels or after them."""

_UNSEEN = -0.005
"""Coordinate of a keypoint that is not labeled, where it has no visibility."""

YOLO_FILES = ("data.yaml", "train.txt", "val.txt", "test.txt")


def choose_entries(
    splits: Mapping[str, pd.DataFrame],
    synthetic: pd.DataFrame | None,
    settings: dict,
    seed: int,
    classical: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Choose what stands in a training set, and in its validation and test sets.

    Parameters
    ----------
    splits : mapping
        Split ("train", "val", "test") to its labeled real pictures: id, image, label.
    synthetic : pandas.DataFrame or None
        The selected synthetic images that have a label, best first: id, image, label.
    settings : dict
        One entry of the config's `mixes`: synthetic, unit, keep_training_size, duplicate.
    seed : int
        Decides which real pictures make room with `keep_training_size`.
    classical : pandas.DataFrame, optional
        Classically augmented pictures to add: id, image, label.

    Returns
    -------
    pandas.DataFrame
        Columns id, image, label, split, origin (real, synthetic or classical); one row per entry,
        so a duplicated picture has several.

    Raises
    ------
    UserError
        If a split has no labeled picture, or more pictures are to be replaced than there are.
    """
    for name, pictures in splits.items():
        if pictures.empty:
            raise UserError(f"The {name} split has no picture with a valid label; add some.")
    real = pd.concat([splits["train"]] * settings["duplicate"], keys=range(settings["duplicate"]))
    taken = _take(synthetic, len(splits["train"]), settings)
    if settings["keep_training_size"]:
        real = _make_room(real, len(taken), seed)
    parts = [real.assign(split="train", origin="real")]
    parts.append(taken.assign(split="train", origin="synthetic"))
    if classical is not None:
        columns = ["id", "image", "label"]
        parts.append(classical[columns].assign(split="train", origin="classical"))
    parts += [splits[name].assign(split=name, origin="real") for name in ("val", "test")]
    return pd.concat(parts, ignore_index=True)


def write_mix(
    folder: Path,
    entries: pd.DataFrame,
    task: str,
    classes: Sequence[str],
    keypoints: Mapping | None = None,
) -> None:
    """Write a training set: dataset.csv, the pictures, and what YOLO needs where there are objects.

    Pictures are hard links where the file system allows it (of symlinked ones to the real file),
    copies elsewhere, and PNGs of what OpenCV, and so ultralytics, would read otherwise than
    `load_image`. A label's path mirrors its
    picture's, with the last `images` as `labels`. No file names an absolute path.

    Parameters
    ----------
    folder : Path
        Emptied first, apart from files that this function does not make.
    entries : pandas.DataFrame
        From `choose_entries`.
    task : str
        `detection`, `segmentation`, `pose` or `classification`.
    classes : sequence of str
        Class names in index order.
    keypoints : mapping, optional
        Of a pose: kpt_shape, and flip_idx if there is one.
    """
    for part in ("images", "labels"):
        shutil.rmtree(folder / part, ignore_errors=True)
    for name in YOLO_FILES:
        (folder / name).unlink(missing_ok=True)
    redraw = {image: _is_read_otherwise(image) for image in entries["image"].unique()}
    entries = entries.assign(
        source=entries["image"],
        image=[
            _path_in_mix(*row, redraw[row[0]])
            for row in zip(entries["image"], entries["split"], entries["origin"], strict=True)
        ],
    )
    for parent in {image.rpartition("/")[0] for image in entries["image"]}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    once = entries.drop_duplicates("image")
    for source, image in zip(once["source"], once["image"], strict=True):
        if redraw[source]:
            save_png(folder / image, load_image(source))
        else:
            _link(source, f"{folder}/{image}")
    if task != "classification":
        entries = _write_yolo(folder, entries, task, classes, keypoints or {})
    write_table(folder / "dataset.csv", entries[COLUMNS["mixed"]], "mixed")


def labeled(manifest: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the pictures that have a label, with it: id, image, label, in manifest order.

    A picture without valid label is left out rather than taken for one without objects.
    """
    table = manifest[["id", "image"]].merge(labels[["id", "label"]], on="id", how="inner")
    if without := len(manifest) - len(table):
        logger.warning(
            "%d of %d pictures have no valid label and are left out.", without, len(manifest)
        )
    return table


def require_disjoint(manifests: Mapping[str, pd.DataFrame]) -> None:
    """Check that no picture is in two splits.

    Parameters
    ----------
    manifests : mapping
        Split to the manifest of its real pictures (id, image, sha256).

    Raises
    ------
    UserError
        Naming the first few pictures.
    """
    names = list(manifests)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            both = manifests[one].merge(manifests[other], on="sha256")
            if len(both):
                pairs = both[["image_x", "image_y"]].head(5).itertuples(index=False)
                listed = "; ".join(f"{left} and {right}" for left, right in pairs)
                raise UserError(
                    f"{len(both)} pictures are in both {one} and {other}: {listed}. Remove each "
                    "from one of them: a model must not be tested on what it was trained on."
                )


def require_from_train(synthetic: pd.DataFrame, sources: pd.DataFrame, train: pd.DataFrame) -> None:
    """Check that synthetic images descend from training pictures alone.

    Parameters
    ----------
    synthetic : pandas.DataFrame
        The selected images: id.
    sources : pandas.DataFrame
        id, source (id) and source_sha256 of every real picture that an image descends from. Splits
        may have pictures of one name, so the content is compared.
    train : pandas.DataFrame
        Manifest of the training split.

    Raises
    ------
    UserError
        Naming the first few images that descend from no known picture, or pictures that are not
        in the training split.
    """
    unknown = sorted(set(synthetic["id"]) - set(sources["id"]))
    if unknown:
        raise UserError(
            f"{len(unknown)} synthetic images descend from no known picture: "
            f"{', '.join(unknown[:5])}. Make the plan again: {command('--forcerun plan')}"
        )
    ancestors = sources[sources["id"].isin(synthetic["id"])]
    known = ancestors["source_sha256"].isin(train["sha256"])
    foreign = sorted(set(ancestors.loc[~known, "source"]))
    if foreign:
        raise UserError(
            f"{len(foreign)} synthetic images vary pictures that are not in the training split: "
            f"{', '.join(foreign[:5])}. Make the plan again: {command('--forcerun plan')}"
        )


def summarize_mix(
    entries: pd.DataFrame, settings: dict, asked: int, task: str, classes: Sequence[str]
) -> dict:
    """Return the numbers of a training set: entries by split and origin, and what was asked.

    `classes` counts, by class and origin, the objects (of a classification the pictures) of the
    training entries, and `backgrounds` those entries that are labeled to hold no object.
    """
    train = entries[entries["split"] == "train"]
    objects = Counter(
        (int(fields[0]), origin)
        for label, origin in zip(train["label"], train["origin"], strict=True)
        for fields in split_label(label)
    )
    origins = ["real", "synthetic"] + ["classical"] * ("classical" in set(train["origin"]))
    counts = entries["split"].value_counts()
    return {
        "settings": dict(settings),
        "train_real": int((train["origin"] == "real").sum()),
        "train_synthetic": int((train["origin"] == "synthetic").sum()),
        "train_classical": int((train["origin"] == "classical").sum()),
        "synthetic_asked": asked,
        "val": int(counts.get("val", 0)),
        "test": int(counts.get("test", 0)),
        "classes": {
            name: {origin: objects[index, origin] for origin in origins}
            for index, name in enumerate(classes)
        },
    } | ({"backgrounds": int((train["label"] == "").sum())} if task != "classification" else {})


def asked_synthetic(settings: dict, real: int) -> int:
    """Return how many synthetic images a mix asks for, beside `real` real training pictures."""
    return count_of_ratio(settings["synthetic"], real if settings["unit"] == "ratio" else 1)


def digest_entries(entries: pd.DataFrame, digests: pd.Series) -> str:
    """Return a digest of what the entries show and say, for Snakemake to see that it changed."""
    whole = hashlib.sha256()
    contents = entries["image"].map(digests)
    columns = (entries["split"], entries["origin"], contents, entries["label"])
    for row in zip(*columns, strict=True):
        whole.update(("\0".join(row) + "\0").encode())
    return whole.hexdigest()


def _take(synthetic: pd.DataFrame | None, real: int, settings: dict) -> pd.DataFrame:
    asked = asked_synthetic(settings, real)
    if not asked:
        return pd.DataFrame(columns=["id", "image", "label"])
    if synthetic is None:
        raise UserError(
            "this mix takes synthetic images, so it needs a generator and a selection; "
            "mixed/{dataset}/none/none/ is for mixes with `synthetic: 0`."
        )
    if len(synthetic) < asked:
        logger.warning("The mix asks for %d synthetic images; there are %d.", asked, len(synthetic))
    return synthetic.head(asked)


def _make_room(real: pd.DataFrame, places: int, seed: int) -> pd.DataFrame:
    """Return the real entries less as many as there are synthetic ones, chosen by seed and id."""
    if places > len(real):
        raise UserError(
            f"keep_training_size can't replace {places} of {len(real)} real training "
            "entries; lower `synthetic`, or set keep_training_size: false."
        )
    order = draws.order("cia-mix", ((seed, row.id, row.Index[0]) for row in real.itertuples()))
    return real.iloc[sorted(order[places:])]


def _write_yolo(
    folder: Path, entries: pd.DataFrame, task: str, classes: Sequence[str], keypoints: Mapping
) -> pd.DataFrame:
    """Write label files, lists and data.yaml; return the entries with their labels' paths.

    data.yaml names the task where it is not detection: ultralytics takes it from the model instead.
    """
    for source, image in zip(entries["source"], entries["image"], strict=True):
        if len(image.splitlines()) > 1:
            raise UserError(f"{source!r}: a list of files can't hold a line break; rename it.")
    entries = entries.assign(label_file=[_label_path(image) for image in entries["image"]])
    for (split, origin), rows in entries.groupby(["split", "origin"]):
        names = (path.rpartition("/")[2] for path in rows["label_file"])
        labels = (_as_ultralytics_reads(label, keypoints) for label in rows["label"])
        texts = (label + "\n" * bool(label) for label in labels)
        write_texts(folder / "labels" / split / origin, zip(names, texts, strict=True))
    for split, rows in entries.groupby("split"):
        write_text(folder / f"{split}.txt", "".join(f"./{image}\n" for image in rows["image"]))
    names = dict(enumerate(classes))
    lists = {split: f"{split}.txt" for split in ("train", "val", "test")}
    form = {"task": task, **keypoints} if task != "detection" else {}
    write_yaml(folder / "data.yaml", {**lists, "names": names, **form})
    return entries.assign(label=entries["label_file"])


def _as_ultralytics_reads(label: str, keypoints: Mapping) -> str:
    """Write keypoints of x and y that are not labeled as ultralytics knows them: negative.

    It takes 0 0 for the picture's corner, and refuses what is below -0.01.
    """
    if keypoints.get("kpt_shape", (0, 3))[1] == 3:
        return label
    objects = parse_objects(label, "pose", keypoints["kpt_shape"])
    moved = (
        found._replace(
            keypoints=np.where(labeled_points(found.keypoints)[:, None], found.keypoints, _UNSEEN)
        )
        for found in objects
    )
    return "\n".join(object_line(found, "pose") for found in moved)


def _path_in_mix(source: str, split: str, origin: str, as_png: bool) -> str:
    # A split's real and synthetic pictures may share an id, so each origin has its folder.
    name = f"{Path(source).stem}.png" if as_png else source.rpartition("/")[2]
    return f"images/{split}/{origin}/{name}"


def _label_path(image: str) -> str:
    return f"labels{image.removeprefix('images').rpartition('.')[0]}.txt"


def _is_read_otherwise(path: str) -> bool:
    """Whether OpenCV, or ultralytics around it, makes other pixels of a file than `load_image`.

    OpenCV drops the alpha channel instead of laying the picture on white, knows of an orientation
    from a JPEG's EXIF alone, so that boxes would lie beside their objects, and can't read 32-bit
    pictures, those of Lab colors, and some compressions of TIFF. ultralytics takes a JPEG with
    bytes after its end for damaged and encodes it again.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(len(PNG_SIGNATURE))
            is_png = content == PNG_SIGNATURE
            content += file.read() if is_png else b""
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(
            f"{path} is gone since the images were checked. Put a real one back; a synthetic one "
            f"is made again by {command('--forcerun generate')}"
        ) from None
    upright = is_png and not any(mark in content for mark in _ORIENTATION_MARKS)
    if upright and _is_plain_png(content):
        return False
    with Image.open(path) as image:
        open_ended = image.format in _JPEGS and _last_two_bytes(path) != b"\xff\xd9"
        packed = image.format == "TIFF" and image.info.get("compression") not in _TIFF_COMPRESSIONS
        odd = image.has_transparency_data or image.mode in ("I", "F", "LAB")
        if open_ended or packed or odd:
            return True
        return not upright and orientation(image) != 1 and not _opencv_turns(image, path)


def _is_plain_png(content: bytes) -> bool:
    """Whether a PNG surely is of 8-bit RGB without transparency, by its bytes.

    Pillow takes ten times as long to say so, and nearly all pictures of a large set are such.
    """
    if content[12:16] != b"IHDR" or content[24:26] != b"\x08\x02":
        return False
    start = len(PNG_SIGNATURE)
    while start + 8 <= len(content):
        kind = content[start + 4 : start + 8]
        if kind in (b"IDAT", b"tRNS"):
            return kind == b"IDAT"
        start += 12 + int.from_bytes(content[start : start + 4], "big")
    return False


def _opencv_turns(image: Image.Image, path: str) -> bool:
    """Whether OpenCV turns a picture as its orientation says.

    It does for a JPEG, unless ultralytics reads it as a TIFF by its suffix, and if the first APP1
    segment is EXIF's and has the orientation as a 16-bit number, of either byte order.
    """
    if image.format not in _JPEGS or path.lower().endswith((".tif", ".tiff")):
        return False
    first = next((data for segment, data in image.applist if segment == "APP1"), b"")
    tag = (ExifTags.Base.Orientation, _EXIF_SHORT, 1, orientation(image))
    entries = (struct.pack(order + "HHIH", *tag) for order in "<>")
    return first.startswith(b"Exif\0\0") and any(entry in first for entry in entries)


def _last_two_bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        file.seek(-2, os.SEEK_END)
        return file.read()


def _link(source: str, target: str) -> None:
    try:
        link_file(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
