"""Files are whole or not there, and digests see what they should."""

import hashlib
import os

import pytest

from cia.errors import UserError
from cia.files import (
    atomic_path,
    digest_file,
    folder_fingerprint,
    read_yaml,
    remove_strays,
    write_text,
    write_texts,
    write_yaml,
)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_the_temporary_file_is_hidden_and_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "new" / "a.png") as partial:
        assert partial.suffix == ".png" and partial.name.startswith(".")
        partial.write_bytes(b"x")
    assert (tmp_path / "new" / "a.png").read_bytes() == b"x"


def test_files_have_the_ordinary_mode(tmp_path):
    write_text(tmp_path / "a.txt", "é")
    (tmp_path / "plain.txt").write_text("x")
    modes = [os.stat(tmp_path / name).st_mode for name in ("a.txt", "plain.txt")]
    assert modes[0] == modes[1]


def test_yaml_comes_back_in_order(tmp_path):
    data = {"b": [1, 2.5, None], "a": {"é": "yes", "n": "0012"}}
    write_yaml(tmp_path / "a.yaml", data)
    loaded = read_yaml(tmp_path / "a.yaml")
    assert loaded == data and list(loaded) == ["b", "a"]


def test_broken_yaml_names_file_and_line(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1\nb: [1,\n")
    with pytest.raises(UserError, match=r"a\.yaml(.|\n)*line 3"):
        read_yaml(tmp_path / "a.yaml")


def test_digest_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert digest_file(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_fingerprint_sees_changes_and_ignores_hidden_files(tmp_path):
    folder = tmp_path / "images"
    assert folder_fingerprint(folder) == folder_fingerprint(tmp_path / "missing")
    folder.mkdir()
    (folder / "a.png").write_bytes(b"1")
    seen = {folder_fingerprint(folder)}
    (folder / ".tmp-x.png").write_bytes(b"1")
    assert folder_fingerprint(folder) in seen
    (folder / "b.png").write_bytes(b"1")
    seen.add(folder_fingerprint(folder))
    (folder / "a.png").write_bytes(b"22")
    seen.add(folder_fingerprint(folder))
    os.utime(folder / "a.png", ns=(0, 0))
    seen.add(folder_fingerprint(folder))
    (folder / "b.png").rename(folder / "c.png")
    seen.add(folder_fingerprint(folder))
    (folder / "d.png").symlink_to("nowhere")
    seen.add(folder_fingerprint(folder))
    assert len(seen) == 6
    assert folder_fingerprint(folder, tmp_path / "x") != folder_fingerprint(tmp_path / "x", folder)


def test_many_texts_are_written_where_they_differ_and_leave_nothing_else(tmp_path):
    folder = tmp_path / "captions"
    assert write_texts(folder, [("a.txt", "é\n"), ("b.txt", ""), ("c.txt", "old")]) == 3
    for path in folder.iterdir():
        os.utime(path, ns=(0, 0))
    assert write_texts(folder, [("a.txt", "é\n"), ("b.txt", ""), ("c.txt", "new")]) == 1
    assert {path.name: path.read_bytes().decode() for path in folder.iterdir()} == {
        "a.txt": "é\n",
        "b.txt": "",
        "c.txt": "new",
    }
    changed = [path.name for path in folder.iterdir() if path.stat().st_mtime_ns]
    assert changed == ["c.txt"]


def test_strays_go_and_folders_and_other_kinds_of_files_stay(tmp_path):
    (tmp_path / "folder.png").mkdir()
    for name in ("a.png", "old.png", ".tmp-x.png", "notes.md"):
        (tmp_path / name).touch()
    (tmp_path / "gone.png").symlink_to("nowhere")
    removed = remove_strays(tmp_path, ["a.png"], ".png")
    assert sorted(removed) == [".tmp-x.png", "gone.png", "old.png"]
    left = ["a.png", "folder.png", "notes.md"]
    assert sorted(os.listdir(tmp_path)) == left
    assert remove_strays(tmp_path, ["a.png"]) == ["notes.md"]
    assert sorted(os.listdir(tmp_path)) == left[:2]


def test_texts_that_fail_halfway_are_whole_or_not_there(tmp_path):
    def texts():
        yield "a.txt", "whole"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_texts(tmp_path, texts())
    write_texts(tmp_path, [("a.txt", "whole")])
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    before = os.stat(tmp_path / "a.txt")
    with pytest.raises(UnicodeEncodeError):
        write_texts(tmp_path, [("a.txt", "\ud800")])
    assert (tmp_path / "a.txt").read_text() == "whole"
    (tmp_path / "plain.txt").write_text("x")
    assert os.stat(tmp_path / "plain.txt").st_mode == before.st_mode


def test_a_fingerprint_holds_names_that_are_not_utf8(tmp_path):
    plain = folder_fingerprint(tmp_path)
    name = os.fsencode(tmp_path) + b"/\xff.png"
    with open(name, "wb"):
        pass
    assert folder_fingerprint(tmp_path) != plain
    assert folder_fingerprint(name) == folder_fingerprint(tmp_path / "missing")
