"""A run's progress, in a line, in place of Snakemake's pages of job text.

A job's own is `cia.progress`, whose lines in the job's log this module reads.

`start` adds two things to Snakemake's logger, both of Python's `logging`: a handler that sees what
the run does (the events that logger plugins see), and a filter on the handler that writes to the
screen, which takes the text of each job from it. Errors, warnings and all else stay, and the file
in `.snakemake/log` has everything. A thread of its own reads the jobs' logs for how far they are.
Whatever goes wrong here gives the screen back to Snakemake, and the run goes on.
"""

import csv
import logging
import os
import queue
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from cia.progress import QUIET_JOBS, LoggedProgress, format_rate, read_progress

SWITCH = "CIA_PROGRESS"
"""Environment variable: `off` leaves Snakemake's own text as it is."""

ON_SCREEN, IN_FILE = 2.0, 10.0
"""Seconds between two looks where the line is rewritten in place, and where each is a new one."""

_EVENTS = frozenset({"job_info", "job_started", "job_finished", "progress", "group_info"})
_CHATTER = re.compile(
    r"Select jobs to execute\.\.\.|Job \d+ has been submitted with SLURM jobid|Submitted array job"
)
_NAMED = ("dataset", "generator", "condition", "source", "judge")
"""Wildcards that tell steps apart; jobs that differ in others (shard, seed, ...) are one step."""

_NOUNS = {"train": "models"}
"""Rules whose jobs are all one step, and each of which is told when it ends: what they make."""

_BETWEEN = " · "

_BUSY = 0.02
"""Share of the time that looking at logs may take."""


def start(
    logger: logging.Logger, planned: Iterable[tuple[str, dict]] = (), shards: int = 0
) -> "Monitor | None":
    """Show from now on how far the run is, unless the user wants the text of jobs or none.

    Parameters
    ----------
    logger : logging.Logger
        Snakemake's.
    planned : iterable of (str, dict)
        Rule and wildcards of each job that is to run. Without, steps are told without their totals.
    shards : int
        Among how many jobs the images of a plan are shared.

    Returns
    -------
    Monitor or None
        None with `--verbose`, `--quiet` (all or progress), CIA_PROGRESS=off, or if nothing of
        Snakemake writes to the screen. The logger's handlers close it when Snakemake removes them.
    """
    if os.environ.get(SWITCH) == "off" or logger.isEnabledFor(logging.DEBUG):
        return None
    try:
        screen = _find_screen(logger)
        if screen is None:
            return None
        monitor = Monitor(screen, Steps(planned, shards))
        logger.addHandler(monitor)
        return monitor
    except Exception:  # an update of Snakemake may change what this rests on
        return None


def _find_screen(logger: logging.Logger) -> logging.StreamHandler | None:
    """Return the handler that shows a run's progress on the screen, if there is one."""
    probe = logging.makeLogRecord({"event": "progress", "levelno": logging.INFO})
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(
            handler, logging.FileHandler
        ):
            return handler if handler.filter(probe) else None
    return None


@dataclass
class Job:
    """A job that runs.

    Attributes
    ----------
    name : str
        Rule and all wildcards.
    log : Path or None
    before : tuple
        What the log was like before: a log that an earlier run left says nothing.
    start : float
    reading : LoggedProgress or None
        What the log told last.
    """

    name: str
    log: Path | None
    before: tuple
    start: float
    seen: tuple = ()
    reading: LoggedProgress | None = None

    def read(self) -> None:
        """Read the log, if there is news in it."""
        now = _stamp(self.log)
        if now and now not in (self.before, self.seen):
            self.seen = now
            self.reading = read_progress(self.log) or self.reading

    def warnings(self) -> int:
        """Return how many warnings the log holds."""
        if not self.log or _stamp(self.log) in ((), self.before):
            return 0
        with open(self.log, encoding="utf-8", errors="replace") as lines:
            return sum(line[8:17] == " WARNING " for line in lines)

    @property
    def share(self) -> float:
        """How much of the job is done, from 0 to 1, as far as its log tells."""
        return self.reading.done / max(self.reading.total, 1) if self.reading else 0.0


def _stamp(path: Path | None) -> tuple:
    try:
        status = os.stat(path) if path else None
    except OSError:
        status = None
    return (status.st_ino, status.st_size, status.st_mtime_ns) if status else ()


@dataclass
class Step:
    """Jobs that do one thing together: the shards of a set, the splits of a dataset.

    Attributes
    ----------
    total : int
        Jobs to run; 0 if not known.
    images : int
        Images of the plan that the jobs share; 0 if they share none.
    running : dict
        Job's number to job.
    made, warnings : int
        Things in the finished jobs, and warnings in their logs.
    """

    rule: str
    name: str
    total: int = 0
    images: int = 0
    running: dict[int, Job] = field(default_factory=dict)
    finished: int = 0
    made: int = 0
    unit: str = ""
    warnings: int = 0
    seconds: float = 0.0
    start: float = 0.0

    def counts(self, shards: int) -> tuple[int, int]:
        """Return how many things are done, of how many; of none where it is not known.

        A plan's images that belong to shards made by an earlier run are done; those of shards that
        have not begun are a guess if others were made before, and exact if all are made now.
        """
        readings = [job.reading for job in self.running.values() if job.reading]
        done = self.made + sum(reading.done for reading in readings)
        seen = self.made + sum(reading.total for reading in readings)
        if not (self.images and shards and self.total):
            return done, seen
        begun = self.finished + len(readings)
        rest = max(self.images - seen, 0) / max(shards - begun, 1)
        missing = seen - done + rest * max(self.total - begun, 0)
        return max(self.images - round(missing), 0), self.images

    def describe(self, shards: int) -> str:
        """Return how far it is: `generate digits/canny 120 of 200 images, 6.4/s, 0:13 left`."""
        if self.rule in _NOUNS:
            of = f" of {self.total}" if self.total else ""
            return f"{self.name} {self.finished}{of} {_NOUNS[self.rule]}{self._epochs()}"
        done, total = self.counts(shards)
        if not total:
            many = f" {self.finished} of {self.total} jobs" if self.total > 1 else ""
            return self.name + many
        text = f"{self.name} {done} of {total} {self._unit()}"
        rate = sum(job.reading.rate for job in self.running.values() if _moves(job.reading))
        if rate and done < total:
            text += f", {format_rate(rate)}/s, {clock((total - done) / rate)} left"
        return text

    def summarize(self) -> str:
        """Return what came of it: `generate digits/canny: 200 images in 0:31`."""
        if self.made and self.rule not in _NOUNS:
            what = f"{self.made} {self._unit()}"
        elif self.finished > 1 or self.rule in _NOUNS:
            what = f"{self.finished} {_NOUNS.get(self.rule, 'jobs')}"
        else:
            what = "done"
        return f"{self.name}: {what} in {clock(time.monotonic() - self.start)}"

    def _epochs(self) -> str:
        """Return where the running trainings are: ` (epochs 2 to 7 of 10)`."""
        found = [job.reading for job in self.running.values() if job.reading]
        if not found:
            return ""
        done = sorted({reading.done for reading in found})
        of = max(reading.total for reading in found)
        epochs = f"epoch {done[0]}" if len(done) == 1 else f"epochs {done[0]} to {done[-1]}"
        return f" ({epochs} of {of})"

    def _unit(self) -> str:
        readings = [job.reading for job in self.running.values() if job.reading]
        return readings[-1].unit if readings else self.unit or "images"


def _moves(reading: LoggedProgress | None) -> bool:
    return reading is not None and reading.done < reading.total


class Steps:
    """What a run has done and does, by step.

    Parameters
    ----------
    planned, shards
        As of `start`.
    """

    def __init__(self, planned: Iterable[tuple[str, dict]] = (), shards: int = 0):
        planned = list(planned)
        self.shards, self.total, self.finished = shards, len(planned), 0
        self.steps: dict[str, Step] = {}
        self.left = Counter(rule for rule, _ in planned)
        self.spent: dict[str, list[float]] = {}
        self.start = time.monotonic()
        for rule, wildcards in planned:
            self._step(rule, wildcards).total += 1

    def begin(self, id_: int, rule: str, wildcards: dict, log: list, inputs: list) -> None:
        """Take note of a job that begins."""
        step = self._step(rule, wildcards)
        path = Path(log[0]) if log else None
        name = " ".join([rule, "/".join(map(str, wildcards.values()))]).strip()
        step.running[id_] = Job(name, path, _stamp(path), time.monotonic())
        step.start = step.start or time.monotonic()
        plans = [path for path in inputs if path.endswith("plan.csv")]
        if "shard" in wildcards and plans and not step.images:
            step.images = _count_rows(plans[0])

    def finish(self, id_: int) -> list[str]:
        """Take note of a job that ended well, and return what to say of it."""
        step = self._of(id_)
        if step is None:
            return []
        job = step.running.pop(id_)
        job.read()
        self.finished += 1
        self.left[step.rule] -= 1
        self.spent.setdefault(step.rule, []).append(time.monotonic() - job.start)
        step.finished += 1
        if job.reading:
            step.made, step.unit = step.made + job.reading.total, job.reading.unit
        found = job.warnings()
        step.warnings += found
        if step.rule in _NOUNS:
            seconds = time.monotonic() - job.start
            return [f"{job.name}: done in {clock(seconds)}" + _warned(found, job.log)]
        if step.finished != step.total or step.rule == "all":
            return []
        where = job.log if step.total == 1 else f"logs/{step.rule}/"
        return [step.summarize() + _warned(step.warnings, where)]

    def fail(self, id_: int) -> list[str]:
        """Take note of a job that failed, and return what to say of it."""
        step = self._of(id_)
        if step is None:
            return []
        job = step.running.pop(id_)
        log = f"; log: {job.log}" if job.log else ""
        return [f"{job.name}: FAILED after {clock(time.monotonic() - job.start)}{log}"]

    def look(self) -> str:
        """Read the logs of the running jobs and return a line that says how far all is."""
        active = [step for step in self.steps.values() if step.running]
        for step in active:
            for job in step.running.values():
                job.read()
        parts = [step.describe(self.shards) for step in active]
        of = f" of {self.total}" if self.total else ""
        left = self.seconds_left()
        parts.append(f"{self.finished}{of} jobs" + (f", about {clock(left)} left" if left else ""))
        return _BETWEEN.join(parts)

    def seconds_left(self) -> float:
        """Return a guess at the seconds that the rest of the run takes; 0 where there is no ground.

        A job takes as long as those of its rule did, or as all did; as many run at once as did.
        """
        times = [seconds for some in self.spent.values() for seconds in some]
        elapsed = time.monotonic() - self.start
        if not self.total or len(times) < max(3, self.total / 20):
            return 0.0
        usual = sum(times) / len(times)
        means = {rule: sum(some) / len(some) for rule, some in self.spent.items()}
        work = sum(count * means.get(rule, usual) for rule, count in self.left.items() if count > 0)
        running = [
            (job, means.get(step.rule, usual))
            for step in self.steps.values()
            for job in step.running.values()
        ]
        ran = [time.monotonic() - job.start for job, _ in running]
        for (job, mean), seconds in zip(running, ran, strict=True):
            work -= mean * job.share if job.share else min(seconds, mean * 0.9)
        return max(work, 0.0) * elapsed / max(sum(times) + sum(ran), 1e-9)

    def _step(self, rule: str, wildcards: dict) -> Step:
        kept = [] if rule in _NOUNS else [key for key in _NAMED if key in wildcards]
        named = [str(wildcards[key]) for key in kept]
        name = " ".join([rule, "/".join(named)]).strip()
        return self.steps.setdefault(name, Step(rule, name))

    def _of(self, id_: int) -> Step | None:
        return next((step for step in self.steps.values() if id_ in step.running), None)


def _count_rows(path: str) -> int:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return max(sum(1 for _ in csv.reader(file)) - 1, 0)
    except OSError:
        return 0


def clock(seconds: float) -> str:
    """Write a duration as 0:13, 6:20 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _warned(count: int, where: Any) -> str:
    return f" ({count} warning{'s' * (count != 1)}: {where})" if count else ""


class Monitor(logging.Handler):
    """Hears what Snakemake logs and writes, in a thread of its own, how far the run is.

    Parameters
    ----------
    screen : logging.StreamHandler
        The handler that writes to the screen.
    steps : Steps
    """

    def __init__(self, screen: logging.StreamHandler, steps: Steps):
        super().__init__(logging.INFO)
        self.screen, self.steps = screen, steps
        self.line = _Line(screen.stream)
        self._events: queue.SimpleQueue = queue.SimpleQueue()
        self._gave_up = False
        screen.addFilter(_refuse_job_text)
        screen.setStream(self.line)
        os.environ[QUIET_JOBS] = "yes"
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand an event on to the thread; the run does not wait for it."""
        event = None if self._gave_up else getattr(record, "event", None)
        try:
            if event == "job_info":
                named = (record.rule_name, dict(record.wildcards), list(record.log))
                self._events.put(
                    (self.steps.begin, (record.jobid, *named, list(map(str, record.input))))
                )
            elif event == "job_finished":
                self._events.put((self.steps.finish, (record.job_id,)))
            elif event == "job_error":
                self._events.put((self.steps.fail, (record.jobid,)))
        except Exception as error:
            self._give_up(error)

    def close(self) -> None:
        """Say what is still to be said and give the screen back."""
        self._events.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(5)
        self._give_back()
        super().close()

    def _work(self) -> None:
        try:
            pause = ON_SCREEN if self.line.on_terminal else IN_FILE
            told, due, soonest = "", time.monotonic() + pause, 0.0
            while (event := self._next(due)) is not None:
                if event and self._tell(*event) and self.line.on_terminal:
                    due = soonest
                begun = time.monotonic()
                if begun < due:
                    continue
                text = self.steps.look()
                if text != told:
                    told = text
                    self._locked(self.line.show, text)
                now = time.monotonic()
                soonest = now + (now - begun) / _BUSY
                due = max(now + pause, soonest)
        except Exception as error:
            self._give_up(error)

    def _next(self, due: float) -> Any:
        """Return an event, None at the end, or () when it is time to look."""
        try:
            return self._events.get(timeout=max(due - time.monotonic(), 0))
        except queue.Empty:
            return ()

    def _tell(self, note: Callable[..., list[str] | None], arguments: tuple) -> bool:
        """Take note of an event; say whether there was something to say of it."""
        said = note(*arguments) or []
        for text in said:
            self._locked(self.line.say, f"[{time.strftime('%H:%M:%S')}] {text}")
        return bool(said)

    def _locked(self, write: Callable[[str], None], text: str) -> None:
        self.screen.acquire()
        try:
            write(text)
        finally:
            self.screen.release()

    def _give_up(self, error: Exception) -> None:
        """Let Snakemake speak for itself again, and say so if that can be said."""
        if self._gave_up:
            return
        self._gave_up = True
        self._give_back()
        with suppress(Exception):
            self._locked(self.line.say, f"No more progress is shown ({error!r}).")

    def _give_back(self) -> None:
        self.screen.removeFilter(_refuse_job_text)
        os.environ.pop(QUIET_JOBS, None)
        if self.screen.stream is self.line:
            with suppress(OSError, ValueError):  # a pipe that nobody reads, a closed file
                self.line.clear()
            self.screen.setStream(self.line.stream)


def _refuse_job_text(record: logging.LogRecord) -> bool:
    if record.levelno > logging.INFO:
        return True
    event = getattr(record, "event", None)
    return event not in _EVENTS and not (event is None and _CHATTER.match(str(record.msg)))


class _Line:
    """A stream whose last line, on a terminal, is rewritten in place and gives way to others."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.on_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.shown = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        self.clear()
        return self.stream.write(text)

    def say(self, text: str) -> None:
        """Write a line that stays."""
        shown = self.shown
        self.write(self._fit(text) + "\n")
        if shown:
            self._draw(shown)
        self.stream.flush()

    def show(self, text: str) -> None:
        """Write how far it is."""
        if self.on_terminal:
            self.clear()
            self._draw(text)
            self.stream.flush()
        else:
            self.say(text)

    def clear(self) -> None:
        if self.shown:
            self.shown = ""
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self.shown = text
        if len(text) > width:  # what is said of the whole run comes last, and stays
            head, _, whole = text.rpartition(_BETWEEN)
            head = head[: max(width - len(whole) - len(_BETWEEN) - 1, 0)]
            text = f"{head}…{_BETWEEN}{whole}"[:width]
        self.stream.write(self._fit(text))

    def _fit(self, text: str) -> str:
        """Replace what the stream's encoding lacks."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            text = text.replace(_BETWEEN, " | ").replace("…", "~")
            text = text.encode(encoding, "replace").decode(encoding)
        return text
