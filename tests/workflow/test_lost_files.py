"""What is lost or edited of the files that a run made is seen by the next one, and made again."""

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from cia.files import digest_file
from cia.images import load_image, read_png_text, save_png

SET = Path("data/generated/digits/tiny_canny")
MAPS = Path("data/conditions/digits/canny/images")
MIX = Path("data/mixed/digits/none/none/real")
MODEL = Path("results/digits/none/models/none/real/resnet/seed0")
MADE = (".png", ".txt", ".safetensors")
TARGETS = ["results/generated/digits/tiny_canny/manifest.csv", f"{MIX}/dataset.csv"]


def files(project, folder: Path) -> list[Path]:
    return sorted(path for path in (project.folder / folder).rglob("*") if path.is_file())


def contents(project) -> dict[str, str]:
    """The digest of every file that is not the record of a job."""
    every = [path for top in (SET, MAPS, MIX, "data/store") for path in files(project, top)]
    return {path.as_posix(): digest_file(path) for path in every if path.suffix in (".png", ".txt")}


def forced(output: str) -> Counter:
    """How many jobs of each rule a dry run would run for no other reason."""
    jobs = re.findall(r"^(?:local)?rule (\w+):((?:\n .*)+)", output, re.M)
    return Counter(rule for rule, text in jobs if "reason: Forced execution" in text)


@pytest.mark.parametrize(
    "folder, rule, change",
    [
        (SET / "images", "generate", "lost"),
        (SET / "images", "generate", "edited"),
        (SET / "captions", "gather", "edited"),
        (SET / "labels", "label_generated", "lost"),
        (MIX, "mix", "edited"),
        (MODEL, "train", "lost"),
    ],
)
def test_a_dry_run_names_the_file_and_runs_the_one_job_that_makes_it(
    copy_of_finished, folder, rule, change
):
    """Of two shards that made images one runs; what follows runs for its sake."""
    made = [path for path in files(copy_of_finished, folder) if path.suffix in MADE]
    if change == "lost":
        made[0].unlink()
    else:
        made[0].write_bytes(made[0].read_bytes() + b"\n")
    name = made[0].relative_to(copy_of_finished.folder / folder)
    line = f"{folder}: 1 of {len(made)} files is gone or was changed since it was made ({name})"
    output = copy_of_finished.snakemake("--dry-run")
    assert output.count(line) == 1
    assert forced(output) == {rule: 1}


def test_a_whole_set_that_is_gone_is_seen(copy_of_finished):
    (copy_of_finished.folder / "data/conditions").rename(copy_of_finished.folder / "away")
    output = copy_of_finished.snakemake("--dry-run")
    assert f"{MAPS}: 8 of 8 files are gone" in output and forced(output) == {"condition": 1}


def test_what_no_job_that_is_asked_for_makes_is_left_alone(copy_of_finished):
    files(copy_of_finished, SET / "images")[0].unlink()
    output = copy_of_finished.snakemake("--dry-run", "results/digits/tiny_canny/plan.csv")
    assert "Nothing to be done" in output and "gone" not in output


def test_lost_figures_and_tables_of_the_report_are_made_again(copy_of_finished):
    report = copy_of_finished.folder / "results/report"
    files(copy_of_finished, report / "sheets")[0].unlink()
    (report / "arms/digits/resnet.csv").unlink()
    (report / "gallery.html").unlink()
    rules = {"report_sheet", "report_arms", "gallery", "summary", "provenance", "all"}
    assert set(copy_of_finished.planned()) == rules


def test_everything_is_as_before_after_one_run_and_nothing_else_has_to_run(copy_of_finished):
    """A map is edited as by a program that keeps the file's texts, an image in the store, too."""
    project = copy_of_finished
    before = contents(project)
    lost, edited, *_ = files(project, SET / "images")
    lost.unlink()
    content = bytearray(edited.read_bytes())
    content[len(content) // 2] ^= 1
    with open(edited, "r+b") as file:  # in place: the entry of the store is the same file
        file.write(content)
    os.utime(edited, (0, 0))
    map_ = files(project, MAPS)[0]
    save_png(map_, 255 - load_image(map_), read_png_text(map_))
    files(project, MIX / "images")[0].unlink()
    assert contents(project) != before
    project.run(*TARGETS)
    assert contents(project) == before
    assert project.planned() == {}


def test_a_cluster_job_s_own_snakemake_looks_at_nothing(copy_of_finished):
    """A stat of every file by every job would keep a shared file system busy."""
    files(copy_of_finished, SET / "captions")[0].unlink()
    own = ["--mode", "remote", "--nolock", "--allowed-rules", "gather"]
    job = ["--target-jobs", "gather:dataset=digits,generator=tiny_canny"]
    output = copy_of_finished.snakemake("--dry-run", *own, *job)
    assert "rule gather" in output and "gone" not in output
