"""A study through the whole workflow: every arm, its controls, and no picture from outside."""

import pandas as pd
import pytest
import yaml

from cia.files import read_yaml
from cia.tables import read_table
from project import COUNTS

SET = "few.real3.seed0"
SELECTIONS = ["best_half"]


@pytest.fixture(scope="module")
def studied(tmp_path_factory, finished):
    """A finished study of three real pictures, of a dataset that is there already."""
    project = finished.copy(tmp_path_factory.mktemp("study") / "project")
    project.config |= {"experiments": [], "shards": 1}
    project.config["studies"] = {
        "few": {
            "dataset": "digits",
            "real": 3,
            "seeds": [0],
            "generator": "tiny_canny",
            "selections": SELECTIONS,
            "classical": {"flip": 0},
            "features": ["tiny"],
            "judges": ["classifier"],
            "trainer": "resnet",
        }
    }
    project.config["judges"]["classifier"]["trainer"] = "resnet"
    project.run("study_all", "results/provenance.yaml")
    return project


def test_a_study_ends_with_every_arm_in_its_table(studied):
    study = read_yaml(studied.folder / "results/studies/few/study.yaml")
    arms = {arm["name"]: arm for arm in study["arms"]}
    names = {"3 real", "6 real", "duplicated", "classical", "random", "best_half", "all"}
    assert set(arms) == names
    assert study["control"] == "duplicated" and study["test_images"] == COUNTS["test"]
    added = {name: arm["n_added"] for name, arm in arms.items()}
    alike = {name: 3 for name in ("duplicated", "classical", "random", "best_half")}
    assert added == {"3 real": 0, "6 real": 0, "all": 6} | alike
    assert study["steps"] == 2
    assert {"tiny.frechet_distance", "tiny.mean_mahalanobis"} <= set(arms["random"]["metrics"])
    page = (studied.folder / "results/studies/few/study.md").read_text()
    assert all(name in page for name in names)
    assert len(list((studied.folder / "results/studies/few").glob("*.png"))) == 4


def test_provenance_knows_the_stage_of_every_training_set(studied):
    rules = read_yaml(studied.folder / "results/provenance.yaml")["rules"]
    plain, classical = map(str, rules["mix"]["stage_versions"])
    assert classical.startswith(f"{plain}.")


def test_scores_are_those_of_the_trainings(studied):
    study = read_yaml(studied.folder / "results/studies/few/study.yaml")
    arms = {arm["name"]: arm for arm in study["arms"]}
    trained = {
        "3 real": f"{SET}/none/models/none/few.real",
        "6 real": "few.real6.seed0/none/models/none/few.real",
        "duplicated": f"{SET}/none/models/none/few.duplicated",
        "classical": f"{SET}/none/models/none/few.classical",
        "random": f"{SET}/tiny_canny/models/at_random/few.plus1",
        "best_half": f"{SET}/tiny_canny/models/best_half/few.plus1",
        "all": f"{SET}/tiny_canny/models/at_random/few.plus2",
    }
    for name, folder in trained.items():
        reached = read_yaml(studied.folder / f"results/{folder}/resnet/seed0/metrics.yaml")
        assert arms[name]["scores"] == [pytest.approx(reached["test"]["accuracy"])], name
        assert arms[name]["val"] == [pytest.approx(reached["val"]["accuracy"])], name


def test_nothing_of_a_replicate_knows_a_picture_outside_its_draw(studied):
    results, data = studied.folder / "results", studied.folder / "data"
    drawn = set(read_table(results / f"real/{SET}/train/manifest.csv", "manifest")["id"])
    assert len(drawn) == 3
    twice = read_table(results / "real/few.real6.seed0/train/manifest.csv", "manifest")
    assert drawn < set(twice["id"])
    assert set(read_table(results / f"{SET}/tiny_canny/sources.csv")["source"]) == drawn
    assert set(read_table(data / f"conditions/{SET}/canny/manifest.csv")["id"]) == drawn
    for mix in (data / f"mixed/{SET}").glob("*/*/*/dataset.csv"):
        table = read_table(mix, "mixed")
        train = table[table["split"] == "train"]
        assert set(train.loc[train["origin"] == "real", "id"]) == drawn
        ancestors = train.loc[train["origin"] != "real", "id"].str.rsplit(r"[_-]", n=1).str[0]
        assert set(train.loc[train["origin"] != "real", "id"].str[:5]) <= drawn, ancestors
        assert table["split"].value_counts()["test"] == COUNTS["test"]


def test_a_changed_selection_trains_its_arm_alone(studied):
    studied.config["selections"]["best_half"]["value"] = 0.9
    planned = studied.planned("study_all")
    assert planned == {
        "filter": 1,
        "mix": 1,
        "train": 1,
        "test": 1,
        "evidence": 1,
        "report_study": 1,
        "study_all": 1,
    }
    studied.config["selections"]["best_half"]["value"] = 0.5


def test_a_lost_figure_is_drawn_again(studied):
    figure = studied.folder / "results/studies/few/ratios.png"
    aside = figure.rename(studied.folder / "aside.png")
    planned = studied.planned("study_all")
    aside.rename(figure)
    assert planned == {"report_study": 1, "study_all": 1}


def test_arms_are_listed_for_programs(studied):
    table = pd.read_csv(studied.folder / "results/studies/few/arms.csv")
    study = yaml.safe_load((studied.folder / "results/studies/few/study.yaml").read_text())
    assert len(table) == len(study["arms"])


def test_the_check_for_leaks_bites(studied):
    """A synthetic image of a stock picture that this replicate does not have.

    The last test: it leaves the project without one mix.
    """
    sources = studied.folder / f"results/{SET}/tiny_canny/sources.csv"
    before = sources.read_text()
    table = read_table(sources, "sources")
    drawn = set(table["source"])
    stock = read_table(studied.folder / "results/real/digits/train/manifest.csv", "manifest")
    stranger = stock[~stock["id"].isin(drawn)].iloc[0]
    table.loc[0, ["source", "source_sha256"]] = stranger[["id", "sha256"]].tolist()
    table.to_csv(sources, index=False)
    mix = f"data/mixed/{SET}/tiny_canny/at_random/few.plus2/dataset.csv"
    output = studied.snakemake("--cores", "1", mix, fails=True)
    assert "vary pictures that are not in the training split" in output and stranger["id"] in output
    sources.write_text(before)
