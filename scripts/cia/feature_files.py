"""Saved features: an array, and a table that says which image each row is of."""

from pathlib import Path
from tokenize import TokenError
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


def load_array(path: str | Path) -> np.ndarray:
    """Load features, or class probabilities: float32, shape (n, d).

    Raises
    ------
    UserError
        If the file is not whole, holds pickled objects (which are never loaded) or other numbers.
    """
    try:
        with open(path, "rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, TokenError) as error:  # a header is parsed as Python's literals
        raise UserError(
            f"{path} is corrupt or truncated: not a whole .npy file of numbers. Delete it, and the "
            "next run makes it again"
        ) from error
    if array.dtype != np.float32 or array.ndim != 2:
        raise UserError(
            f"{path}: an array of {array.dtype} of shape {array.shape}; it must be float32, with a "
            "row for each image. Delete it, and the next run makes it again"
        )
    return array


def load_features(path: str | Path, rows: str | Path) -> FeatureSet:
    """Load features and their row table.

    Raises
    ------
    UserError
        If the file is damaged (see `load_array`), the two don't belong together, or a feature is
        NaN or infinity; the message names the images.
    """
    features, table = load_array(path), read_table(rows, "rows")
    if len(features) != len(table):
        raise UserError(
            f"{path}: an array of shape {features.shape}, and {len(table)} rows in {rows}; it "
            "must have one row of features for each. Delete both to make them again"
        )
    require_finite(features, table["image"].tolist(), path)
    return FeatureSet(features, table)


def require_finite(features: np.ndarray, images: list[str], where: str | Path) -> None:
    """Raise a `UserError` that names the images with a feature that is NaN or infinity."""
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        named = ", ".join(images[index] for index in bad[:5])
        raise UserError(
            f"{where}: {len(bad)} images have features that are NaN or infinity: {named}"
        )
