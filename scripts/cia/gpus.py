"""A GPU of its own for each job, on a workstation or inside one allocation of Slurm.

Snakemake limits how many GPU jobs run at once, and leaves it to them which GPU each takes. A job
holds a lock file per GPU: the kernel frees it when the job ends, however it ends, and two runs of
one user on a workstation keep out of each other's way too.
"""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

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
    """
    owner = "-".join(filter(None, [str(os.getuid()), os.environ.get("SLURM_JOB_ID")]))
    folder = folder or Path(tempfile.gettempdir()) / f"cia-gpus-{owner}"
    folder.mkdir(exist_ok=True)
    wanted = min(wanted, len(names))
    waiting = False
    while len(held := _lock_free(wanted, names, folder)) < wanted:
        for file in held.values():  # two jobs that wait with half of what they want wait for ever
            file.close()
        if not waiting:
            logger.info("Waiting for %d of the GPUs %s", wanted, ", ".join(names))
            waiting = True
        time.sleep(1)
    return held


def _lock_free(wanted: int, names: list[str], folder: Path) -> dict[str, IO]:
    held: dict[str, IO] = {}
    for name in names:
        if len(held) == wanted:
            break
        file = open(folder / f"{name}.lock", "w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held[name] = file
        except BlockingIOError:
            file.close()
    return held
