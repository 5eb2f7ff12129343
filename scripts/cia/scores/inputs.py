"""What scores by features are made from, and what several of them look up."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cia.neighbors import nearest_points


@dataclass(frozen=True)
class Inputs:
    """The features of two image sets; neighbors are sought once, when the first score asks.

    Attributes
    ----------
    real, synthetic : numpy.ndarray
        Features, shapes (n, d) and (m, d), n greater than `neighbors`.
    neighbors : int
        Which neighbor counts, in scores by neighbors.
    classes : tuple of sequences of str or None
        Classes of the real and of the synthetic images, where distances within the class are asked
        for.
    """

    real: np.ndarray
    synthetic: np.ndarray
    neighbors: int
    classes: tuple[Sequence[str], Sequence[str]] | None = None

    @cached_property
    def nearest_real(self) -> tuple[np.ndarray, np.ndarray]:
        """Distances to each synthetic image's nearest real ones, and their rows, (m, neighbors)."""
        return nearest_points(self.synthetic, self.real, self.neighbors)

    @cached_property
    def nearest_synthetic(self) -> tuple[np.ndarray, np.ndarray]:
        """Each image's distance to the nearest other synthetic one, and that one's row, (m,).

        NaN and -1 where there is no other.
        """
        if len(self.synthetic) < 2:
            return np.full(len(self.synthetic), np.nan), np.full(len(self.synthetic), -1)
        distances, index = nearest_points(self.synthetic, self.synthetic, 1, exclude_self=True)
        return distances[:, 0], index[:, 0]
