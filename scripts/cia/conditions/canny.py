"""Edges after Canny (1986), as ControlNet's canny models expect them: white on black."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from cia.conditions.likeness import edge_f1
from cia.images import resize_image


@dataclass
class Canny:
    """OpenCV's Canny edges of the gray picture, at the map's size.

    Attributes
    ----------
    low, high : int
        Thresholds of the gradient magnitude |gx| + |gy| (3x3 Sobel, at most 2040): an edge starts
        where it is above `high` and goes on while it is above `low`.
    thresholds : str
        `fixed`: these two. `auto`: see `auto_thresholds`; `low` and `high` don't count.
    """

    low: int = 100
    high: int = 200
    thresholds: str = "fixed"
    nothing: ClassVar[str] = "no edge found"
    compare: ClassVar[Callable] = staticmethod(edge_f1)
    interpolation: ClassVar[str] = "lines"

    def extract(
        self, pictures: list[np.ndarray], sizes: list[tuple[int, int]]
    ) -> list[tuple[np.ndarray, int]]:
        """Return edge maps, with 1 for found where there is any edge."""
        return [self._edges(resize_image(*pair)) for pair in zip(pictures, sizes, strict=True)]

    def weights(self) -> list[Path]:
        return []

    def _edges(self, picture: np.ndarray) -> tuple[np.ndarray, int]:
        import cv2

        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        low, high = self.low, self.high
        if self.thresholds == "auto":
            low, high = auto_thresholds(gray)
        edges = cv2.Canny(gray, low, high)
        return np.repeat(edges[..., None], 3, axis=2), int(edges.any())


def auto_thresholds(gray: np.ndarray) -> tuple[float, float]:
    """Choose Canny's thresholds from the picture.

    The high one is Otsu's threshold (1979) of the gradient magnitude, which parts it into edges and
    the rest; the low one is half of it (Fang, Yue, Yu: The study on an application of Otsu method
    in Canny operator, 2009). High is at least 30, since in a flat picture Otsu's would part noise
    from noise.

    Parameters
    ----------
    gray : numpy.ndarray
        uint8, shape (height, width).
    """
    import cv2

    gx = cv2.Sobel(gray, cv2.CV_16S, 1, 0)
    gy = cv2.Sobel(gray, cv2.CV_16S, 0, 1)
    magnitude = (np.abs(gx) + np.abs(gy)).astype(np.uint16)
    otsu, _ = cv2.threshold(magnitude, 0, 65535, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    high = max(float(otsu), 30.0)
    return high / 2, high
