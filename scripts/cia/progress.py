"""Progress in the log: how many of how many, how fast, how long still."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

logger = logging.getLogger("cia")

Item = TypeVar("Item")


class Progress:
    """Count finished things and log the rate, at most once every `interval` seconds.

    Parameters
    ----------
    total : int
        How many things there are to do.
    unit : str
        What they are, as a plural: `images`.
    interval : float
        Seconds between two lines of the log.
    """

    def __init__(self, total: int, unit: str, interval: float = 5.0):
        self.total, self.unit, self.interval = total, unit, interval
        self.done = 0
        self.start = self.last = time.monotonic()

    def add(self, count: int = 1) -> None:
        """Count `count` more things as done."""
        self.done += count
        now = time.monotonic()
        if self.done >= self.total or now - self.last >= self.interval:
            self.last = now
            self._log(now - self.start)

    def _log(self, seconds: float) -> None:
        rate = self.done / max(seconds, 1e-9)
        left = (self.total - self.done) / rate
        end = f", {left:.0f} s left" if left > 0 else f" in {seconds:.1f} s"
        logger.info("%d of %d %s, %.1f/s%s", self.done, self.total, self.unit, rate, end)


def track(items: Iterable[Item], total: int, unit: str) -> Iterator[Item]:
    """Yield the items and log progress after each."""
    progress = Progress(total, unit)
    for item in items:
        yield item
        progress.add()
