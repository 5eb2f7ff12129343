"""The monitor says how far a run is, in lines whose numbers are true, and what failed and why."""

import re

import pytest

from project import Project

SET = "results/generated/digits/tiny_canny/manifest.csv"
VAL = "results/real/digits/val/manifest.csv"
STEPS = {
    "check_models tiny_canny": "done",
    "prepare_digits digits": "done",
    "scan digits": "8 pictures",
    "condition digits/canny": "8 condition maps",
    "plan digits/tiny_canny": "done",
    "generate digits/tiny_canny": "16 images",
    "gather digits/tiny_canny": "done",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Project, str]:
    """A project in which a set of images was made, and what the run printed."""
    project = Project(tmp_path_factory.mktemp("monitor") / "project")
    # one job after the other takes more than 10 s on a fast machine too, so that there are looks
    project.config["generators"]["tiny_canny"]["steps"] = 10
    return project, project.snakemake("--cores", "1", SET)


def without_val(project: Project, folder) -> Project:
    """A copy in which no picture of val can be opened."""
    copied = project.copy(folder / "project")
    for path in (copied.folder / "data/real/digits/val/images").iterdir():
        path.write_bytes(b"no picture")
    return copied


def test_each_step_is_told_once_with_what_it_made(run):
    _, output = run
    told = re.findall(r"^\[\d\d:\d\d:\d\d\] (.+): (.+) in \d+:\d\d$", output, re.M)
    assert dict(told) == STEPS and len(told) == len(STEPS)


def test_images_done_of_all_add_up_over_shards(run):
    _, output = run
    shown = re.findall(r"generate digits/tiny_canny (\d+) of (\d+) images", output)
    assert shown and {total for _, total in shown} == {"16"}
    done = [int(number) for number, _ in shown]
    assert done == sorted(done) and done[-1] <= 16
    jobs = re.findall(r"(\d) of (\d) jobs", output)
    assert {total for _, total in jobs} == {"8"}


def test_the_text_of_jobs_is_in_snakemake_s_log_and_not_on_the_screen(run):
    project, output = run
    (log,) = (project.folder / ".snakemake" / "log").iterdir()
    for text in ("rule generate:", "Finished jobid: ", "8 of 8 steps (100%) done"):
        assert text in log.read_text() and text not in output
    assert " INFO " not in output  # of jobs
    assert "Complete log(s): " in output


def test_a_failed_job_is_told_with_its_log_and_what_is_in_it(run, tmp_path):
    project = without_val(run[0], tmp_path)
    output = project.snakemake("--cores", "1", VAL, fails=True)
    log = "logs/scan/digits/val.log"
    assert re.search(rf"scan digits/val: FAILED after \d+:\d\d; log: {log}\n", output)
    assert "Error in rule scan:" in output
    said = (project.folder / log).read_text()
    assert " ERROR " in said and said in output.split(f"Logfile {log}:")[1]


@pytest.mark.parametrize("arguments", [("--verbose",), ("--no-hooks",)])
def test_the_text_of_jobs_can_be_had(run, tmp_path, arguments):
    project = without_val(run[0], tmp_path)
    output = project.snakemake("--cores", "1", *arguments, VAL, fails=True)
    assert "localrule scan:" in output and "FAILED after" not in output
