"""What every script does around its work: a log, and errors that a person can read."""

import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from cia.errors import UserError
from cia.files import explain_full, is_full
from cia.progress import QUIET_JOBS
from cia.runtime import gpus
from cia.runtime.provenance import write_record

logger = logging.getLogger("cia")


def run(main: Callable[[Any], None], job: Any, shown: bool = False) -> None:
    """Run a script's `main(job)`, logging to the job's log file and to stderr.

    A record of what the job ran with is left beside its log.

    Parameters
    ----------
    main : callable
        Takes the job.
    job : object
        What Snakemake hands to a script: input, output, params, wildcards, threads, resources, log.
    shown : bool
        What it logs is what the user wants to read, so it goes to stderr even where a run shows
        its progress there; of other jobs, then, only errors do.

    Raises
    ------
    SystemExit
        With status 1 after a `UserError` or on a full disk, where a message is logged without a
        traceback. Any other error is logged with its traceback and raised on.
    """
    _configure_logging(job.log[0] if job.log else None, shown)
    _limit_threads(job.threads)
    held: list[IO] = []
    try:
        held = _choose_gpus(job.resources.get("gpu", 0))
        main(job)
        if job.log:
            write_record(job)
    except UserError as error:
        logger.error("%s", error)
        sys.exit(1)
    except Exception as error:
        if full := _find_full(error):
            logger.error("%s", _explain(full, job))
            sys.exit(1)
        logger.exception("The job failed.")
        raise
    finally:
        for file in held:
            file.close()


def _find_full(error: BaseException | None) -> OSError | None:
    """Return the full disk among the causes of an error; libraries pack it into their own."""
    while error is not None:
        if is_full(error):
            return error
        if os.strerror(errno.ENOSPC) in str(error):
            return OSError(errno.ENOSPC, str(error))
        error = error.__cause__ or error.__context__
    return None


def _explain(full: OSError, job: Any) -> UserError:
    named = full.filename2 or full.filename
    folders = sorted({os.path.dirname(path) for path in job.output})
    return explain_full(full, *([named] if named else folders))


def _configure_logging(path: str | None, shown: bool) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path:
        if os.environ.get(QUIET_JOBS) and not shown:
            handlers[0].setLevel(logging.ERROR)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # ultralytics' bars are on stdout
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(path, mode="w", encoding="utf-8")
        file.handleError = lambda record: None  # where its disk is full, what stderr has is enough
        handlers.append(file)
    style = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=style, datefmt="%H:%M:%S", handlers=handlers)
    logging.captureWarnings(True)


def _limit_threads(threads: int) -> None:
    """Tell numeric libraries, loaded after this, how many cores the job has."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)


def _choose_gpus(wanted: int) -> list[IO]:
    """Show to libraries, loaded after this, the GPUs that are the job's; return what holds them."""
    names = gpus.candidates(os.environ)
    if not wanted or not names:
        return []
    held = gpus.take_gpus(wanted, names)
    os.environ[gpus.VISIBLE] = ",".join(held)
    logger.info("Using GPU %s", os.environ[gpus.VISIBLE])
    return list(held.values())
