"""Make the library importable, as it is beside the scripts, and give tests a project to run."""

import shutil
import sys

import pytest
from hypothesis import settings

from project import ROOT, Project, small_config

sys.path.insert(0, str(ROOT / "scripts"))

# On a busy machine an example may take longer than hypothesis allows by default.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture
def project(tmp_path) -> Project:
    """A project in which nothing ran yet."""
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A project whose workflow ran to its end; not to be changed, but for copies."""
    project = Project(tmp_path_factory.mktemp("finished") / "project")
    project.run()
    return project


@pytest.fixture
def copy_of_finished(finished, tmp_path) -> Project:
    """A project of one's own in which everything is made already."""
    copied = Project.__new__(Project)
    copied.folder, copied.config = tmp_path / "project", small_config()
    shutil.copytree(finished.folder, copied.folder, symlinks=True)
    return copied
