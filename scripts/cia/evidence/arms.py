"""Arms of a study: one training set each, and what the models trained on it reached."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

CLAIMS = ("classical", "random", "selection", "all", "ratio", "generator")
"""Kinds of arms that might be better than the control; Holm's correction is across all of these."""
CHOSEN = ("selection", "generator")
"""Kinds that are also held against a random choice of the same size, one family per kind."""
KINDS = ("real", "duplicated", "twice", "curve", *CLAIMS)


@dataclass(frozen=True)
class StudyArm:
    """One training set of a study, and what the models trained on it reached.

    Attributes
    ----------
    name : str
    kind : str
        real: N real images alone. duplicated: these, as often as the others have images in all
        (the control). classical: with classical augmentation. all, random, selection, ratio:
        with synthetic images, all, some at random, some selected, some shares. generator: made
        by another generator than those. twice: 2N real images. curve: other numbers of real
        images.
    n_real, n_added : int
        Real training images, and images added to them (repeated real ones too): the fewest of all
        seeds.
    ratio : float
        Images asked for per real one.
    steps : tuple of int
        Optimizer steps of the training with each seed.
    scores : numpy.ndarray
        Score on the test images, one per seed, the same seeds in every arm, shape (seeds,).
    resampled : numpy.ndarray
        Score on every draw of test images, the same draws in every arm, shape (seeds, draws).
    val : numpy.ndarray
        Score on the validation images, shape (seeds,).
    against : str or None
        The arm with as many of the same images, chosen at random.
    metrics : dict
        Name of a metric of the added images to its mean over seeds.
    short : str
        Where it has fewer images than asked for, and how many; or empty. Such an arm is shown,
        and not tested against others.
    """

    name: str
    kind: str
    n_real: int
    n_added: int
    ratio: float
    steps: tuple[int, ...]
    scores: np.ndarray
    resampled: np.ndarray
    val: np.ndarray
    against: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    short: str = ""


def join_seeds(arms: Sequence[StudyArm]) -> StudyArm:
    """Join what an arm reached with each seed; of metrics those that it has with every seed."""
    names = set.intersection(*(set(arm.metrics) for arm in arms))
    return replace(
        arms[0],
        n_added=min(arm.n_added for arm in arms),
        steps=tuple(step for arm in arms for step in arm.steps),
        scores=np.concatenate([arm.scores for arm in arms]),
        resampled=np.concatenate([arm.resampled for arm in arms]),
        val=np.concatenate([arm.val for arm in arms]),
        metrics={
            name: float(np.mean([arm.metrics[name] for arm in arms])) for name in sorted(names)
        },
        short="; ".join(arm.short for arm in arms if arm.short),
    )
