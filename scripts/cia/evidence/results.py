"""What the arms of a study came to: read from the files of their trainings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cia.catalog import score_numbers
from cia.evidence.resampling import accuracy, mean_average_precision, read_predictions
from cia.feature_files import load_features
from cia.files import read_yaml
from cia.metrics.comparing import metric_values
from cia.scores.neighbors import copy_synthetic
from cia.tables import read_table

METRIC = {"classification": "accuracy", "detection": "mAP50-95"}
"""The metric that a study is about, by task."""


class Run(NamedTuple):
    """One arm with one seed.

    Attributes
    ----------
    score, val : float
        The study's metric, on test and on val.
    resampled : numpy.ndarray
        The score under each draw of test images, shape (draws,).
    added : int
        Training images beside the real ones, repeated real ones among them.
    steps : int
        Optimizer steps.
    metrics : dict
        Distribution metrics of its synthetic images, and the means of their scores.
    """

    score: float
    val: float
    resampled: np.ndarray
    added: int
    steps: int
    metrics: dict[str, float]


class TestImages(NamedTuple):
    """The test images of a study, the same for all arms.

    Attributes
    ----------
    images : list of str
        As the trained models' tables name them.
    truth : pandas.DataFrame
        Columns image, class: one row per object; of no use for classification.
    weights : numpy.ndarray
        How often each image is in each draw, shape (draws, images).
    """

    images: list[str]
    truth: pd.DataFrame
    weights: np.ndarray


def read_truth(mix: str | Path, labels: str | Path) -> tuple[list[str], pd.DataFrame]:
    """Return the test images of a training set, and the class of each of their objects.

    Parameters
    ----------
    mix : path
        dataset.csv of any arm: they share the test split.
    labels : path
        The test split's labels.
    """
    test = read_table(mix, "mixed").query("split == 'test'")[["id", "image"]]
    table = test.merge(read_table(labels, "labels"), on="id", validate="one_to_one")
    lines = table.assign(line=table["label"].str.split("\n")).explode("line")
    lines = lines[lines["line"] != ""].drop_duplicates(["image", "line"])  # as ultralytics does
    classes = lines["line"].str.split().str[0].astype(int)
    truth = pd.DataFrame({"image": lines["image"], "class": classes}).reset_index(drop=True)
    return test["image"].tolist(), truth


def read_run(
    task: str,
    paths: Mapping[str, str],
    real: int,
    test: TestImages,
    features: Mapping[str, Mapping[str, str]],
    seed: int,
) -> Run:
    """Read what one training came to.

    Parameters
    ----------
    task : str
        `detection` or `classification`.
    paths : mapping
        Files of the arm: model (metrics.yaml), test (test.csv), mix (dataset.csv).
    real : int
        How many real images it stands on.
    test : TestImages
    features : mapping
        Entry of the config's `features` to its model (by whose name some metrics have theirs) and
        the files real, real_rows, synthetic, synthetic_rows, scores of the arm's image set; empty
        for an arm without synthetic images.
    seed : int
        For metrics that draw.
    """
    trained = read_yaml(paths["model"])
    found = read_predictions(paths["test"])
    if task == "detection":
        tested = mean_average_precision(found, test.truth, test.images, test.weights)["mAP50-95"]
    else:
        tested = accuracy(found, test.images, test.weights)
    train = read_table(paths["mix"], "mixed").query("split == 'train'")
    synthetic = train.loc[train["origin"] == "synthetic", "id"].tolist()
    return Run(
        score=tested.value,
        val=trained["val"][METRIC[task]],
        resampled=tested.draws,
        added=len(train) - real,
        steps=trained["steps"],
        metrics={
            f"{name}.{key}": value
            for name, files in features.items()
            for key, value in _measure(files, synthetic, seed).items()
        },
    )


def _measure(files: Mapping[str, str], ids: Sequence[str], seed: int) -> dict:
    """Measure the synthetic images that an arm is trained on, and no others."""
    real, synthetic = (
        load_features(files[name], files[f"{name}_rows"]) for name in ("real", "synthetic")
    )
    chosen = synthetic.features[synthetic.rows["id"].isin(set(ids)).to_numpy()]
    if len(chosen) < 2:
        return {}  # a set of one has no spread to compare
    values = metric_values(real.features, chosen, files["model"], seed)
    scores = read_table(files["scores"])
    scores = scores[scores["id"].isin(set(ids))]
    means = {f"mean_{key}": float(scores[key].mean()) for key in score_numbers() if key in scores}
    # in the table it is the distance to any candidate, which says more about how many there were
    means["mean_copy_synthetic"] = float(copy_synthetic(real.features, chosen).mean())
    return {key: value for key, value in (values | means).items() if np.isfinite(value)}
