"""Which pictures a training sees at which step.

Arms that are compared differ in their data alone, so what is counted in epochs (looks at val, decay
of the learning rate, warm-up) must not depend on the size of the training set. With `steps` set, an
epoch is a number of steps, the same for every set: a large set takes several epochs to be seen
whole, a small one is seen several times in one.
"""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cia import draws
from cia.training.options import LOOKS


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
        return self.line(epoch * self.draws, (epoch + 1) * self.draws)

    def line(self, start: int, end: int) -> np.ndarray:
        """Return a piece of that endless line of entries, int64, shape (end - start,)."""
        first, last = start // self.pictures, math.ceil(end / self.pictures)
        orders = [_order(self.seed, number, self.pictures) for number in range(first, last)]
        line = orders[0] if len(orders) == 1 else np.concatenate(orders)
        return line[start - first * self.pictures :][: end - start]


@lru_cache(maxsize=4)
def _order(seed: int, number: int, pictures: int) -> np.ndarray:
    return np.random.default_rng([seed, number]).permutation(pictures)


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
    epochs = min(LOOKS, steps)  # the check of the configuration wants a multiple
    return Schedule(pictures, steps // epochs * batch, epochs, batch, seed)


class Draw(NamedTuple):
    """One entry that a training sees: which, and when.

    Attributes
    ----------
    seed, epoch, position : int
        Of the training; from 0; its place in the epoch.
    row : int
        The entry.
    """

    seed: int
    epoch: int
    position: int
    row: int

    @contextmanager
    def randomness(self) -> Iterator[None]:
        """Let all that is random in the block be a function of seed, epoch and position.

        So a picture is augmented alike in whichever process, and beside whatever else, it is read.
        What is drawn outside of the block goes on as if nothing had been drawn in it.
        """
        import torch

        key = f"{self.seed} {self.epoch} {self.position}"
        number = draws.number("", key, size=8, byteorder="little")
        before = random.getstate(), np.random.get_state(), torch.get_rng_state()
        random.seed(number)
        np.random.seed(number % 2**32)
        # not torch.manual_seed, which remembers where it was called from for every GPU
        torch.default_generator.manual_seed(number)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
            torch.set_rng_state(before[2])


def seed_epoch(seed: int, epoch: int) -> None:
    """Make all that is random in an epoch, but for its draws, a function of seed and epoch."""
    import torch

    number = seed * 100_003 + epoch
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)


class EpochSampler:
    """The draws of one epoch, as torch's DataLoader takes them: set `epoch` before each."""

    def __init__(self, schedule: Schedule):
        self.schedule, self.epoch = schedule, 0

    def __len__(self) -> int:
        return self.schedule.draws

    def __iter__(self) -> Iterator[Draw]:
        rows = self.schedule.rows(self.epoch).tolist()
        for position, row in enumerate(rows):
            yield Draw(self.schedule.seed, self.epoch, position, row)
