"""Commands that a person can paste, with what this run was started with.

Light on purpose: the Snakefile imports it for every dry run.
"""

import logging
import os
import shlex
from collections.abc import Iterable, Sequence

START = "CIA_COMMAND_START"
END = "CIA_COMMAND_END"
"""Environment variables by which jobs learn how their run was started; no param, so that a file by
another name reruns nothing. Slurm hands the environment on to its jobs."""


def command(arguments: str = "") -> str:
    """Return the line that runs Snakemake with these arguments, and else as this run was started.

    `command("--forcerun plan")` gives, say,
    `snakemake --cores all --forcerun plan --configfile my.yaml`.
    """
    parts = [os.environ.get(START, "snakemake --cores all"), arguments, os.environ.get(END, "")]
    return " ".join(filter(None, parts))


def remember_command(
    files: Iterable[str | os.PathLike], settings: Sequence[str], arguments: Sequence[str]
) -> None:
    """Keep for `command`, here and in jobs, how this run was started.

    Parameters
    ----------
    files : iterable of path
        What stands after --configfile.
    settings : sequence of str
        What stands after --config.
    arguments : sequence of str
        All of the command line. A profile in it says where jobs run, and on how many cores.
    """
    profile = _option(arguments, "--profile")
    start = ["--profile", profile] if profile else ["--cores", "all"]
    paths = [_shortest(os.fspath(path)) for path in files]
    end = ["--configfile", *paths] * bool(paths) + ["--config", *settings] * bool(settings)
    os.environ[START] = shlex.join(["snakemake", *start])
    os.environ[END] = shlex.join(end)


def _option(arguments: Sequence[str], name: str) -> str | None:
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
        if argument == name:
            return arguments[index + 1] if index + 1 < len(arguments) else None
    return None


def _shortest(path: str) -> str:
    return min(path, os.path.relpath(path), key=len)


class UnlockRemedy(logging.Filter):
    """Adds the command to what Snakemake says of a locked folder.

    A filter of its logger: the message is Snakemake's own, and comes before any of our code runs.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        message = record.getMessage()
        if "Directory cannot be locked" in message and command("--unlock") not in message:
            record.msg, record.args = f"{message}\nThe command: {command('--unlock')}", None
        return True


def suggest_unlock(logger: logging.Logger) -> None:
    """Have Snakemake's logger say how a lock is removed; once, however often this is called."""
    if not any(isinstance(one, UnlockRemedy) for one in logger.filters):
        logger.addFilter(UnlockRemedy())
