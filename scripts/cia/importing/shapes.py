"""Masks and keypoints of a source as lines of labels."""

from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from cia.importing.frames import Frame, cut_box, cut_points, line_of_box
from cia.importing.pictures import Wanted
from cia.labels.masks import join_rings, rasterize, rle_to_mask, trace
from cia.labels.objects import Object, box_around, object_line

UNITED = "objects with overlapping parts became the outline of their union"


def shape_line(index: int, shape: Sequence, frame: Frame, wanted: Wanted) -> str:
    """Return the line of an object that has more than a box, for the wanted task.

    Parameters
    ----------
    index : int
        Of its class.
    shape : sequence
        A mask, as a list of rings (flat arrays of pixels) or COCO's run lengths; or for a pose the
        box's corners and the flat keypoints, x y v.
    frame : Frame
    wanted : Wanted

    Raises
    ------
    ValueError
        If the mask is empty, or its run lengths are not those of the picture.
    """
    if wanted.task == "pose":
        return _pose_line(index, *shape, frame, wanted)
    ring = cut_points(frame.points(_ring(shape[0], frame, wanted)), frame, wanted)
    if wanted.task == "segmentation":
        return object_line(Object(str(index), box_around(ring), polygon=ring), wanted.task)
    return line_of_box(index, box_around(ring))


def _pose_line(
    index: int, corners: Sequence[float], keypoints: array, frame: Frame, wanted: Wanted
) -> str:
    box = cut_box(frame.box(*corners), frame, wanted)
    points = np.array(keypoints, dtype=np.float64).reshape(-1, 3)
    points[:, :2] = frame.points(points[:, :2])
    labeled = points[:, 2] > 0
    if labeled.any():
        points[labeled, :2] = cut_points(points[labeled, :2], frame, wanted)
    points[~labeled] = 0  # turned or not, one that is not labeled is nowhere
    numbers = (
        wanted.kpt_shape[1] if wanted.kpt_shape else 3
    )  # x and y alone, if the dataset says so
    return object_line(Object(str(index), box, keypoints=points[:, :numbers]), "pose")


def _ring(mask: list[array] | Mapping, frame: Frame, wanted: Wanted) -> np.ndarray:
    """Return a mask as one ring, in the frame's pixels."""
    if isinstance(mask, Mapping):
        height, width = mask["size"]
        ring = trace(rle_to_mask(mask))
        if ring is None:
            raise ValueError("an empty mask")
        if (round(frame.width), round(frame.height)) != (width, height):
            raise ValueError(f"a mask of {width} x {height} pixels for a picture of another size")
        return ring * (frame.width, frame.height)
    rings = [np.array(ring).reshape(-1, 2) for ring in mask]
    if len(rings) > 1 and _near(rings) and not _far_out(rings, frame):
        counts, corner = _cover(rings)
        if (counts > 1).any():
            wanted.notes[UNITED] += 1
            return trace(counts > 0) * counts.shape[::-1] + corner
    return join_rings(rings)


def _near(rings: Sequence[np.ndarray]) -> bool:
    """Say whether parts of an object may share pixels, which even-odd would cut out."""
    boxes = np.array([[*ring.min(axis=0), *ring.max(axis=0)] for ring in rings])
    apart = (boxes[:, None, :2] >= boxes[None, :, 2:]).any(axis=2)
    near = ~(apart | apart.T)
    np.fill_diagonal(near, False)
    return bool(near.any())


def _far_out(rings: Sequence[np.ndarray], frame: Frame) -> bool:
    """Say whether parts leave their picture so far that rule `label` refuses them, whole or not."""
    shares = np.concatenate(rings) / (frame.width, frame.height)
    return bool(np.abs(shares - 0.5).max() > 1)


def _cover(rings: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return how many parts hold each pixel of a window around all of them, and its corner."""
    corners = np.array([np.floor(ring.min(axis=0)) for ring in rings], dtype=np.int64)
    ends = np.array([np.ceil(ring.max(axis=0)) for ring in rings], dtype=np.int64)
    ends = np.maximum(ends, corners + 1)
    corner = corners.min(axis=0)
    width, height = ends.max(axis=0) - corner
    counts = np.zeros((height, width), dtype=np.uint16)
    for ring, first, end in zip(rings, corners, ends, strict=True):
        sides = end - first
        (left, top), (right, bottom) = first - corner, end - corner
        counts[top:bottom, left:right] += rasterize((ring - first) / sides, *sides)
    return counts, corner
