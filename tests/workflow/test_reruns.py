"""A change reruns what depends on it, and nothing else: the exact rules that a dry run lists."""

import re
from pathlib import Path

import pytest

from project import small_config

IMAGES = {"generate", "gather"}
SCORED = {"features", "metrics", "judge", "score", "filter", "metadata", "label_generated"}
TRAINED = {"mix", "train", "test"}
REPORTED = {"report_sheet", "report_scores", "report_metrics", "report_curves", "report_arms"}
REPORTED |= {"report_extremes", "gallery"}
END = {"summary", "provenance", "all"}
REAL = Path("data/real/digits/train")


def rules(project) -> set[str]:
    return set(project.planned())


def test_a_finished_workflow_has_nothing_to_do(finished):
    assert rules(finished) == set()


def test_another_scheduler_is_checked_and_makes_images_anew_in_one_run(copy_of_finished):
    copy_of_finished.config["generators"]["tiny_canny"]["scheduler"] = "DDIMScheduler"
    expected = {"check_models"} | IMAGES | SCORED | TRAINED | REPORTED | END
    assert rules(copy_of_finished) == expected


def test_the_filter_value_reruns_the_filter_and_what_follows(copy_of_finished):
    copy_of_finished.config["selections"]["best_half"]["value"] = 0.25
    unmoved = {"report_metrics", "report_extremes"}
    assert rules(copy_of_finished) == {"filter", "metadata"} | TRAINED | REPORTED - unmoved | END


def test_a_prompt_reruns_from_the_plan_on(copy_of_finished):
    copy_of_finished.config["prompts"]["recolored"]["suffix"] = "in soft light"
    assert rules(copy_of_finished) == {"plan"} | IMAGES | SCORED | TRAINED | REPORTED | END


def test_generation_settings_rerun_no_plan(copy_of_finished):
    copy_of_finished.config["generators"]["tiny_canny"]["guidance_scale"] = 2.0
    assert rules(copy_of_finished) == IMAGES | SCORED | TRAINED | REPORTED | END


def test_the_trainer_reruns_training_alone(copy_of_finished):
    copy_of_finished.config["trainers"]["resnet"]["steps"] = 3
    assert rules(copy_of_finished) == {"train", "test", "report_curves", "report_arms"} | END


@pytest.mark.parametrize("key, value", [("batch_size", 3), ("max_rejected", 0.3)])
def test_what_changes_no_output_reruns_nothing(copy_of_finished, key, value):
    copy_of_finished.config[key] = value
    assert rules(copy_of_finished) == set()


def test_one_more_picture_reruns_from_the_scan_on(copy_of_finished):
    folder = copy_of_finished.folder / REAL
    for part, suffix in (("images", ".png"), ("labels", ".txt"), ("captions", ".txt")):
        content = (folder / part / f"00000{suffix}").read_bytes()
        (folder / part / f"one more{suffix}").write_bytes(content)
    everything = {"scan", "label", "condition", "plan"} | IMAGES | SCORED | TRAINED | REPORTED | END
    assert rules(copy_of_finished) == everything


def test_one_picture_less_reruns_from_the_scan_on_and_leaves_no_trace(copy_of_finished):
    folder = copy_of_finished.folder / REAL
    for part, suffix in (("images", ".png"), ("labels", ".txt"), ("captions", ".txt")):
        (folder / part / f"00003{suffix}").unlink()
    everything = {"scan", "label", "condition", "plan"} | IMAGES | SCORED | TRAINED | REPORTED | END
    assert rules(copy_of_finished) == everything
    # what the judges say moves no picture into or out of these mixes, and takes a training
    copy_of_finished.config["experiments"][0]["judges"] = []
    copy_of_finished.run("mix_all")
    made = copy_of_finished.folder / "data"
    assert not list(made.glob("generated/**/00003*")) + list(made.glob("conditions/**/00003*"))
    assert not list(made.glob("mixed/**/train/**/00003*"))


def test_a_score_s_setting_reruns_from_the_scores_on(copy_of_finished):
    copy_of_finished.config["scores"] = {"neighbors": 3}
    rescored = {"score", "filter", "metadata"}
    assert rules(copy_of_finished) == rescored | TRAINED | REPORTED - {"report_metrics"} | END


def test_the_trainer_that_reads_labels_reruns_what_it_judged(copy_of_finished):
    copy_of_finished.config["trainers"]["reader"]["steps"] = 3
    judged = {"judge", "score", "filter", "metadata"}
    assert rules(copy_of_finished) == judged | TRAINED | REPORTED - {"report_metrics"} | END


def test_what_a_label_s_line_is_reruns_the_labels_and_no_scan(copy_of_finished):
    copy_of_finished.config["datasets"]["digits"]["kpt_shape"] = False
    assert copy_of_finished.planned("results/real/digits/train/labels.csv") == {"label": 1}


def test_an_edited_label_reruns_no_generation_and_no_features(copy_of_finished):
    label = copy_of_finished.folder / REAL / "labels" / "00002.txt"
    label.write_text(f"{(int(label.read_text()) + 1) % 10}\n")
    relabeled = {"label", "label_generated", "judge", "score", "filter", "metadata"}
    assert rules(copy_of_finished) == relabeled | TRAINED | REPORTED - {"report_metrics"} | END


def test_a_picture_replaced_under_its_name_trains_again(copy_of_finished):
    """Names and labels of the training set stay, so its table does, too."""
    images = copy_of_finished.folder / "data/real/digits/val/images"
    (images / "00000.png").write_bytes((images / "00001.png").read_bytes())
    model = "results/digits/none/models/none/real/resnet/seed0/metrics.yaml"
    before = (copy_of_finished.folder / model).stat().st_mtime_ns
    copy_of_finished.run(model)
    assert (copy_of_finished.folder / model).stat().st_mtime_ns > before


def test_a_mended_test_label_costs_a_test_and_no_training(copy_of_finished):
    """Nor does an edit that is undone: the job that trains looks at what it was given, and ends."""
    label = copy_of_finished.folder / "data/real/digits/test/labels/00002.txt"
    label.write_text(f"{(int(label.read_text()) + 1) % 10}\n")
    model = copy_of_finished.folder / "results/digits/none/models/none/real/resnet/seed0"
    names = ("best.safetensors", "metrics.yaml")
    before = [(model / name).stat().st_mtime_ns for name in names]
    copy_of_finished.run(str((model / names[1]).relative_to(copy_of_finished.folder)))
    weights, metrics = ((model / name).stat().st_mtime_ns for name in names)
    assert weights == before[0] and metrics > before[1]


def test_another_config_file_reruns_the_summary_that_names_it_and_another_path_to_it_nothing(
    copy_of_finished,
):
    project = copy_of_finished
    project.write_config()
    path = project.folder / "config" / "config.yaml"
    (project.folder / "link.yaml").symlink_to(path)
    for name in (str(path), "link.yaml"):
        assert project.planned("--configfile", name) == {}
    (project.folder / "mine.yaml").write_text(path.read_text())
    assert set(project.planned("--configfile", "mine.yaml")) == END
    summary = "results/report/summary.md"
    assert "Configuration: config/config.yaml\n" in (project.folder / summary).read_text()
    project.run(summary, "--configfile", "mine.yaml")
    assert "Configuration: mine.yaml\n" in (project.folder / summary).read_text()


def test_another_dataset_leaves_the_first_alone(copy_of_finished):
    config = copy_of_finished.config
    config["datasets"]["more"] = small_config()["datasets"]["digits"]
    config["experiments"].append({**config["experiments"][0], "dataset": "more"})
    output = copy_of_finished.snakemake("--dry-run")
    jobs = [line for line in output.splitlines() if line.strip().startswith("output:")]
    assert jobs and all(re.search("more|summary|gallery|provenance", line) for line in jobs)


def test_arms_are_held_against_the_real_images_alone_and_not_against_what_stands_first(
    copy_of_finished,
):
    """Neither against classical copies, nor against a mix that no experiment has."""
    project = copy_of_finished
    copies, mixes = {"synthetic": 0, "classical": {"ratio": 1}}, project.config["mixes"]
    project.config["mixes"] = {"unused": {"synthetic": 0}, "copies": copies, **mixes}
    assert project.planned() == {}, "mixes that nothing uses cost something"
    project.config["experiments"][0]["mixes"].insert(0, "copies")
    project.run("results/report/summary.md")
    summary = (project.folder / "results/report/summary.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")] for line in summary.splitlines()]
    to_real = {row[3]: row[-2] for row in rows if len(row) > 6 and row[2] == "resnet"}
    images = {row[3]: row[4] for row in rows if len(row) > 6 and row[2] == "resnet"}
    assert to_real["real"] == "" and to_real["copies"] != ""
    assert images["copies"] == "8 real + 8 classical"
