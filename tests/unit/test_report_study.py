"""A study's figures and tables: they say what study.yaml says, whatever is missing in it."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cia.evidence.arms import StudyArm
from cia.evidence.resampling import draw_images
from cia.evidence.summary import summarize_study
from cia.files import digest_file
from cia.reporting.study_page import (
    FIGURES,
    _places,
    _turned,
    draw_correlations,
    draw_figures,
    study_cells,
    study_pages,
    study_table,
)
from cia.reporting.verdict import equivalent_words, share_words, verdict

LONG = "the best half by mahalanobis on vit_base_patch16_224 among the images that survive"
ARMS = {
    "25 real": ("curve", 25, 0, 0.3),
    "50 real": ("real", 50, 0, 0.5),
    "100 real": ("twice", 100, 0, 0.8),
    "duplicated": ("duplicated", 50, 50, 0.52),
    "classical": ("classical", 50, 50, 0.6),
    "random": ("random", 50, 50, 0.6),
    LONG: ("selection", 50, 50, 0.7),
    "warped": ("generator", 50, 50, 0.9),
    "ratio 0.5": ("ratio", 50, 25, 0.55),
    "all": ("all", 50, 200, 0.65),
}


def study_of(names=None, seeds=4, images=80, metrics=("tiny.fid", "tiny.precision")):
    """Summarize made-up models of given accuracies, on the same test images."""
    rng = np.random.default_rng(0)
    shares = draw_images(images, 60, 0) / images
    arms = []
    for name in names or ARMS:
        kind, real, added, level = ARMS[name]
        right = (rng.random((seeds, images)) < level).astype(float)
        given = {metric: rng.random() for metric in metrics} if "synthetic" in _kind(kind) else {}
        scores = right.mean(axis=1)
        arms.append(
            StudyArm(
                *(name, kind, real, added, added / real, (300,) * seeds),
                *(scores, right @ shares.T, scores),
                against="random" if kind in ("selection", "generator") else None,
                metrics=given,
            )
        )
    study = {"study": "digits", **summarize_study(arms, images, "accuracy")}
    return study | {"verdict": verdict(study)}


def _kind(kind):
    return "real" if kind in ("curve", "real", "twice", "duplicated", "classical") else "synthetic"


@pytest.fixture(scope="module")
def study():
    return study_of()


def test_the_table_for_programs_has_every_number(study, tmp_path):
    table = study_table(study)
    assert table["arm"].tolist() == list(ARMS)
    row, arm = table.iloc[6], study["arms"][6]
    assert row["score"] == arm["mean"] and row["score: low"] == arm["low"]
    assert row["difference to duplicated: p, Holm"] == arm["difference"]["p_holm"]
    assert row["difference to random of same size"] == arm["against_random"]["mean"]
    assert row["equivalent real images"] == arm["equivalent_real"]["value"]
    assert row["share of gap closed: high"] == arm["gap_closed"]["high"]
    assert [float(score) for score in row["score by seed"].split(";")] == arm["scores"]
    read = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    assert read["share of gap closed"].isna().sum() == 3 and len(read) == len(ARMS)


def test_the_table_for_people_says_what_the_study_says(study):
    table = study_cells(study)
    cells = {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    column = "difference to duplicated reals [95 % interval]"
    assert cells["duplicated"][column] == "(the control)"
    gap = study["arms"][6]["difference"]
    assert cells[LONG][column] == f"{gap['mean']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]"
    assert cells["50 real"]["worth as many real images [95 % interval]"] == ""
    assert "share of the gap to 100 real closed [95 % interval]" in table.headers
    page = study_pages(study)[0]
    assert all(sentence in page for sentence in study["verdict"]) and LONG in page


def test_open_ends_and_what_is_undefined_are_said():
    words = {"value": 83.4, "at_least": False, "at_most": False}
    inner = words | {"low": 61.0, "high": 100.0, "low_open": False, "high_open": True}
    assert equivalent_words(inner) == "83 [61, over 100]"
    above = {"value": 100.0, "at_least": True, "at_most": False, "low": 100.0, "high": None}
    assert equivalent_words(above | {"low_open": False, "high_open": True}) == (
        "over 100 [100, over 100]"
    )
    below = {"value": 25.0, "at_least": False, "at_most": True, "low": None, "high": 25.0}
    assert equivalent_words(below | {"low_open": True, "high_open": False}) == (
        "under 25 [under 25, 25]"
    )
    assert share_words({"value": 0.64, "low": 0.31, "high": 1.1}) == "64 % [31 %, 110 %]"
    assert share_words({"value": None, "low": None, "high": None}) == "-"


def test_the_same_study_gives_the_same_bytes(study, tmp_path):
    digests = []
    for folder in ("a", "b"):
        draw_figures(study, tmp_path / folder)
        digests.append([digest_file(tmp_path / folder / f"{name}.png") for name in FIGURES])
    assert digests[0] == digests[1] and len(set(digests[0])) == 4


@pytest.mark.parametrize("seeds", [1, 4])
@pytest.mark.filterwarnings("error")
def test_figures_are_drawn_whatever_is_missing(tmp_path, seeds):
    few = study_of(["50 real", "duplicated", "random"], seeds)
    assert few["curve"] is None and few["gap"] is None
    same = study_of(["50 real", "100 real", "duplicated"], seeds, metrics=())
    for arm in same["arms"][:1]:
        arm |= {"low": None, "high": None}
    for number, study in enumerate((few, same)):
        draw_figures(study, tmp_path / str(number))
        study_pages(study)
        assert {path.stem for path in (tmp_path / str(number)).iterdir()} == set(FIGURES)


@pytest.mark.parametrize("name", list(FIGURES))
def test_long_names_stay_within_the_figure(study, tmp_path, name):
    draw, _ = FIGURES[name]
    draw(tmp_path / "figure.png", study, "A title", {"Title": "A title"})
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.text["Title"] == "A title"
        pixels = np.asarray(picture.convert("L"))
    assert pixels.shape[1] == 1200
    edges = [pixels[:, 0], pixels[:, -1], pixels[0], pixels[-1]]
    assert all((edge == 255).all() for edge in edges)


def test_right_of_zero_the_better_arms_have_the_better_metric(study, tmp_path):
    assert _turned("lower", -0.8) == 0.8
    assert _turned("higher", -0.8) == -0.8 == _turned(None, -0.8)
    assert study["correlations"]["tiny.fid"]["better"] == "lower"
    assert study["correlations"]["tiny.precision"]["better"] == "higher"
    assert study["correlations"]["tiny.fid"]["raw"]["arms"] == 5
    draw_correlations(tmp_path / "a.png", study, "A", {})
    other = study["correlations"]["tiny.fid"] | {"better": "higher"}
    turned = study | {"correlations": study["correlations"] | {"tiny.fid": other}}
    draw_correlations(tmp_path / "b.png", turned, "A", {})
    assert digest_file(tmp_path / "a.png") != digest_file(tmp_path / "b.png")


def test_arms_of_one_ratio_stand_side_by_side():
    assert _places([0, 1, 1, 4]) == [0, 1, 1.22, 2]


def test_a_flat_learning_curve_is_said_to_be_flat(study, tmp_path):
    curve = {**study["curve"], "fit": [0.1] * len(study["curve"]["fit"])}
    rows = [row | {"equivalent_real": None} for row in study["arms"]]
    draw_figures({**study, "curve": curve, "arms": rows}, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 4
