"""A running Slurm, and a copy of the repository to run the demo in."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cluster import Cluster  # noqa: E402

from project import ROOT  # noqa: E402

MADE = (".git", ".venv", ".snakemake", "data", "results", "logs", "benchmarks", "runs")
"""What is in a checkout's root and not in a fresh clone."""


@pytest.fixture(scope="session")
def cluster():
    # a session that is told to end stops its Slurm first, jobs and all
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Cluster() as running:
        yield running


class Demo:
    """The demo in a clean copy of the repository, run word for word as the README says.

    It runs while other tests do: most of its time it waits for Slurm.
    """

    def __init__(self, folder: Path, environment: dict):
        self.checkout, self.log = folder / "checkout", folder / "demo.log"
        shutil.copytree(ROOT, self.checkout, symlinks=True, ignore=_made)
        config = os.environ.get("CONFIG", "").split()
        self.command = ["snakemake", "--profile", "slurm"]
        self.command += ["--configfile", "config/config.yaml", *config] if config else []
        self._start = time.monotonic()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.checkout,
                env={**environment, "CIA_PROGRESS": "off"},  # the tests read the text of each job
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def finish(self) -> str:
        """Wait for its end and return what Snakemake printed."""
        self.process.wait()
        print(f"$ {' '.join(self.command)}   ({time.monotonic() - self._start:.0f} s)")
        output = self.log.read_text()
        assert self.process.returncode == 0, output[-8000:]
        return output

    def kill(self) -> None:
        """End it and what it runs beside itself at once; its Slurm jobs end with the cluster."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="session")
def demo(cluster, tmp_path_factory):
    started = Demo(tmp_path_factory.mktemp("demo"), cluster.environment)
    yield started
    started.kill()  # asked to end, Snakemake would wait for its jobs for minutes


def _made(folder: str, names: list[str]) -> set[str]:
    """Return what is in a checkout that a fresh clone lacks."""
    made = MADE if Path(folder) == ROOT else ()
    return {name for name in names if name in made or name == "__pycache__"}
