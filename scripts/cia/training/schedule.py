"""Which pictures a training sees at which step.

Arms that are compared differ in their data alone, so what is counted in epochs (looks at val, decay
of the learning rate, warm-up) must not hang on the size of the training set. With `steps` set, an
epoch is a number of steps, the same for every set: a large set takes several epochs to be seen
whole, a small one is seen several times in one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LOOKS = 10
"""Epochs, so looks at val, of a training whose steps are set and can be divided by it."""


@dataclass(frozen=True)
class Schedule:
    """What a training goes through.

    Attributes
    ----------
    pictures : int
        Entries of the training set.
    draws : int
        Entries that an epoch sees, some of them twice or not at all.
    epochs : int
    batch : int
        Entries of one optimizer step.
    seed : int
    """

    pictures: int
    draws: int
    epochs: int
    batch: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch; its last batch may be smaller."""
        return math.ceil(self.draws / self.batch)

    def rows(self, epoch: int) -> np.ndarray:
        """Return which entries an epoch (from 0) sees, in order.

        The epochs share one endless line of random orders of all entries, so that over the whole
        training each entry is seen as often as any other, or once more. An epoch's rows depend on
        the seed and its number alone: a training that goes on after a kill sees the same.

        Returns
        -------
        numpy.ndarray
            int64, shape (draws,).
        """
        start, end = epoch * self.draws, (epoch + 1) * self.draws
        first, last = start // self.pictures, math.ceil(end / self.pictures)
        line = np.concatenate([self._order(number) for number in range(first, last)])
        return line[start - first * self.pictures :][: self.draws]

    def _order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self.seed, number]).permutation(self.pictures)


def make_schedule(pictures: int, settings: dict, seed: int) -> Schedule:
    """Return the schedule of a training.

    Parameters
    ----------
    pictures : int
        Entries of the training set.
    settings : dict
        One entry of the config's `trainers`: steps or epochs, batch.
    seed : int
    """
    batch, steps = settings["batch"], settings.get("steps")
    if not steps:
        alone = pictures % batch == 1 < pictures  # batch normalization can't train on one picture
        return Schedule(pictures, pictures - alone, settings["epochs"], batch, seed)
    least = math.ceil(steps / LOOKS)
    per_epoch = next(size for size in range(least, steps + 1) if steps % size == 0)
    return Schedule(pictures, per_epoch * batch, steps // per_epoch, batch, seed)


class EpochSampler:
    """The rows of one epoch, as torch's DataLoader takes them: set `epoch` before each."""

    def __init__(self, schedule: Schedule):
        self.schedule, self.epoch = schedule, 0

    def __len__(self) -> int:
        return self.schedule.draws

    def __iter__(self) -> Iterator[int]:
        return iter(self.schedule.rows(self.epoch).tolist())
