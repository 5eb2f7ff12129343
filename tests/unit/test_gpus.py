"""Each job has its GPU for itself, and a dead job leaves it free."""

import os
import signal
import subprocess
import sys
import time

import pytest

from cia.errors import UserError
from cia.runtime.gpus import candidates, take_gpus
from conftest import ROOT

JOB = """
import os, sys, time
from types import SimpleNamespace
from cia.runtime.jobs import run
def main(job):
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
run(main, SimpleNamespace(log=[], threads=1, resources={"gpu": int(sys.argv[1])}))
"""


@pytest.fixture
def start(tmp_path):
    """Start jobs that take GPUs and keep them until their stdin is closed."""
    jobs = []

    def starter(wanted: int = 1, **variables: str) -> subprocess.Popen:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "scripts")}
        environment |= {"TMPDIR": str(tmp_path), "CIA_GPUS": "2", **variables}
        command = [sys.executable, "-c", JOB, str(wanted)]
        pipe = subprocess.PIPE
        job = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
        jobs.append(job)
        return job

    yield starter
    for job in jobs:
        job.kill()
        job.communicate()


def taken(job) -> str:
    return job.stdout.readline().strip()


def test_jobs_take_different_gpus_and_a_third_waits_for_one_to_be_free(start):
    first, second = start(), start()
    assert {taken(first), taken(second)} == {"0", "1"}
    third = start()
    time.sleep(2.5)
    assert third.poll() is None
    second.send_signal(signal.SIGKILL)
    second.wait()
    ended = time.monotonic()
    assert taken(third) in ("0", "1")
    assert time.monotonic() - ended < 5


def test_a_job_for_two_gpus_gets_both_or_waits(start):
    first = start()
    assert taken(first) == "0"
    both = start(2)
    time.sleep(1.5)
    first.communicate("")
    assert taken(both) == "0,1"


def test_only_the_gpus_that_the_user_left_visible_are_taken(start):
    jobs = [start(CUDA_VISIBLE_DEVICES="3,GPU-5f") for _ in range(2)]
    assert {taken(job) for job in jobs} == {"3", "GPU-5f"}


def test_jobs_in_one_allocation_share_its_gpus_and_no_other_s(start):
    """salloc, then the gpu profile: each allocation calls its GPUs 0 and 1."""
    inside = {"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "0,1"}
    assert {taken(job) for job in (start(**inside), start(**inside))} == {"0", "1"}
    assert taken(start(**{**inside, "SLURM_JOB_ID": "8"})) == "0"


@pytest.mark.parametrize(
    "environment",
    [{}, {"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "7"}],
    ids=["no profile", "chosen by others", "job of the slurm profile"],
)
def test_where_nobody_counts_gpus_none_is_chosen(environment):
    assert candidates(environment) == []


def test_no_more_gpus_are_waited_for_than_there_are(tmp_path):
    assert list(take_gpus(4, ["0", "1"], tmp_path)) == ["0", "1"]


def test_parts_of_gpus_whose_names_hold_slashes_are_taken_one_each(tmp_path):
    """MIG devices, as drivers before R470 name them."""
    names = ["MIG-GPU-5f/1/0", "MIG-GPU-5f/2/0"]
    first, second = take_gpus(1, names, tmp_path), take_gpus(1, names, tmp_path)
    assert [*first, *second] == names


def test_locks_are_for_their_user_alone(tmp_path):
    held = take_gpus(1, ["0"], tmp_path / "locks")
    assert held and (tmp_path / "locks").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "locks" / "0.lock").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_others_could_write_to_is_closed_to_them(tmp_path):
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(0o777)
    take_gpus(1, ["0"], folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_nothing_is_emptied_through_a_link_that_another_user_laid(tmp_path):
    precious = tmp_path / "thesis.tex"
    precious.write_text("years of work")
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "0.lock").symlink_to(precious)
    os.link(precious, locks / "1.lock")  # which no flag refuses
    with pytest.raises(UserError, match="symbolic links: '0.lock'"):
        take_gpus(1, ["0"], locks)
    assert take_gpus(1, ["1"], locks)
    assert precious.read_text() == "years of work"


def test_a_folder_that_is_a_link_is_refused_and_the_message_says_what_to_do(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "locks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="locks: can't hold .* lock files .* set TMPDIR"):
        take_gpus(1, ["0"], tmp_path / "locks")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_another_user_s_folder_is_refused(tmp_path):
    locks = tmp_path / "locks"
    locks.mkdir()
    os.chown(locks, 12345, 12345)
    with pytest.raises(UserError, match="belongs to another user"):
        take_gpus(1, ["0"], locks)
