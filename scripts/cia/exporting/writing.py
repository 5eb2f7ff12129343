"""Exports: a folder that can be moved, with pictures and labels in the format of other programs."""

import logging
import os
import shutil
from collections import Counter
from pathlib import Path

from cia.catalog import EXPORTS, code
from cia.errors import UserError
from cia.exporting.pictures import Collection, place_pictures, require_unlike, stem, upright
from cia.files import write_yaml
from cia.runtime.made import forget, record

logger = logging.getLogger("cia")


def export_beside(summary: str | Path, data: Collection, form: str, copy: bool) -> None:
    """Export into the folder of export.yaml, which is written when all else is there.

    What was made is recorded, see `cia.runtime.made`.

    Parameters
    ----------
    summary : path
        export.yaml.
    data, form, copy
        See `write_export`.
    """
    folder = Path(summary).parent
    forget(folder)
    said = write_export(folder, data, form, copy)
    made = sorted(os.listdir(folder))
    write_yaml(summary, said)
    record(folder, names=made)


def write_export(folder: Path, data: Collection, form: str, copy: bool = False) -> dict:
    """Write pictures and labels in a format.

    Parameters
    ----------
    folder : Path
        Emptied first.
    data : Collection
    form : str
        One of `cia.catalog.EXPORTS`.
    copy : bool
        Copy pictures instead of linking them.

    Returns
    -------
    dict
        What export.yaml says: name, format, task, classes, pictures by split and origin, how many
        were drawn upright, and objects (or, of a classification, pictures) by class.

    Raises
    ------
    UserError
        If the format can't hold the task's labels, a class or a name.
    """
    part = EXPORTS[form]
    if data.task not in part.tasks:
        raise UserError(f"format {form} holds {part.holds}; it can't hold labels of {data.task}")
    module = code(part)
    straight = upright(data.pictures)
    names = [
        picture.name if as_it_is else f"{stem(picture.name)}.png"
        for picture, as_it_is in zip(data.pictures, straight, strict=True)
    ]
    paths = [
        module.picture_path(picture, name, data.classes)
        for picture, name in zip(data.pictures, names, strict=True)
    ]
    require_unlike(data.pictures, paths)
    shutil.rmtree(folder, ignore_errors=True)
    files = [picture.file for picture in data.pictures]
    place_pictures(folder, files, paths, straight, copy)
    module.write(folder, data, paths)
    repeated = sum(picture.copies > 1 for picture in data.pictures)
    if repeated and form != "yolo":
        logger.warning("%d pictures stand in the training set several times, here once.", repeated)
    summary = _summary(data, form, straight.count(False))
    logger.info("%d pictures as %s.", len(paths), form)
    return summary


def _summary(data: Collection, form: str, turned: int) -> dict:
    pictures: dict[str, dict[str, int]] = {}
    for picture in data.pictures:
        counts = pictures.setdefault(picture.split, {})
        counts[picture.origin] = counts.get(picture.origin, 0) + 1
    objects = Counter(
        data.class_of(line.split(maxsplit=1)[0])
        for picture in data.pictures
        for line in picture.label.splitlines()
        if line.strip()
    )
    return {
        "name": data.name,
        "format": form,
        "task": data.task,
        "pictures": pictures,
        "drawn_upright": turned,
        "classes": {name: objects[name] for name in data.classes},
    }
