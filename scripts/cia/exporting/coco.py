"""COCO: annotations/{instances,keypoints}_{split}.json, and images/{split}/.

A file name is relative to images/{split}. Boxes are x, y, width, height in pixels from the
picture's corner. A mask is a list of polygons; with holes, which polygons of COCO can't have, it is
run lengths. https://cocodataset.org/#format-data
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from cia.exporting.pictures import Collection, Picture, images_path
from cia.labels.masks import mask_to_rle, rasterize
from cia.labels.objects import Object

_PARTS = {"pose": "keypoints"}
_DIGITS = 6
"""Of coordinates in pixels: a millionth of a pixel."""


picture_path = images_path


def write(folder: Path, data: Collection, paths: Sequence[str]) -> None:
    """Write a file of annotations for each split, picture by picture.

    Parameters
    ----------
    folder : Path
    data : Collection
    paths : sequence of str
        Of the pictures, relative to the folder.
    """
    (folder / "annotations").mkdir(parents=True)
    for split, places in data.by_split().items():
        path = folder / "annotations" / f"{_PARTS.get(data.task, 'instances')}_{split}.json"
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'{{"info": {_json({"description": data.name})},\n"licenses": [],\n')
            file.write(f'"categories": {_json(_categories(data))},\n"images": [\n')
            file.writelines(_rows(_images(data, paths, places)))
            file.write('],\n"annotations": [\n')
            file.writelines(_rows(_annotations(data, places)))
            file.write("]}\n")


def split_ring(ring: np.ndarray) -> list[np.ndarray]:
    """Return the rings that `cia.labels.masks.join_rings` joined, parts and holes.

    The bridges between them are walked there and back: without these the ways close earlier.

    Parameters
    ----------
    ring : numpy.ndarray
        (P, 2).
    """
    points = list(map(tuple, np.asarray(ring).tolist()))
    stack: list[tuple] = []
    seen: dict[tuple, list[int]] = {}
    rings = []
    for point in [*points, points[0]]:
        if seen.get(point):  # from there to here is closed
            start = seen[point][-1]
            loop = stack[start:]
            for corner in stack[start + 1 :]:
                seen[corner].pop()
            del stack[start + 1 :]
            if len(loop) > 2:
                rings.append(np.array(loop))
            continue
        seen.setdefault(point, []).append(len(stack))
        stack.append(point)
    return rings


def _categories(data: Collection) -> list[dict]:
    shape = {}
    if data.task == "pose":
        count = data.shape["kpt_shape"][0]
        names = data.shape.get("keypoints") or [f"keypoint {number}" for number in range(count)]
        pairs = data.shape.get("skeleton") or []
        shape = {"keypoints": list(names), "skeleton": [[a + 1, b + 1] for a, b in pairs]}
    return [
        {"id": index, "name": name, "supercategory": "", **shape}
        for index, name in enumerate(data.classes, 1)
    ]


def _images(data: Collection, paths: Sequence[str], places: Sequence[int]) -> Iterator[dict]:
    for number, place in enumerate(places, 1):
        picture = data.pictures[place]
        yield {
            "id": number,
            "file_name": paths[place].split("/", 2)[2],
            "width": picture.width,
            "height": picture.height,
            "caption": picture.caption,
            "origin": picture.origin,
            "sources": picture.sources,
            "scores": picture.scores,
        }


def _annotations(data: Collection, places: Sequence[int]) -> Iterator[dict]:
    number = 0
    for image, place in enumerate(places, 1):
        picture = data.pictures[place]
        for one in data.objects(picture):
            number += 1
            yield {
                "id": number,
                "image_id": image,
                "category_id": int(one.index) + 1,
                "iscrowd": 0,
                **shape_of(one, picture),
            }


def shape_of(one: Object, picture: Picture, holes: bool = True) -> dict:
    """Return bbox, area, segmentation and, of a pose, keypoints of an object, in pixels.

    Parameters
    ----------
    one : Object
    picture : Picture
    holes : bool
        Write a mask with holes as run lengths. Else it is one polygon, with bridges to its holes,
        that only even-odd is the same mask.
    """
    width, height = picture.width, picture.height
    left, top, right, bottom = one.box
    across, down = (right - left) * width, (bottom - top) * height
    box = [round(value, _DIGITS) for value in (left * width, top * height, across, down)]
    found = {"bbox": box, "area": round(across * down, _DIGITS), "segmentation": []}
    if one.polygon is not None:
        found |= _mask(one.polygon, width, height, holes)
    if one.keypoints is not None:
        found |= _keypoints(one.keypoints, width, height)
    return found


def _mask(ring: np.ndarray, width: int, height: int, holes: bool) -> dict:
    rings = split_ring(ring)
    if len(rings) > 1:
        masks = [rasterize(part, width, height) for part in rings]
        if np.sum(masks, axis=0, dtype=np.int64).max() > 1:  # a hole, which lies in a part
            mask = np.logical_xor.reduce(masks)
            if holes:
                return {"segmentation": mask_to_rle(mask), "area": float(mask.sum())}
            rings = [np.asarray(ring)]
    pixels = [part * (width, height) for part in rings or [np.asarray(ring)]]
    area = sum(map(_area, pixels))
    flat = [[round(value, _DIGITS) for value in part.ravel().tolist()] for part in pixels]
    return {"segmentation": flat, "area": round(area, _DIGITS)}


def _area(points: np.ndarray) -> float:
    x, y = points.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _keypoints(points: np.ndarray, width: int, height: int) -> dict:
    """Return x, y, v of each in pixels; what is not labeled is 0, 0, 0.

    Without visibility in the label a point counts as seen, unless it lies at negative numbers.
    """
    flat: list[float] = []
    labeled = 0
    for x, y, *visibility in points.tolist():
        seen = int(visibility[0]) if visibility else 2 * (min(x, y) >= 0)
        labeled += seen > 0
        flat += (round(x * width, _DIGITS), round(y * height, _DIGITS), seen) if seen else (0, 0, 0)
    return {"keypoints": flat, "num_keypoints": labeled}


def _rows(entries: Iterator[Mapping]) -> Iterator[str]:
    """Yield entries as JSON, with commas between and none at the end, which JSON refuses."""
    before = ""
    for entry in entries:
        yield before + _json(entry)
        before = ",\n"


def _json(data) -> str:
    return _ENCODE(data)


_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
