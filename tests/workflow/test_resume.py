"""A run that is killed goes on where it was, re-cut or not, and ends with the same files."""

import os
import shutil
import signal
import subprocess
import time

SET = "data/generated/digits/tiny_canny"
TARGET = "results/generated/digits/tiny_canny/manifest.csv"


def images(project) -> dict[str, tuple[bytes, int]]:
    """Return each finished picture's bytes and when it was written."""
    folder = project.folder / SET / "images"
    paths = sorted(folder.glob("*.png")) if folder.exists() else []
    whole = [path for path in paths if not path.name.startswith(".")]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in whole}


def stored(project) -> int:
    """Count the images that have reached the store, to which they are linked after the folder."""
    return len(list((project.folder / "data/store").glob("*/*/[!.]*.png")))


def kill_in_generation(project) -> dict[str, tuple[bytes, int]]:
    """Start a run, SIGKILL it and all its children once 4 images are stored; return the stored.

    One shard is made after the other: the second is not begun then, whatever the first is at.
    """
    process = subprocess.Popen(
        project.command("--cores", "1", TARGET),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while stored(project) < 4:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "no image after 300 s"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return {
        name: image
        for name, image in images(project).items()
        if (project.folder / SET / "images" / name).stat().st_nlink > 1
    }


def test_a_killed_generation_resumes_and_ends_with_the_same_files(without_images, finished):
    project = without_images
    before = kill_in_generation(project)
    assert 4 <= len(before) < 16, "it was not killed in its middle"
    assert not (project.folder / TARGET).exists()

    shutil.rmtree(project.folder / SET)  # what is left is the store
    project.config["shards"] = 1
    project.snakemake("--unlock")
    project.snakemake("--cores", "1", TARGET)
    after = images(project)
    assert len(after) == 16
    for name, (content, written) in before.items():
        assert after[name] == (content, written), f"{name} was made twice"

    expected = images(finished)
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in expected.items()
    }
    manifest = (project.folder / TARGET).read_bytes()
    assert manifest == (finished.folder / TARGET).read_bytes()
