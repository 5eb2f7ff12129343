"""What a study shows stands in full in docs/studies, and in one paragraph in README.md."""

import re
import sys

import pytest
import yaml

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import publish_studies  # noqa: E402

CURVE = {"low": 60.0, "high": None, "at_least": False, "at_most": False}
CURVE |= {"value": 71.2, "low_open": False, "high_open": True}


def told(mean, p):
    """A difference with its interval and p value."""
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "p": p, "p_holm": p}


def arm(name, kind, mean, added=0, p=None, difference=None, worth=None, against=None):
    """One row of study.yaml's `arms`."""
    level = {"mean": mean, "low": mean - 0.05, "high": mean + 0.05}
    return {
        **{"name": name, "kind": kind, "n_real": 30, "n_added": added, **level},
        "difference": difference and told(difference, p),
        "against_random": against and told(*against),
        "equivalent_real": worth,
        "gap_closed": None,
    }


@pytest.fixture
def study() -> dict:
    arms = [
        arm("30 real", "real", 0.41),
        arm("duplicated", "duplicated", 0.4, 60),
        arm("classical", "classical", 0.45, 60, p=0.2, difference=0.05),
        arm("random", "random", 0.6, 60, p=0.001, difference=0.2, worth=CURVE),
        arm("closest", "selection", 0.2, 60, p=0.01, difference=-0.2, against=(-0.4, 0.01)),
        arm("bent", "generator", 0.5, 60, p=0.06, difference=0.1, against=(-0.1, 0.3)),
        arm("ratio 4", "ratio", 0.9, 120, p=None, difference=0.5),
    ]
    return {
        **{"study": "birds", "metric": "accuracy", "seeds": 3, "test_images": 80},
        **{"control": "duplicated", "gap": None, "arms": arms},
        "families": {
            "difference": ["classical", "random", "closest", "bent", "ratio 4"],
            "selection_against_random": ["closest"],
        },
        "verdict": ["The control reaches something.", "1 of 4 arms is shown to be better."],
    }


def test_a_paragraph_says_what_random_reaches_what_else_does_and_what_is_shown(study):
    words, figure = publish_studies.section("birds", study).split("\n\n")
    assert words.replace("\n", " ") == (
        "**birds**: Models trained on 30 real and 60 synthetic images (`random`) reach a test "
        "accuracy of 0.600 [0.550, 0.650]; the control, trained on the same 30 real images "
        "repeated, reaches 0.400 [0.350, 0.450], and other images in place of the synthetic ones "
        "reach: `classical` 0.450, `bent` 0.500. It takes 71 [60, over 71] real images alone to "
        "reach the same score, and no selection by score was shown to beat a choice at random "
        "([all numbers](docs/studies/birds.md))."
    )
    assert max(map(len, words.splitlines())) <= 110
    assert figure == "![Differences to the control: birds](docs/studies/birds_differences.png)"


def test_a_selection_that_beats_chance_is_named(study):
    study["arms"][4]["against_random"] = told(0.3, 0.01)
    words = publish_studies.section("birds", study).replace("\n", " ")
    assert "and 1 of 1 selections by score beat a choice at random: `closest` ([all" in words


def test_a_study_without_other_ways_is_not_said_to_have_any(study):
    kept = ("real", "duplicated", "random")
    study["arms"] = [row for row in study["arms"] if row["kind"] in kept]
    study["families"] = {"difference": ["random"], "selection_against_random": []}
    words = publish_studies.section("birds", study).replace("\n", " ")
    assert "other images" not in words and "selection" not in words


def test_where_the_learning_curve_is_flat_no_number_of_real_images_is_claimed(study):
    study["arms"][3]["equivalent_real"] = None
    words = publish_studies.section("birds", study).replace("\n", " ")
    assert "How many real images alone reach the same score can't be said here, and no" in words


def test_readme_gets_the_short_form_and_docs_the_whole_one(study, tmp_path, monkeypatch):
    results, docs, readme = (tmp_path / name for name in ("results", "docs", "README.md"))
    (results / "birds").mkdir(parents=True)
    (results / "birds/study.yaml").write_text(yaml.safe_dump(study))
    for figure in publish_studies.FIGURES:
        (results / f"birds/{figure}.png").write_bytes(figure.encode())
    readme.write_text("before\n\n<!-- studies -->\nold\n<!-- end of studies -->\n\nafter\n")
    for name, path in {"RESULTS": results, "DOCS": docs, "README": readme}.items():
        monkeypatch.setattr(publish_studies, name, path)

    publish_studies.main()
    text = readme.read_text()
    short = publish_studies.section("birds", study)
    assert text == (f"before\n\n<!-- studies -->\n\n{short}\n\n<!-- end of studies -->\n\nafter\n")
    page = (docs / "birds.md").read_text()
    assert all(f"- {sentence}" in page for sentence in study["verdict"])
    assert "| closest " in page and "| closest " not in text
    assert page.index("studies.md#arms") < page.index("The control reaches")
    for name in re.findall(r"\((birds_\w+\.png)\)", page):
        assert (docs / name).is_file()
    assert len(re.findall(r"\((birds_\w+\.png)\)", page)) == 4

    publish_studies.main()
    assert readme.read_text() == text
