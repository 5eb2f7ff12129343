"""Subsets: draws of real training images, each contained in the larger ones of the same draw."""

import pandas as pd

from cia import draws
from cia.errors import UserError


def draw_subset(
    manifest: pd.DataFrame, labels: pd.DataFrame, task: str, dataset: str, real: int, draw: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw labeled pictures at random, by a hash of the draw's number and their id.

    Pictures of a classification are drawn class after class in turn, so that a small subset has
    all classes. More pictures of the same draw contain the fewer, and other pictures in the stock
    change the choice among these as little as can be.

    Parameters
    ----------
    manifest, labels : pandas.DataFrame
        Of the training split to draw from.
    task : str
        Of the dataset.
    dataset : str
        Its name, for messages.
    real : int
        How many pictures to draw.
    draw : int
        Which draw; another one is another sample.

    Returns
    -------
    manifest, labels : pandas.DataFrame
        The rows drawn, in the manifest's order.

    Raises
    ------
    UserError
        If the split has fewer labeled pictures.
    """
    stock = manifest.merge(labels, on="id", validate="one_to_one")
    if len(stock) < real:
        raise UserError(
            f"{real} real training images are asked for, but {dataset!r} has "
            f"{len(stock)} with a label. Lower `real` (2N counts, too) or `curve`."
        )
    stock["draw"] = [draws.digest("cia-subset", draw, id_) for id_ in stock["id"]]
    stock = stock.sort_values("draw")
    if task == "classification":
        stock = stock.assign(turn=stock.groupby("label").cumcount()).sort_values(["turn", "draw"])
    drawn = set(stock["id"].head(real))
    return manifest[manifest["id"].isin(drawn)], labels[labels["id"].isin(drawn)]
