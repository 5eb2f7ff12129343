"""Tables: text stays text, and what is not read is not missed."""

import csv
import re

import pytest

from cia import tables
from cia.errors import UserError
from cia.tables import read_table, write_report_table, write_table
from conftest import ROOT

ROW = {"id": "007", "image": "a,b.png", "width": 3, "height": 2, "sha256": "0e1", "caption": "nan"}


def test_a_table_is_read_as_it_was_written(tmp_path):
    write_table(tmp_path / "manifest.csv", [ROW], "manifest")
    assert read_table(tmp_path / "manifest.csv", "manifest").to_dict("records") == [ROW]


def test_some_columns_are_read_and_no_other(tmp_path):
    write_table(tmp_path / "manifest.csv", [ROW], "manifest")
    table = read_table(tmp_path / "manifest.csv", "manifest", ["sha256", "id", "width"])
    assert table.to_dict("records") == [{"id": "007", "width": 3, "sha256": "0e1"}]


def test_a_missing_column_is_named_whether_or_not_others_are_read(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_text("id,image\n1,a.png\n")
    assert read_table(path, "manifest", ["id", "image"])["id"].tolist() == ["1"]
    with pytest.raises(UserError, match=r"manifest\.csv: no column sha256; delete"):
        read_table(path, "manifest", ["id", "sha256"])
    with pytest.raises(UserError, match="no column width, height, sha256, caption"):
        read_table(path, "manifest")


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1"]


def test_a_table_for_people_holds_no_formula(tmp_path):
    rows = [{"id": text, "caption": text, "score": -1.5, "rank": -2} for text in FORMULAS]
    rows += [{"id": "a=b", "caption": "\r=1", "score": 0.5}]
    write_report_table(tmp_path / "report.csv", rows)
    with open(tmp_path / "report.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [row["id"] for row in read] == [*(f"'{text}" for text in FORMULAS), "a=b"]
    assert [row["caption"] for row in read] == [*(f"'{text}" for text in FORMULAS), "'\n=1"]
    assert read[0]["score"] == "-1.5" and float(read[0]["rank"]) == -2


def test_a_table_that_the_workflow_reads_again_holds_text_as_it_is(tmp_path):
    for text in FORMULAS:
        row = {**ROW, "id": text, "caption": text}
        write_table(tmp_path / "manifest.csv", [row], "manifest")
        assert read_table(tmp_path / "manifest.csv", "manifest").to_dict("records") == [row]


def test_what_people_alone_read_is_read_by_no_part_of_the_workflow(tmp_path):
    code = "\n".join(path.read_text() for path in (ROOT / "scripts").rglob("*.py"))
    for kind in tables._FOR_PEOPLE:
        row = dict.fromkeys(tables.COLUMNS[kind], "=1+1")
        write_table(tmp_path / "table.csv", [row], kind)
        assert (tmp_path / "table.csv").read_text().count("'=1+1") == len(row)
        assert not re.search(rf'read_table\([^)]*"{kind}"', code)
