"""Hugging Face: {split}/metadata.jsonl beside the pictures, which `datasets` reads as imagefolder.

Columns: label (a class's name), or objects: bbox (x, y, width, height in pixels) and category
(names), with segmentation (polygons, even-odd) or keypoints as in COCO; caption, origin, id,
source (real pictures, with `;` between), scores (JSON). `datasets` takes a column's type from what
it meets first, and from each split anew: so no column has a gap or a list that is always empty.
https://huggingface.co/docs/datasets/image_dataset
"""

import json
from collections.abc import Sequence
from pathlib import Path

from cia.exporting.coco import shape_of
from cia.exporting.pictures import Collection, Picture

_LINE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def picture_path(picture: Picture, name: str, classes: Sequence[str]) -> str:
    """Return where a picture lies in the folder."""
    return f"{picture.split}/{picture.origin}/{name}"


def write(folder: Path, data: Collection, paths: Sequence[str]) -> None:
    """Write a table for each split, beginning with a picture that shows an object.

    Parameters
    ----------
    folder : Path
    data : Collection
    paths : sequence of str
        Of the pictures, relative to the folder.
    """
    for split, places in data.by_split().items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        with open(folder / split / "metadata.jsonl", "w", encoding="utf-8") as file:
            first = next((place for place in places if data.pictures[place].label), places[0])
            for place in [first, *(place for place in places if place != first)]:
                row = _row(data, data.pictures[place], paths[place].partition("/")[2])
                file.write(f"{_LINE(row)}\n")


def _row(data: Collection, picture: Picture, name: str) -> dict:
    row = {"file_name": name}
    if data.task == "classification":
        row["label"] = data.class_of(picture.label)
    else:
        row["objects"] = _objects(data, picture)
    return row | {
        "caption": picture.caption,
        "origin": picture.origin,
        "id": picture.id,
        "source": picture.source,
        "scores": _LINE(picture.scores),
    }


def _objects(data: Collection, picture: Picture) -> dict[str, list]:
    extra = {"segmentation": "segmentation", "pose": "keypoints"}.get(data.task)
    found: dict[str, list] = {"bbox": [], "category": []} | ({extra: []} if extra else {})
    for one in data.objects(picture):
        shape = shape_of(one, picture, holes=False)
        found["bbox"].append(shape["bbox"])
        found["category"].append(data.class_of(one.index))
        if extra:
            found[extra].append(shape[extra])
    return found
