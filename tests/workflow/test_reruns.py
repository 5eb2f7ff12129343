"""A change reruns what depends on it, and nothing else: the exact rules that a dry run lists."""

from pathlib import Path

import pytest

from project import small_config

IMAGES = {"generate", "gather"}
JUDGED = {"features", "metrics", "score", "filter", "metadata", "label_generated"}
TRAINED = {"mix", "train"}
REPORTED = {"report_sheet", "report_scores", "report_metrics", "report_curves", "report_arms"}
END = {"summary", "provenance", "all"}
REAL = Path("data/real/digits/train")


def rules(project) -> set[str]:
    return set(project.planned())


def test_a_finished_workflow_has_nothing_to_do(finished):
    assert rules(finished) == set()


def test_the_filter_value_reruns_the_filter_and_what_follows(copy_of_finished):
    copy_of_finished.config["selections"]["best_half"]["value"] = 0.25
    metrics = {"report_metrics"}
    assert rules(copy_of_finished) == {"filter", "metadata"} | TRAINED | REPORTED - metrics | END


def test_a_prompt_reruns_from_the_plan_on(copy_of_finished):
    copy_of_finished.config["prompts"]["recolored"]["suffix"] = "in soft light"
    assert rules(copy_of_finished) == {"plan"} | IMAGES | JUDGED | TRAINED | REPORTED | END


def test_generation_settings_rerun_no_plan(copy_of_finished):
    copy_of_finished.config["controlnets"]["tiny_canny"]["guidance_scale"] = 2.0
    assert rules(copy_of_finished) == IMAGES | JUDGED | TRAINED | REPORTED | END


def test_the_trainer_reruns_training_alone(copy_of_finished):
    copy_of_finished.config["trainers"]["resnet"]["steps"] = 3
    assert rules(copy_of_finished) == {"train", "report_curves", "report_arms"} | END


@pytest.mark.parametrize("key, value", [("batch_size", 3), ("max_rejected", 0.1)])
def test_what_changes_no_output_reruns_nothing(copy_of_finished, key, value):
    copy_of_finished.config[key] = value
    assert rules(copy_of_finished) == set()


def test_one_more_picture_reruns_from_the_scan_on(copy_of_finished):
    folder = copy_of_finished.folder / REAL
    for part, suffix in (("images", ".png"), ("labels", ".txt"), ("captions", ".txt")):
        content = (folder / part / f"00000{suffix}").read_bytes()
        (folder / part / f"one more{suffix}").write_bytes(content)
    everything = {"scan", "label", "condition", "plan"} | IMAGES | JUDGED | TRAINED | REPORTED | END
    assert rules(copy_of_finished) == everything


def test_one_picture_less_reruns_from_the_scan_on_and_leaves_no_trace(copy_of_finished):
    folder = copy_of_finished.folder / REAL
    for part, suffix in (("images", ".png"), ("labels", ".txt"), ("captions", ".txt")):
        (folder / part / f"00003{suffix}").unlink()
    everything = {"scan", "label", "condition", "plan"} | IMAGES | JUDGED | TRAINED | REPORTED | END
    assert rules(copy_of_finished) == everything
    copy_of_finished.run("mix_all")
    made = copy_of_finished.folder / "data"
    assert not list(made.glob("generated/**/00003*")) + list(made.glob("conditions/**/00003*"))
    assert not list(made.glob("mixed/**/train/**/00003*"))


def test_an_edited_label_reruns_no_generation(copy_of_finished):
    label = copy_of_finished.folder / REAL / "labels" / "00002.txt"
    label.write_text(f"{(int(label.read_text()) + 1) % 10}\n")
    planned = rules(copy_of_finished)
    assert (
        planned
        == {"label", "label_generated", "report_sheet"}
        | TRAINED
        | {
            "report_curves",
            "report_arms",
        }
        | END
    )


def test_another_dataset_leaves_the_first_alone(copy_of_finished):
    config = copy_of_finished.config
    config["datasets"]["more"] = small_config()["datasets"]["digits"]
    config["experiments"].append({**config["experiments"][0], "dataset": "more"})
    output = copy_of_finished.snakemake("--dry-run")
    jobs = [line for line in output.splitlines() if line.strip().startswith("output:")]
    assert jobs and all("more" in line or "summary" in line for line in jobs)
