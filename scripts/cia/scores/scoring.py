"""Per-image scores (PTD): how good each synthetic image is, one column per score.

Most follow from features, the `SCORES` of `cia.catalog`: functions of `Inputs` that return columns.
See `cia.judging` for those that look at the images themselves.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cia.catalog import SCORES, code
from cia.errors import UserError
from cia.scores.inputs import Inputs


def score_features(
    real: np.ndarray,
    synthetic: np.ndarray,
    neighbors: int,
    classes: tuple[Sequence[str], Sequence[str]] | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Score every synthetic image by its features, by every score of the catalog.

    Parameters
    ----------
    real, synthetic : numpy.ndarray
        Features, shapes (n, d) and (m, d).
    neighbors : int
        Which neighbor counts, in scores by neighbors; at most n - 1 is taken.
    classes : tuple of sequences of str, optional
        Classes of the real and of the synthetic images, for distances within the class.

    Returns
    -------
    scores : dict
        Column to values, float64, shape (m,).
    nearest_real, nearest_synthetic : numpy.ndarray
        Rows of each image's nearest real and nearest other synthetic image (-1: there is none).

    Raises
    ------
    UserError
        If there are fewer than 3 real images, or they are all the same.
    """
    if len(real) < 3 or not np.ptp(real, axis=0).any():
        raise UserError(
            f"{len(real)} real images, or all with the same features, give no distance; a score "
            "needs 3 real training images that differ"
        )
    inputs = Inputs(real, synthetic, min(neighbors, len(real) - 1), classes)
    scores = {}
    for score in SCORES.values():
        scores |= code(score)(inputs)
    return scores, inputs.nearest_real[1][:, 0], inputs.nearest_synthetic[1]


def name_neighbors(
    synthetic: pd.DataFrame, real: pd.DataFrame, nearest_real: np.ndarray, nearest: np.ndarray
) -> pd.DataFrame:
    """Return which images the nearest ones are.

    Parameters
    ----------
    synthetic, real : pandas.DataFrame
        Row tables (id, image) of the two feature files.
    nearest_real, nearest : numpy.ndarray
        Rows, as `score_features` returns them.

    Returns
    -------
    pandas.DataFrame
        Columns id, nearest_real, nearest_synthetic (empty: there is no other).
    """
    names = synthetic["id"].to_numpy()
    return pd.DataFrame(
        {
            "id": names,
            "nearest_real": real["id"].to_numpy()[nearest_real],
            "nearest_synthetic": np.where(nearest >= 0, names[nearest], ""),
        }
    )
