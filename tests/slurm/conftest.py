"""A running Slurm, and a copy of the repository to run the demo in."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cluster import Cluster  # noqa: E402

from project import ROOT  # noqa: E402

MADE = (".git", ".venv", ".snakemake", "data", "results", "logs", "benchmarks", "runs")
"""What is in a checkout's root and not in a fresh clone."""


@pytest.fixture(scope="session")
def cluster():
    with Cluster() as running:
        yield running


@pytest.fixture
def checkout(tmp_path) -> Path:
    """The repository as a user finds it: nothing made yet."""

    def unwanted(folder, names):
        made = MADE if Path(folder) == ROOT else ()
        return {name for name in names if name in made or name == "__pycache__"}

    copy = tmp_path / "checkout"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=unwanted)
    return copy


@pytest.fixture
def arguments() -> list[str]:
    """What stands behind `snakemake --profile slurm`: nothing, or a shorter configuration."""
    config = os.environ.get("CONFIG")
    return ["--configfile", config] if config else []
