"""Make the library importable, as it is beside the scripts, and give tests a project to run."""

import os
import shutil
import sys
from functools import cache

import PIL.Image
import pytest
from filelock import FileLock
from hypothesis import settings

from project import ROOT, Project

sys.path.insert(0, str(ROOT / "scripts"))

# Before numeric libraries are loaded. The processes of pytest-xdist are as many as the cores: with
# more threads than that, libraries spend most of the time waiting for each other in busy loops.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from cia.generation.rounding import steady_rounding  # noqa: E402
from cia.quiet_ultralytics import copy_fonts  # noqa: E402

steady_rounding()  # before torch is loaded, as the workflow's jobs do

# On a busy machine an example may take longer than hypothesis allows by default.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


LONGEST = (
    *("test_study", "test_training"),  # of two processes one makes `finished`, none waits for it
    *(
        "workflow",
        "test_training_shapes",
        "test_tiny_models",
        "test_gallery",
        "test_faults",
        "test_conditions",
    ),
)
"""Folder and modules that take minutes: first, so that none is left over when others are done."""


def pytest_collection_modifyitems(items):
    """Put the longest modules first; the others stay in order."""

    def rank(item):
        names = (item.path.parent.name, item.path.stem)
        return min((LONGEST.index(name) for name in names if name in LONGEST), default=len(LONGEST))

    items.sort(key=rank)


PILLOW_S_OWN = PIL.Image.open


@pytest.fixture(autouse=True)
def pillow_stays_pillow():
    """No test leaves ultralytics' `Image.open` behind, which wants to install packages.

    It would meet the next test's damaged picture; `cia.quiet_ultralytics` takes it away.
    """
    yield
    assert PIL.Image.open is PILLOW_S_OWN, "import it by cia.quiet_ultralytics"


@pytest.fixture(autouse=True, scope="session")
def ultralytics_out_of_the_home_folder(tmp_path_factory):
    """Settings of ultralytics in a folder that outlives every test: its first import fixes it.

    With the fonts that it would fetch from the network.
    """
    folder = tmp_path_factory.mktemp("ultralytics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_CONFIG_DIR", str(folder))
        (folder / "Ultralytics").mkdir()
        copy_fonts(folder / "Ultralytics")
        yield


@pytest.fixture(autouse=True)
def process_as_it_was():
    """Take back what jobs and imports set for their process: tests share one."""
    environment = dict(os.environ)
    torch = sys.modules.get("torch")
    threads = torch and torch.get_num_threads()
    yield
    os.environ.clear()
    os.environ.update(environment)
    if torch:
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """A function from a family to the folder of its small random model, made once.

    Tests that change a model take a copy.
    """
    sys.path.insert(0, str(ROOT / "tools"))
    from random_model import save_random_model

    return cache(lambda family: save_random_model(family, tmp_path_factory.mktemp(family), True))


@pytest.fixture
def project(tmp_path) -> Project:
    """A project in which nothing ran yet."""
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A project whose workflow ran to its end; not to be changed, but for copies.

    Made once for all processes that pytest-xdist runs the tests in.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / "finished", shared / "finished.done"
    with FileLock(shared / "finished.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            Project(folder).run()
            done.touch()
    return Project.existing(folder)


@pytest.fixture
def copy_of_finished(finished, tmp_path) -> Project:
    """A project of one's own in which everything is made already."""
    return finished.copy(tmp_path / "project")


@pytest.fixture
def without_images(copy_of_finished) -> Project:
    """A project of one's own in which all is made that images are made from, and no image."""
    made = ("data/store", "data/generated", "results/made/generated", "results/generated")
    for folder in (*made, "results/digits/tiny_canny/shards", "logs/generate"):
        shutil.rmtree(copy_of_finished.folder / folder)
    return copy_of_finished
