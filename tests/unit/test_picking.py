"""What a person kept or dropped by hand counts for the very images that it was said of."""

import logging
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from snakemake.iocontainers import InputFiles, OutputFiles, Params, Wildcards

import filter as filter_script
import metadata as metadata_script
from cia.config.checks import checked, ready
from cia.config.references import kept_at_most
from cia.errors import UserError
from cia.filtering import select
from cia.picking import count_picked, picked_of, read_picked
from cia.tables import read_table, write_table
from conftest import ROOT

DIGESTS = {name: name * 64 for name in "abcdef"}
HEADER = "dataset,generator,id,verdict,sha256\n"
PICKED = {"method": "picked", "file": "picked.csv", "unseen": "drop"}


def manifest() -> pd.DataFrame:
    rows = [
        {"id": id_, "image": f"{id_}.png", "width": 8, "height": 8, "sha256": digest, "caption": ""}
        for id_, digest in DIGESTS.items()
    ]
    return pd.DataFrame(rows)


def line(id_, verdict, digest=None, dataset="d", generator="g") -> str:
    digest = DIGESTS.get(id_, "") if digest is None else digest
    return f"{dataset},{generator},{id_},{verdict},{digest}\n"


def write(path, *lines, header=HEADER) -> str:
    path.write_text(header + "".join(lines), encoding="utf-8")
    return str(path)


def picked(path, *lines, **names):
    file = write(path / "picked.csv", *lines)
    return picked_of(read_picked(file), file, *names.values() or ("d", "g"), DIGESTS)


def kept(settings, verdicts, **more) -> list[str]:
    chosen = select(manifest(), settings, 0, picked={"picked.csv": verdicts}, **more)
    return sorted(chosen["id"])


@pytest.mark.parametrize("unseen, expected", [("drop", ["a"]), ("keep", ["a", "c", "d", "e", "f"])])
def test_what_was_not_looked_at_counts_as_the_setting_says(unseen, expected):
    assert kept({**PICKED, "unseen": unseen}, {"a": "keep", "b": "drop"}) == expected


def test_a_step_of_a_sequence_chooses_from_what_the_one_before_kept():
    scores = {"f": manifest()[["id", "image"]].assign(realism=[6.0, 5, 4, 3, 2, 1])}
    best = {"method": "top_k", "value": 2, "features": "f", "score": "realism"}
    by_hand = {**PICKED, "unseen": "keep"}
    before = {"method": "sequence", "steps": [by_hand, best]}
    assert kept(before, {"a": "drop"}, scores=scores) == ["b", "c"]
    after = {"method": "sequence", "steps": [best, by_hand]}
    assert kept(after, {"a": "drop"}, scores=scores) == ["b"]


def test_the_order_favors_no_source_whatever_the_order_of_rows():
    verdicts = dict.fromkeys(DIGESTS, "keep")
    first = select(manifest(), PICKED, 0, picked={"picked.csv": verdicts})
    other = select(manifest().iloc[::-1], PICKED, 0, picked={"picked.csv": verdicts})
    pd.testing.assert_frame_equal(first, other)
    assert first["id"].tolist() != sorted(DIGESTS) and set(first["score"]) == {0.0}


def test_an_image_that_was_made_anew_counts_as_not_looked_at(tmp_path, caplog):
    caplog.set_level(logging.INFO, "cia")
    rows = line("a", "keep"), line("b", "drop", "0" * 64), line("zz", "keep", "z")
    found = picked(tmp_path, *rows)
    assert found == ({"a": "keep"}, 1, 1)
    words = "1 of 6 images are kept and 0 dropped; 5 were not looked at"
    assert words in caplog.text and "1 more are not there" in caplog.text
    counts = {"kept": 1, "dropped": 0, "not_looked_at": 5, "gone": 1, "made_anew": 1}
    assert count_picked(found, 6) == counts


def test_a_row_without_digest_counts_whatever_the_bytes(tmp_path):
    assert picked(tmp_path, line("a", "keep", "")).verdicts == {"a": "keep"}
    file = write(tmp_path / "p.csv", "d,g,b,drop\n", header="dataset,generator,id,verdict\n")
    assert picked_of(read_picked(file), file, "d", "g", DIGESTS).verdicts == {"b": "drop"}


def test_a_file_may_have_several_sets_and_spreadsheets_marks_and_line_ends(tmp_path):
    path = tmp_path / "picked.csv"
    rows = [HEADER, line("a", "keep"), line("b", "drop", generator="h"), "\n", line("c", "drop")]
    path.write_bytes("\ufeff".encode() + "".join(rows).replace("\n", "\r\n").encode())
    found = picked_of(read_picked(path), path, "d", "g", DIGESTS)
    assert found.verdicts == {"a": "keep", "c": "drop"}


def test_ids_with_commas_quotes_and_line_breaks_are_read_and_lines_counted(tmp_path):
    odd = 'd,g,"a ""b"", c\nd",keep,x\n'
    file = write(tmp_path / "p.csv", odd, line("e", "keep"))
    rows = read_picked(file)
    assert [(row.line, row.id) for row in rows] == [(2, 'a "b", c\nd'), (4, "e")]


def test_a_set_that_nobody_looked_at_is_told(tmp_path, caplog):
    assert picked(tmp_path, line("a", "keep", generator="h")).verdicts == {}
    assert "has no verdict on d / g" in caplog.text


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "line 1: the file is empty"),
        ("dataset,generator,id\nd,g,a\n", "line 1: no column verdict; there are dataset"),
        ("dataset;generator;id;verdict\n", "line 1: no column dataset, generator, id, verdict"),
        (HEADER + line("a", "keep") + line("b", "kep"), "line 3: verdict 'kep'.*mean 'keep'"),
        (HEADER + line("a", "keep") + "d,g\n", "line 3: 2 fields, and 5 columns"),
        (
            HEADER + line("a", "keep") + line("b", "keep") + line("a", "drop"),
            "line 4: verdict 'drop' for 'a', and line 2 has 'keep'",
        ),
        (HEADER + 'd,g,"a"b,keep,\n', "line 2: "),
    ],
)
def test_a_file_that_is_no_such_table_is_an_error_that_names_the_line(tmp_path, text, words):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=f"mine.csv, {words}"):
        read_picked(path)


def test_a_file_of_another_dataset_and_a_missing_one_are_errors(tmp_path):
    with pytest.raises(UserError, match="picked.csv, line 2: it is of dataset 'other'.*'d'"):
        picked(tmp_path, line("a", "keep", dataset="other"))
    with pytest.raises(UserError, match="none.csv: there is no such file"):
        read_picked(tmp_path / "none.csv")


def test_a_file_in_another_encoding_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes((HEADER + line("ä", "keep")).encode("latin-1"))
    with pytest.raises(UserError, match="latin.csv: .*UTF-8"):
        read_picked(path)


# configuration


def config(**selections) -> dict:
    found = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    found["selections"] |= selections
    found["experiments"][0]["selections"] = list(selections)
    return found


def test_the_config_fills_in_that_what_nobody_saw_is_dropped_and_misses_a_file_that_is_used():
    mine = {"method": "picked", "file": "none/picked.csv"}
    steps = {"method": "sequence", "steps": [{"method": "all"}, mine]}
    full = checked(config(mine=mine, steps=steps))
    assert full["selections"]["mine"]["unseen"] == "drop"
    with pytest.raises(UserError, match="selections.mine.file: there is no file 'none/picked.csv'"):
        ready(config(mine=mine))
    with pytest.raises(UserError, match="selections.steps.file: there is no file"):
        ready(config(steps=steps))
    unused = config(mine=mine, other={"method": "all"})
    unused["experiments"][0]["selections"] = ["other"]
    ready(unused)
    assert kept_at_most(full["selections"]["mine"], 7) == 7


def test_a_study_takes_no_selection_by_hand():
    own = config(mine={"method": "picked", "file": "picked.csv"})
    own["experiments"][0]["selections"] = ["all"]
    study = yaml.safe_load((ROOT / "config/study.yaml").read_text())
    study["selections"]["mine"] = {"method": "picked", "file": "picked.csv"}
    entry = next(iter(study["studies"].values()))
    entry["selections"] = ["mine"]
    with pytest.raises(UserError, match="selection 'mine' has verdicts by hand"):
        checked(study)


# scripts


def test_the_scripts_read_the_file_that_the_settings_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "picked.csv", line("a", "keep"), line("b", "drop"), line("gone", "keep", "x"))
    write_table("manifest.csv", manifest(), "manifest")
    names = Wildcards(fromdict={"dataset": "d", "generator": "g", "selection": "mine"})
    inputs = {"manifest": "manifest.csv", "picked": ["picked.csv"]}
    job = SimpleNamespace(
        input=InputFiles(fromdict=inputs),
        output=OutputFiles(fromdict={"selected": "selected.csv"}),
        params=Params(fromdict={"settings": PICKED, "features": [], "seed": 0, "version": "1"}),
        wildcards=names,
    )
    filter_script.main(job)
    assert read_table("selected.csv", "selected")["id"].tolist() == ["a"]
    counts = {"kept": 1, "dropped": 1, "not_looked_at": 4, "gone": 1, "made_anew": 0}
    assert metadata_script.by_hand(job) == {"picked.csv": counts}
