"""Warped and recombined condition maps, from the config to the training set."""

import re

import numpy as np
import pytest

from cia.images import load_image
from cia.tables import read_table
from project import Project, small_config

DETECTED = ["tiny_warped", "tiny_recombined"]


def configure(project) -> None:
    project.config["shards"] = 1
    project.config["experiments"] = [
        {
            "dataset": "digits_scenes",
            "generators": DETECTED,
            "features": ["tiny"],
            "selections": ["all"],
            "mixes": ["plus_synthetic"],
            "trainers": ["yolov8n"],
        }
    ]


@pytest.fixture(scope="module")
def varied(tmp_path_factory, finished) -> Project:
    project = finished.copy(tmp_path_factory.mktemp("varied") / "project")
    configure(project)
    project.run("mix_all")
    return project


def table(project, path, kind=None):
    return read_table(project.folder / path, kind)


def boxes(label: str) -> list[tuple[float, ...]]:
    """left, top, right, bottom in pixels of 64."""
    found = []
    for line in label.splitlines():
        cx, cy, w, h = (64 * float(number) for number in line.split()[1:])
        found.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    return found


@pytest.mark.parametrize("generator", ["tiny_warped", "tiny_recombined"])
def test_labels_are_where_the_digits_are(varied, generator):
    labels = table(varied, f"results/generated/digits_scenes/{generator}/labels.csv", "labels")
    plan = table(varied, f"results/digits_scenes/{generator}/plan.csv", "plan").set_index("id")
    assert len(labels) == len(plan) == 16
    for row in labels.itertuples():
        drawn = load_image(varied.folder / plan.at[row.id, "condition"]).any(axis=2)
        covered = np.zeros_like(drawn)
        for left, top, right, bottom in boxes(row.label):
            x, y = max(int(left) - 2, 0), max(int(top) - 2, 0)
            part = np.s_[y : int(bottom) + 3, x : int(right) + 3]
            rows, columns = np.nonzero(drawn[part])
            found = x + columns.min(), y + rows.min(), x + columns.max() + 1, y + rows.max() + 1
            assert np.abs(np.subtract(found, (left, top, right, bottom))).max() < 3
            covered[part] = True
        assert not (drawn & ~covered).any()  # and nothing is drawn where no label is
        files = varied.folder / "data/generated/digits_scenes" / generator / "labels"
        assert (files / f"{row.id}.txt").read_text().strip() == row.label


def test_new_layouts_are_new_and_their_prompts_say_what_they_hold(varied):
    classes = varied.config["datasets"]["digits_scenes"]["classes"]
    plan = table(varied, "results/digits_scenes/tiny_recombined/plan.csv", "plan")
    labels = table(varied, "data/varied/digits_scenes/tiny_recombined/labels.csv", "labels")
    shown = dict(zip(labels["id"], labels["label"], strict=True))
    assert plan["condition_sha256"].nunique() == len(plan)
    for row in plan.itertuples():
        lines = sorted(
            (line.split() for line in shown[row.id].splitlines()), key=lambda f: float(f[1])
        )
        words = row.prompt.replace(",", "").split()
        assert [word for word in words if word in classes] == [classes[int(f[0])] for f in lines]
        assert row.prompt.endswith(" paper")


def test_every_real_ancestor_is_in_a_table(varied):
    train = set(table(varied, "results/real/digits_scenes/train/manifest.csv", "manifest")["id"])
    for generator in DETECTED:
        root = f"results/digits_scenes/{generator}"
        plan, sources = (
            table(varied, f"{root}/plan.csv", "plan"),
            table(varied, f"{root}/sources.csv", "sources"),
        )
        assert set(sources["source"]) <= train
        pairs = set(zip(sources["id"], sources["source"], strict=True))
        assert pairs >= set(zip(plan["id"], plan["source"], strict=True))
        counts = sources.groupby("id").size()
        assert set(counts.index) == set(plan["id"])
        assert (counts.max() > 1) == (generator == "tiny_recombined")


def test_without_variation_the_one_ancestor_is_the_source(finished):
    plan = table(finished, "results/digits/tiny_canny/plan.csv", "plan")
    sources = table(finished, "results/digits/tiny_canny/sources.csv", "sources")
    assert sources[["id", "source"]].equals(plan[["id", "source"]])
    train = table(finished, "results/real/digits/train/manifest.csv", "manifest").set_index("id")
    assert sources["source_sha256"].tolist() == train["sha256"][sources["source"]].tolist()
    assert not (finished.folder / "data/varied").exists()


def test_a_lost_map_is_seen_and_varied_again(varied):
    folder = "data/varied/digits_scenes/tiny_recombined/images"
    lost = min((varied.folder / folder).iterdir())
    aside = lost.rename(varied.folder / "aside.png")
    output = varied.snakemake("--dry-run", "mix_all")
    aside.rename(lost)
    assert f"{folder}: 1 of 16 files is gone" in output
    assert re.findall(r"^rule vary:(?:\n .*)*\n +reason: (.*)", output, re.M) == [
        "Forced execution"
    ]
    assert varied.planned("mix_all") == {}


def test_a_changed_variation_remakes_its_own_images_alone(varied):
    assert varied.planned("mix_all") == {}
    changed = Project.__new__(Project)
    changed.folder, changed.config = varied.folder, small_config()
    configure(changed)
    changed.config["variations"]["recombined"]["rotation"] = 3
    output = changed.snakemake("--dry-run", "mix_all")
    outputs = [line for line in output.splitlines() if line.strip().startswith("output:")]
    assert outputs and all("tiny_recombined" in line for line in outputs)
    rules = set(changed.planned("mix_all"))
    made = {"vary", "plan", "generate", "gather", "label_generated", "filter", "mix", "mix_all"}
    assert rules == made
    changed.write_config()  # dry runs write the config, too
    varied.write_config()
