"""What the arms of a study came to: read from the files of their trainings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cia.catalog import MAIN_METRIC, score_numbers
from cia.evidence.arms import StudyArm
from cia.evidence.resampling import accuracy, mean_average_precision, read_predictions
from cia.feature_files import load_features
from cia.files import read_yaml
from cia.labels.lines import split_label
from cia.metrics.comparing import metric_values
from cia.scores.proximity import copy_synthetic
from cia.shares import count_of_ratio
from cia.tables import read_table


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
    rows = [
        (image, fields[0])
        for image, label in zip(table["image"], table["label"], strict=True)
        for fields in dict.fromkeys(map(tuple, split_label(label)))  # once, as ultralytics does
    ]
    truth = pd.DataFrame(rows, columns=["image", "class"]).astype({"class": int})
    return test["image"].tolist(), truth


def read_arm(
    task: str,
    arm: Mapping,
    files: Mapping[str, str],
    features: Mapping[str, Mapping[str, str]],
    test: TestImages,
    seed: int,
) -> StudyArm:
    """Read what an arm reached with one seed.

    Parameters
    ----------
    task : str
        Of the dataset.
    arm : mapping
        One of `cia.config.studies.study_arms`.
    files : mapping
        Of its training: metrics (metrics.yaml), test (test.csv), mix (dataset.csv).
    features : mapping
        Entry of the config's `features` to its model (by whose name some metrics have theirs) and
        the files real, real_rows, synthetic, synthetic_rows, scores of the arm's image set; empty
        for an arm without synthetic images.
    test : TestImages
    seed : int
        For metrics that draw.
    """
    trained = read_yaml(files["metrics"])
    found = read_predictions(files["test"])
    if task != "classification":
        tested = mean_average_precision(found, test.truth, test.images, test.weights)["mAP50-95"]
    else:
        tested = accuracy(found, test.images, test.weights)
    train = read_table(files["mix"], "mixed").query("split == 'train'")
    synthetic = train.loc[train["origin"] == "synthetic", "id"].tolist()
    added = len(train) - arm["real"]
    return StudyArm(
        name=arm["name"],
        kind=arm["kind"],
        n_real=arm["real"],
        n_added=added,
        ratio=arm["ratio"],
        steps=(trained["steps"],),
        scores=np.array([tested.value]),
        resampled=tested.draws[np.newaxis],
        val=np.array([trained["val"][MAIN_METRIC[task]]]),
        against=arm["against"],
        metrics={
            f"{name}.{key}": value
            for name, paths in features.items()
            for key, value in _measure(paths, synthetic, seed).items()
        },
        short=_shortage(arm, added),
    )


def _shortage(arm: Mapping, added: int) -> str:
    """Say how many images an arm lacks; `all` is all that there are, however few."""
    asked = count_of_ratio(arm["ratio"], arm["real"])
    if added >= asked or arm["kind"] == "all":
        return ""
    return f"{added} of {asked} images with seed {arm['seed']}"


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
