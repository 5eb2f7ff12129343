"""Saved features: an array, and a table that says which image each row is of."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cia.errors import UserError
from cia.tables import read_table


class FeatureSet(NamedTuple):
    """Features of an image set.

    Attributes
    ----------
    features : numpy.ndarray
        float32, shape (n, d).
    rows : pandas.DataFrame
        id and image of each row.
    """

    features: np.ndarray
    rows: pd.DataFrame


def load_features(path: str | Path, rows: str | Path) -> FeatureSet:
    """Load features and their row table.

    Raises
    ------
    UserError
        If the two don't belong together, or a feature is not finite; the message names the images.
    """
    features, table = np.load(path, allow_pickle=False), read_table(rows, "rows")
    if features.ndim != 2 or len(features) != len(table):
        raise UserError(
            f"{path}: an array of shape {features.shape}, and {len(table)} rows in {rows}; it "
            "is to have one row of features for each. Delete both to make them again"
        )
    require_finite(features, table["image"].tolist(), path)
    return FeatureSet(features, table)


def require_finite(features: np.ndarray, images: list[str], where: str | Path) -> None:
    """Raise a `UserError` that names the images with a feature that is not finite."""
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        named = ", ".join(images[index] for index in bad[:5])
        raise UserError(f"{where}: {len(bad)} images have features that are not finite: {named}")
