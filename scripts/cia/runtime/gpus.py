"""A GPU of its own for each job, on a workstation or inside one allocation of Slurm.

Snakemake limits how many GPU jobs run at once, and leaves it to them which GPU each takes. A job
holds a lock file per GPU: the kernel frees it when the job ends, however it ends, and two runs of
one user on a workstation keep out of each other's way too.
"""

import fcntl
import logging
import os
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

from cia.errors import UserError

logger = logging.getLogger("cia")

COUNT = "CIA_GPUS"
"""Environment variable with the number of GPUs; set where Snakemake got `--resources gpu=N`."""

VISIBLE = "CUDA_VISIBLE_DEVICES"


def candidates(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the GPUs to choose from; none where nobody counts them."""
    if COUNT not in environment:
        return []
    if VISIBLE in environment:
        return [name for name in environment[VISIBLE].split(",") if name]
    return [str(index) for index in range(int(environment[COUNT]))]


def take_gpus(wanted: int, names: list[str], folder: Path | None = None) -> dict[str, IO]:
    """Wait for `wanted` GPUs that no other job holds, and hold them.

    Parameters
    ----------
    wanted : int
        How many; no more than there are names are taken.
    names : list of str
        GPUs to choose from, as in CUDA_VISIBLE_DEVICES.
    folder : Path, optional
        Where the lock files are; by default one for each user in the folder for temporary files,
        and for each allocation of Slurm, which numbers its GPUs from 0.

    Returns
    -------
    dict
        Names of the GPUs, and the open files that hold them as long as they are open.

    Raises
    ------
    UserError
        If the folder is another user's, or a link.
    """
    owner = "-".join(filter(None, [str(os.getuid()), os.environ.get("SLURM_JOB_ID")]))
    folder = folder or Path(tempfile.gettempdir()) / f"cia-gpus-{owner}"
    handle = _open_private(folder)
    wanted = min(wanted, len(names))
    waiting = False
    try:
        while len(held := _lock_free(wanted, names, handle)) < wanted:
            for file in held.values():  # two jobs that wait with half of what they want never end
                file.close()
            if not waiting:
                logger.info("Waiting for %d of the GPUs %s", wanted, ", ".join(names))
                waiting = True
            time.sleep(1)
    except OSError as error:
        raise _not_private(folder, str(error)) from error
    finally:
        os.close(handle)
    return held


def _open_private(folder: Path) -> int:
    """Open a folder that nobody else may write to; it is made if it is not there.

    Everybody may make such a folder in the one for temporary files, and put links into it.
    """
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise _not_private(folder, error.strerror) from error
    if os.fstat(handle).st_uid != os.getuid():
        os.close(handle)
        raise _not_private(folder, "it belongs to another user")
    if stat.S_IMODE(os.fstat(handle).st_mode) != 0o700:  # one that an earlier version made
        os.fchmod(handle, 0o700)
    return handle


def _not_private(folder: Path, reason: str) -> UserError:
    return UserError(
        f"{folder}: can't hold this user's lock files for GPUs ({reason}). Have it removed, or "
        "set TMPDIR to a folder of your own: export TMPDIR=$HOME/tmp"
    )


def _lock_free(wanted: int, names: list[str], folder: int) -> dict[str, IO]:
    held: dict[str, IO] = {}
    for name in names:
        if len(held) == wanted:
            break
        path = f"{quote(name, safe='')}.lock"  # MIG-GPU-5f/1/0 is a name, too
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW  # and nothing is cut off
        file = os.fdopen(os.open(path, flags, 0o600, dir_fd=folder), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held[name] = file
        except BlockingIOError:
            file.close()
    return held
