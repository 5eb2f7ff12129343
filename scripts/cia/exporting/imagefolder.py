"""A folder for each class: {split}/{class}/, and dataset.csv beside."""

from collections.abc import Sequence
from pathlib import Path

from cia.errors import UserError
from cia.exporting.pictures import Collection, Picture
from cia.exporting.tables import write_index


def picture_path(picture: Picture, name: str, classes: Sequence[str]) -> str:
    """Return where a picture lies in the folder.

    Raises
    ------
    UserError
        If its class can't be a folder's name.
    """
    return f"{picture.split}/{_folder(classes[int(picture.label)])}/{picture.origin}_{name}"


def write(folder: Path, data: Collection, paths: Sequence[str]) -> None:
    """Write dataset.csv, and the folders of classes that have no picture in a split.

    Without them, splits would number the classes differently: libraries count folders.

    Parameters
    ----------
    folder : Path
    data : Collection
    paths : sequence of str
        Of the pictures, relative to the folder.
    """
    for split in data.by_split():
        for name in data.classes:
            (folder / split / _folder(name)).mkdir(parents=True, exist_ok=True)
    write_index(folder, data, paths, [data.class_of(one.label) for one in data.pictures])


def _folder(name: str) -> str:
    if "/" in name or "\0" in name or name.startswith(".") or not name.strip():
        raise UserError(
            f"class {name!r} can't be the name of a folder, which format imagefolder has for each "
            "class; rename it in `classes`, or export another format"
        )
    return name
