"""Training sets of real and synthetic images, whole in one folder that can be moved."""

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cia.errors import UserError
from cia.files import write_text, write_yaml
from cia.tables import COLUMNS, write_table

logger = logging.getLogger("cia")


def choose_entries(
    splits: Mapping[str, pd.DataFrame], synthetic: pd.DataFrame | None, settings: dict, seed: int
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

    Returns
    -------
    pandas.DataFrame
        Columns id, image, label, split, origin (real or synthetic); one row per entry, so a
        duplicated picture has several.
    """
    real = splits["train"]
    taken = _take(synthetic, len(real), settings)
    if settings["keep_training_size"]:
        order = sorted(real.index, key=lambda row: _draw(seed, real.at[row, "id"]))
        real = real.loc[sorted(order[min(len(taken), len(real)) :])]
    parts = [real.assign(split="train", origin="real")] * settings["duplicate"]
    parts.append(taken.assign(split="train", origin="synthetic"))
    parts += [splits[name].assign(split=name, origin="real") for name in ("val", "test")]
    return pd.concat(parts, ignore_index=True)


def write_mix(folder: Path, entries: pd.DataFrame, task: str, classes: Sequence[str]) -> None:
    """Write a training set: dataset.csv, the pictures, and what YOLO needs for detection.

    Pictures are hard links where the file system allows it, copies elsewhere. A label's path
    mirrors its picture's, with the last `images` as `labels`. No file names an absolute path.

    Parameters
    ----------
    folder : Path
        Emptied first, apart from files that this function does not make.
    entries : pandas.DataFrame
        From `choose_entries`.
    task : str
        `detection` or `classification`.
    classes : sequence of str
        Class names in index order.
    """
    for part in ("images", "labels"):
        shutil.rmtree(folder / part, ignore_errors=True)
    entries = entries.assign(
        source=entries["image"],
        image=[
            f"images/{row.split}/{row.origin}/{Path(row.image).name}"
            for row in entries.itertuples()
        ],
    )
    for row in entries.drop_duplicates("image").itertuples():
        _link(Path(row.source), folder / row.image)
    if task == "detection":
        entries = _write_yolo(folder, entries, classes)
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


def require_no_leak(manifests: Mapping[str, pd.DataFrame], sources: Sequence[str]) -> None:
    """Check that no picture is in two splits, and that synthetic images come from train alone.

    Parameters
    ----------
    manifests : mapping
        Split to the manifest of its real pictures (id, image, sha256).
    sources : sequence of str
        Ids of the real pictures that the selected synthetic images vary.

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
    foreign = sorted(set(sources) - set(manifests["train"]["id"]))
    if foreign:
        raise UserError(
            f"{len(foreign)} synthetic images vary pictures that are not in the training split: "
            f"{', '.join(foreign[:5])}. Make the plan again: snakemake --forcerun plan"
        )


def summarize(entries: pd.DataFrame, settings: dict, asked: int) -> dict:
    """Return the numbers of a training set: entries by split and origin, and what was asked."""
    train = entries[entries["split"] == "train"]
    counts = entries["split"].value_counts()
    return {
        "settings": dict(settings),
        "train_real": int((train["origin"] == "real").sum()),
        "train_synthetic": int((train["origin"] == "synthetic").sum()),
        "synthetic_asked": asked,
        "val": int(counts.get("val", 0)),
        "test": int(counts.get("test", 0)),
    }


def asked_synthetic(settings: dict, real: int) -> int:
    """Return how many synthetic images a mix asks for, beside `real` real training pictures."""
    amount = settings["synthetic"] * (real if settings["unit"] == "ratio" else 1)
    return int(round(amount))


def _take(synthetic: pd.DataFrame | None, real: int, settings: dict) -> pd.DataFrame:
    asked = asked_synthetic(settings, real)
    if not asked:
        return pd.DataFrame(columns=["id", "image", "label"])
    if len(synthetic) < asked:
        logger.warning("The mix asks for %d synthetic images; there are %d.", asked, len(synthetic))
    return synthetic.head(asked)


def _write_yolo(folder: Path, entries: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Write label files, lists and data.yaml; return the entries with their labels' paths."""
    paths = []
    for row in entries.itertuples():
        path = Path("labels", *Path(row.image).parts[1:]).with_suffix(".txt")
        write_text(folder / path, row.label + "\n" * bool(row.label))
        paths.append(path.as_posix())
    for split, rows in entries.groupby("split"):
        write_text(folder / f"{split}.txt", "".join(f"./{image}\n" for image in rows["image"]))
    names = dict(enumerate(classes))
    lists = {split: f"{split}.txt" for split in ("train", "val", "test")}
    write_yaml(folder / "data.yaml", {**lists, "names": names})
    return entries.assign(label=paths)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


def _draw(seed: int, id_: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{id_}".encode(), digest_size=16, person=b"cia-mix").digest()
