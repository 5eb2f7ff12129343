"""What is wrong is said before work is done, with a command that can be pasted."""

import os
import shlex
import signal
import subprocess
import sys
import time


def test_a_model_that_can_t_be_had_stops_the_run_before_any_training(project, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    project.config["generators"]["tiny_canny"]["controlnet"] = "someone/no-such-model"
    output = project.snakemake("--cores", "2", fails=True)
    assert "generators.tiny_canny.controlnet: 'someone/no-such-model' is not a folder" in output
    assert "Traceback" not in output
    assert not list(project.folder.glob("results/*/*/models")), "a model is trained"
    assert not list(project.folder.glob("data/generated")), "an image is made"


def test_a_locked_folder_is_answered_with_the_command_that_unlocks_it(project):
    target, locks = "results/models/tiny_canny.yaml", project.folder / ".snakemake" / "locks"
    start = project.command("--cores", "1", target)
    killed = subprocess.Popen(start, cwd=project.folder, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(locks.glob("*.lock")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    (project.folder / "my.yaml").write_bytes((project.folder / "config/config.yaml").read_bytes())
    output = project.snakemake("--cores", "1", target, "--configfile", "my.yaml", fails=True)
    message, _, line = output.partition("--unlock argument.\nThe command: ")
    assert "Directory cannot be locked" in message
    assert line.splitlines()[0] == "snakemake --cores all --unlock --configfile my.yaml"
    command = shlex.split(line.splitlines()[0])[1:]
    subprocess.run([sys.executable, "-m", "snakemake", *command], cwd=project.folder, check=True)
    assert not list(locks.glob("*.lock"))


def test_jobs_know_the_configuration_that_their_run_was_started_with(copy_of_finished):
    project = copy_of_finished
    project.write_config()
    (project.folder / "my.yaml").write_bytes((project.folder / "config/config.yaml").read_bytes())
    target = "results/report/summary.md"
    project.run(target, "--forcerun", "summary", "--configfile", "my.yaml")
    summary = (project.folder / target).read_text()
    assert "`snakemake --cores all --report report.html --configfile my.yaml`" in summary
    assert set(project.planned("--configfile", "my.yaml")) == {"provenance", "all"}
