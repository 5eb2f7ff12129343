"""Tables: text stays text, and what is not read is not missed."""

import pytest

from cia.errors import UserError
from cia.tables import read_table, write_table

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
