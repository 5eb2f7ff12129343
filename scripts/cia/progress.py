"""A job's progress, in its log: how many of how many, how fast, how long still; and to read it.

The run's progress is `cia.runtime.monitor`. It sees nothing of jobs on other nodes but their logs,
so the lines that a person reads are those that it reads: `Progress` and `log_epoch` write them,
`read_progress` understands them.
"""

import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

logger = logging.getLogger("cia")

Item = TypeVar("Item")

QUIET_JOBS = "CIA_QUIET_JOBS"
"""Environment variable that a run sets for its jobs: what they log goes to their log file alone."""

_THINGS = re.compile(r" INFO (\d+) of (\d+) ([^,\n]+), ([\d.]+)/s")
_EPOCHS = re.compile(r" INFO epoch (\d+) of (\d+):")
_TAIL = 8192
"""Bytes at the end of a log among which its latest progress is."""


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
    there : int
        How many of them were there before; they don't count for the rate.
    """

    def __init__(self, total: int, unit: str, interval: float = 5.0, there: int = 0):
        self.total, self.unit, self.interval = total, unit, interval
        self.done = self.there = there
        self.start = self.last = time.monotonic()

    def add(self, count: int = 1) -> None:
        """Count `count` more things as done."""
        self.done += count
        now = time.monotonic()
        if self.done >= self.total or now - self.last >= self.interval:
            self.last = now
            self.log()

    def log(self) -> None:
        """Log how far it is."""
        seconds = time.monotonic() - self.start
        rate = (self.done - self.there) / max(seconds, 1e-9)
        if self.done >= self.total:
            end = f" in {seconds:.1f} s"
        else:
            end = f", {(self.total - self.done) / rate:.0f} s left" if rate else ""
        done, total = self.done, self.total
        logger.info("%d of %d %s, %s/s%s", done, total, self.unit, format_rate(rate), end)


def track(items: Iterable[Item], total: int, unit: str) -> Iterator[Item]:
    """Yield the items and log progress after each."""
    progress = Progress(total, unit)
    for item in items:
        yield item
        progress.add()


def log_epoch(epoch: int, epochs: int, values: dict) -> None:
    """Log what an epoch (from 1) of a training came to."""
    logger.info("epoch %d of %d: %s", epoch, epochs, values)


def format_rate(rate: float) -> str:
    """Write things per second with enough digits to tell slow ones apart."""
    digits = 1 if rate >= 1 or not rate else 2 if rate >= 0.1 else 4
    return f"{rate:.{digits}f}"


class LoggedProgress(NamedTuple):
    """How far a job is, by its log.

    Attributes
    ----------
    done, total : int
    unit : str
        What is counted, as a plural.
    rate : float
        Things per second; 0 where it is not known.
    """

    done: int
    total: int
    unit: str
    rate: float


def read_progress(path: str | os.PathLike) -> LoggedProgress | None:
    """Return the latest progress that a log tells of, or None if it tells of none."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        text = file.read().decode("utf-8", "replace")
    matches = [*_THINGS.finditer(text), *_EPOCHS.finditer(text)]
    if not matches:
        return None
    done, total, *rest = max(matches, key=lambda match: match.start()).groups()
    unit, rate = rest or ("epochs", "0")
    return LoggedProgress(int(done), int(total), unit, float(rate))
