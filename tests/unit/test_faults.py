"""What happens to generation when things go wrong: the same bytes, and next to nothing made twice.

The undisturbed run is `whole`. Every other run is killed, re-cut, out of disk or in company, and is
to end with its bytes; how much was made twice is counted from the logs.
"""

import logging
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cia.errors import UserError
from cia.files import atomic_path, digest_file, save_array, write_text, write_texts, write_yaml
from cia.generation.store import Store
from cia.images import save_png
from cia.runtime import jobs
from cia.tables import write_table
from conftest import ROOT
from drawing_inputs import generator_settings

torch = pytest.importorskip("torch")
import safetensors.torch  # noqa: E402

from cia.generation import batches, drawing  # noqa: E402

COUNT = 32
BATCH = batches.CPU_BATCH
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, "diffusers.pipelines.auto_pipeline"])  # seconds of imports


@pytest.fixture(scope="module")
def settings(small_model):
    return generator_settings(small_model("sd15"), steps=8)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("maps") / "map.png"
    save_png(path, np.where(rng.random((32, 32, 1)) > 0.8, 255, 0).repeat(3, 2).astype(np.uint8))
    rows = [
        {
            "id": f"{index}",
            "seed": index,
            "prompt": "a red 2",
            "negative_prompt": "",
            "width": 32,
            "height": 32,
            "condition": path.as_posix(),
            "condition_sha256": digest_file(path),
        }
        for index in range(COUNT)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def whole(plan, settings, tmp_path_factory):
    """The undisturbed run's files, name to bytes."""
    folder = tmp_path_factory.mktemp("whole")
    run(plan, settings, None, folder)
    return contents(folder)


def run(plan, settings, store, folder, shard=0, shards=1):
    return drawing.generate_shard(
        plan, shard, shards, settings, folder, 16, "generators.x", store=store
    )


def work(plan, settings, store, folder, shard, shards, log) -> None:
    """Make a shard, in a process of its own, and tell in a file what is made."""
    paint, file = drawing.Painter.paint, open(log, "w")  # noqa: SIM115 (until it ends)

    def counted(painter, rows, maps):
        images = paint(painter, rows, maps)
        print(len({row.id for row in rows}), "images painted", file=file, flush=True)
        return images

    drawing.Painter.paint = counted
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=file, force=True)
    run(plan, settings, Store(store), folder, shard, shards)
    file.flush()


class Worker:
    """A process that makes a shard."""

    def __init__(self, *arguments, log: Path):
        self.log = log
        self.process = FORKS.Process(target=work, args=(*arguments, log))
        self.process.start()

    def ended(self) -> bool:
        return self.process.exitcode is not None

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait_until_stopped(self) -> None:
        status = Path(f"/proc/{self.process.pid}/stat")
        while status.read_text().rpartition(") ")[2][0] != "T":
            time.sleep(0.01)

    def finish(self) -> tuple[int, str]:
        """Return its exit code and what it told, once it has ended."""
        self.process.join()
        return self.process.exitcode, self.log.read_text()


def start(plan, settings, tmp_path, folder, shard=0, shards=1) -> Worker:
    """Start a worker of its own on the store of the test."""
    log = folder.with_suffix(".log")
    return Worker(plan, settings, tmp_path / "store", folder, shard, shards, log=log)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*.png")}


def entries(store: Store) -> int:
    return len(list(store.entries()))


def made(log: str) -> int:
    """How many images a log says were made (in every run that it is of)."""
    return sum(map(int, re.findall(r"(\d+) images made", log)))


def kill_after_the_first_image(worker: Worker, store: Store) -> int:
    """SIGKILL a worker in the middle of its shard; return how many images it had stored."""
    while not entries(store) and not worker.ended():
        time.sleep(0.01)
    worker.send(signal.SIGKILL)
    code, log = worker.finish()
    assert code == -signal.SIGKILL
    stored, painted = entries(store), sum(map(int, re.findall(r"(\d+) images painted", log)))
    assert 0 < stored < COUNT
    assert stored <= painted <= stored + BATCH, "more than one batch is made twice"
    return stored


def test_a_killed_worker_costs_the_batch_at_hand(plan, settings, whole, tmp_path, caplog):
    """SIGKILL, then another number of shards and another folder: only the store remains."""
    caplog.set_level(logging.INFO, "cia")
    store, again = Store(tmp_path / "store"), tmp_path / "again"
    stored = kill_after_the_first_image(start(plan, settings, tmp_path, tmp_path / "first"), store)
    tables = [run(plan, settings, store, again, shard, 3) for shard in range(3)]
    assert contents(again) == whole
    assert made(caplog.text) == COUNT - stored
    assert sorted(pd.concat(tables)["id"]) == sorted(plan["id"])
    assert contents(tmp_path / "first").items() <= whole.items()


def test_two_runs_on_one_store_share_the_work(plan, settings, whole, tmp_path):
    workers = [start(plan, settings, tmp_path, tmp_path / name) for name in ("a", "b")]
    codes, logs = zip(*[worker.finish() for worker in workers], strict=True)
    assert codes == (0, 0), logs
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == whole
    assert COUNT <= made(logs[0]) + made(logs[1]) <= COUNT + BATCH, logs


def test_a_run_takes_over_what_a_killed_one_had_at_hand(plan, settings, whole, tmp_path):
    """The other run goes on beside it, and waits for no claim of a dead process."""
    first = start(plan, settings, tmp_path, tmp_path / "a")
    store = Store(tmp_path / "store")
    while not entries(store) and not first.ended():
        time.sleep(0.01)
    first.send(signal.SIGSTOP)  # alive, with claims, and making nothing
    first.wait_until_stopped()
    stored = entries(store)
    other = start(plan, settings, tmp_path, tmp_path / "b")
    deadline = time.monotonic() + 120
    # the stopped one claims at most the rest of a batch, the one at hand and the one ahead
    while entries(store) < COUNT - 3 * BATCH and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not other.ended(), "the claims of the stopped run were not respected"
    first.send(signal.SIGKILL)
    first.finish()
    _, log = other.finish()
    assert contents(tmp_path / "b") == whole
    assert made(log) == COUNT - stored


def test_a_larger_plan_makes_what_is_new(plan, settings, whole, tmp_path, caplog):
    """One more variant, one more picture: rows beside those that are there."""
    caplog.set_level(logging.INFO, "cia")
    store = Store(tmp_path / "store")
    run(plan[: COUNT - 3], settings, store, tmp_path / "a")
    renamed = plan.assign(id="renamed " + plan["id"])
    table = run(renamed, settings, store, tmp_path / "b", 0, 1)
    assert made(caplog.text) == COUNT
    assert contents(tmp_path / "b") == {
        f"renamed {name}": content for name, content in whole.items()
    }
    assert len(table) == COUNT


def test_a_damaged_entry_is_made_again(plan, settings, whole, tmp_path, caplog):
    caplog.set_level(logging.INFO, "cia")
    store = Store(tmp_path / "store")
    run(plan[:8], settings, store, tmp_path / "a")
    damaged = [entry.path for entry in store.entries()][:2]
    for path in damaged:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)  # in place: the image in the folder is the same file
    before = made(caplog.text)
    run(plan[:8], settings, store, tmp_path / "b")
    assert caplog.text.count("wrong checksum") == 2
    assert made(caplog.text) - before == 2
    run(plan[:8], settings, store, tmp_path / "a")
    for folder in ("a", "b"):
        assert contents(tmp_path / folder).items() <= whole.items()
        assert len(contents(tmp_path / folder)) == 8


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB, that is about half of what the images take."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("NOT TESTED: a full disk. A tmpfs can't be mounted here (run as root)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("full", ["images", "store", "both"])
def test_a_full_disk_is_told_and_the_run_goes_on_later(
    plan, settings, whole, tmp_path, small_disk, caplog, monkeypatch, full
):
    caplog.set_level(logging.INFO, "cia")
    store = Store((tmp_path if full == "images" else small_disk) / "store")
    folder = (tmp_path if full == "store" else small_disk) / "images"
    paint, painted = drawing.Painter.paint, set()

    def counted(painter, rows, maps):
        images = paint(painter, rows, maps)
        painted.update(row.id for row in rows)
        return images

    monkeypatch.setattr(drawing.Painter, "paint", counted)
    with pytest.raises(
        UserError, match="No space left on device.* run again.*--cores all prune_store"
    ):
        run(plan, settings, store, folder)
    there = contents(folder)
    assert there.items() <= whole.items() and 0 < len(there) < COUNT
    assert len(painted) <= len(there) + BATCH, "more than one batch is made twice"
    assert not list(tmp_path.rglob(".tmp-*"))
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    run(plan, settings, store, folder)
    assert contents(folder) == whole and entries(store) == COUNT
    assert made(caplog.text) == COUNT - len(there)


def save_tensor(path):
    with atomic_path(path) as partial:
        torch.save(torch.zeros(200_000), partial)


def save_weights(path):
    with atomic_path(path) as partial:
        safetensors.torch.save_file({"a": torch.zeros(200_000)}, partial)


NOISE = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
WRITERS = {
    "table.csv": lambda path: write_table(path, pd.DataFrame({"a": range(100_000)})),
    "array.npy": lambda path: save_array(path, np.zeros(200_000)),
    "page.md": lambda path: write_text(path, "a line\n" * 100_000),
    "settings.yaml": lambda path: write_yaml(path, list(range(20_000))),
    "picture.png": lambda path: save_png(path, NOISE),
    "labels/": lambda path: write_texts(path, ((f"{n}.txt", "0 1 1 1 1\n") for n in range(100))),
    "best.pt": save_tensor,
    "best.safetensors": save_weights,
    "copied/": lambda path: shutil.copytree(ROOT / "resources/tiny-features", path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_job_on_a_full_disk_names_the_file_and_says_what_to_do(name, small_disk, caplog):
    """Its log is on the same disk, and its writer may say nothing of the disk, as NumPy's does."""

    def main(job):
        left = shutil.disk_usage(small_disk).free
        (small_disk / "filled").write_bytes(bytes(left - 2**14))
        WRITERS[name](small_disk / name)

    log = small_disk / "logs" / "job.log"
    job = SimpleNamespace(log=[str(log)], threads=1, resources={}, output=[str(small_disk / name)])
    with pytest.raises(SystemExit):
        jobs.run(main, job)
    last = caplog.records[-1].getMessage()
    assert str(small_disk / name) in last and "No space left on device" in last
    assert "free some space and run again" in last
    assert "Traceback" not in caplog.text and not list(small_disk.rglob(".tmp-*"))


def test_other_errors_on_a_disk_with_room_stay_as_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="^as it was$"), atomic_path(tmp_path / "a.txt"):
        raise RuntimeError("as it was")
