"""Every object that a YOLO segmentation model sees, in ADE20K's colors."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cia.conditions.ade20k import indices_of, paint
from cia.conditions.likeness import mean_iou
from cia.conditions.weights import device, explained, find_file, local_files
from cia.errors import UserError
from cia.images import resize_image
from cia.quiet_ultralytics import import_ultralytics

logger = logging.getLogger("cia")


@dataclass
class YoloSegmentation:
    """Masks of all instances by an ultralytics model, each in the color of its ADE20K class.

    Attributes
    ----------
    model : str
        A .pt file, or a hub id or local folder that holds `filename`. The name of an official
        ultralytics file (yolo11n-seg.pt) that is not there is downloaded to that path.
    filename : str or None
        The file in the repository or folder.
    revision : str or None
        Revision of the hub repository.
    confidence : float
        The least confidence of an instance, 0 to 1.
    image_size : int
        Length of the longer side of the picture in which objects are sought.
    classes : dict
        The model's class names to ADE20K class names, where names alone don't match. Instances
        without counterpart (see `cia.conditions.ade20k.ALIASES`) are not drawn.
    """

    model: str = "yolo11n-seg.pt"
    filename: str | None = None
    revision: str | None = None
    confidence: float = 0.25
    image_size: int = 640
    classes: dict[str, str] = field(default_factory=dict)

    nothing: ClassVar[str] = "no object with an ADE20K counterpart found"
    compare: ClassVar[Callable] = staticmethod(mean_iou)
    interpolation: ClassVar[str] = "nearest"

    def extract(
        self, pictures: list[np.ndarray], sizes: list[tuple[int, int]]
    ) -> list[tuple[np.ndarray, int]]:
        """Return instance maps, with the number of instances drawn."""
        network, indices = self._loaded
        results = network.predict(
            [self._resized(picture)[..., ::-1] for picture in pictures],  # it takes BGR
            imgsz=self.image_size,
            conf=self.confidence,
            retina_masks=True,  # masks of the picture's size
            device=device(),
            verbose=False,
        )
        return [self._map(*pair, indices) for pair in zip(results, sizes, strict=True)]

    def weights(self) -> list[Path]:
        path = Path(self.model) / self.filename if self.filename else Path(self.model)
        return local_files(str(path))

    def _map(
        self, result: Any, size: tuple[int, int], indices: np.ndarray
    ) -> tuple[np.ndarray, int]:
        if result.masks is None:
            return paint(np.full(size[::-1], -1)), 0
        masks = result.masks.data.cpu().numpy() > 0.5
        predicted = result.boxes.cls.cpu().numpy().astype(int)
        classes = indices[predicted]
        if (classes < 0).any():
            lost = Counter(result.names[index] for index in predicted[classes < 0])
            logger.info("not drawn, without ADE20K counterpart: %s", dict(lost))
        drawn = classes >= 0
        return draw_instances(masks[drawn], classes[drawn], size), int(drawn.sum())

    def _resized(self, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        scale = self.image_size / max(width, height)
        return resize_image(picture, (max(1, round(width * scale)), max(1, round(height * scale))))

    @cached_property
    def _loaded(self) -> tuple[Any, np.ndarray]:
        ultralytics = import_ultralytics()
        with explained(self.model, "yolo_segmentation"):
            network = ultralytics.YOLO(str(self._file()), task="segment")
        if network.model.task != "segment":
            raise UserError(
                f"extractor yolo_segmentation: model {self.model!r} is for {network.model.task}, "
                "not segmentation; take one whose name ends in -seg"
            )
        names = [network.names[index] for index in range(len(network.names))]
        indices = indices_of(names, self.classes)
        if (indices < 0).all():
            raise UserError(
                f"extractor yolo_segmentation: no class of model {self.model!r} "
                f"({', '.join(names[:5])}, ...) has a counterpart of the same name in ADE20K; "
                "map them with `classes`"
            )
        return network, indices

    def _file(self) -> Path:
        if self.filename:
            return find_file(self.model, self.filename, self.revision)
        from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

        path = Path(self.model)
        if path.is_file():
            return path
        if path.name not in GITHUB_ASSETS_NAMES:
            raise FileNotFoundError(f"no such file, and no official ultralytics file {path.name!r}")
        return Path(attempt_download_asset(path))


def draw_instances(masks: np.ndarray, classes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Paint all instances, the smaller over the larger, so that none hides another wholly.

    Parameters
    ----------
    masks : numpy.ndarray
        bool, shape (instances, H, W).
    classes : numpy.ndarray
        Their ADE20K classes, shape (instances,).
    size : tuple of int
        Width and height of the map.

    Returns
    -------
    numpy.ndarray
        uint8 RGB, shape (height, width, 3).
    """
    import cv2

    canvas = np.full(size[::-1], -1, np.int64)
    for index in np.argsort(-masks.sum(axis=(1, 2)), kind="stable"):
        mask = cv2.resize(
            masks[index].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT
        )
        canvas[mask > 0] = classes[index]
    return paint(canvas)
