"""The record of what a job made in a folder, and what of it is gone or was changed since."""

import os
from pathlib import Path

import pytest

from cia.runtime import made

FOLDER = Path("data/generated/a/b/images")
NAMES = ["1.png", "a b.png", "Ä.png", "train/real/1.png", os.fsdecode(b"not utf-8 \xff.png")]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder that a job made, with its record."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        write(name, "made")
    made.record(FOLDER)


def write(name: str, text: str, seconds: int = 1000) -> None:
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (seconds, seconds))


def changed(part: str = "") -> list[str]:
    return made.find_changes(FOLDER, [part]).names.get(part, [])


def test_a_folder_as_it_was_made_has_no_changes():
    assert made.find_changes(FOLDER) == ({}, len(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_file_is_found(name):
    (FOLDER / name).unlink()
    assert changed() == [name]


def test_an_edit_is_found_by_size_or_by_time():
    write("1.png", "made, and more")
    write("Ä.png", "edit", seconds=1001)
    assert sorted(changed()) == ["1.png", "Ä.png"]


def test_a_copy_from_an_archive_that_keeps_whole_seconds_is_no_change():
    os.utime(FOLDER / "1.png", ns=(0, 1000 * 10**9 + 123456789))
    made.record(FOLDER)
    os.utime(FOLDER / "1.png", (1000, 1000))
    assert changed() == []


def test_a_link_that_leads_nowhere_is_a_lost_file():
    (FOLDER / "1.png").unlink()
    (FOLDER / "1.png").symlink_to("nowhere")
    assert changed() == ["1.png"]


def test_what_others_put_there_does_not_count():
    write("train/real.cache", "a library's")
    write(".hidden", "a desktop's")
    assert changed() == []


def test_a_name_with_a_line_break_is_left_out_instead_of_being_lost_for_ever():
    write("two\nlines.png", "made")
    made.record(FOLDER)
    assert changed() == []


def test_a_folder_that_is_gone_has_lost_every_file():
    FOLDER.rename("elsewhere")
    assert len(changed()) == len(NAMES)


def test_a_folder_without_record_is_not_looked_at():
    made.forget(FOLDER)
    (FOLDER / "1.png").unlink()
    assert made.find_changes(FOLDER) == ({}, 0)


def test_jobs_that_make_one_folder_know_their_own_files():
    made.record(FOLDER, "0", ["1.png", "a b.png"])
    made.record(FOLDER, "1", ["Ä.png"])
    (FOLDER / "Ä.png").unlink()
    assert made.find_changes(FOLDER, ["0", "1"]) == ({"1": ["Ä.png"]}, 3)


def test_edited_files_are_dropped_once_and_those_made_since_are_kept():
    """As by a job that was killed when it had dropped them, and runs again."""
    write("1.png", "edited")
    assert made.drop_changed(FOLDER) == ["1.png"]
    assert not (FOLDER / "1.png").exists() and (FOLDER / "Ä.png").exists()
    write("1.png", "made by the killed job")
    assert made.drop_changed(FOLDER) == []
    assert (FOLDER / "1.png").exists()


def test_the_line_for_a_person_counts_and_names_the_files():
    (FOLDER / "1.png").unlink()
    assert made.find_changes(FOLDER).describe(FOLDER) == (
        "data/generated/a/b/images: 1 of 5 files is gone or was changed since it was made "
        "(1.png); to be made again"
    )
    FOLDER.rename("elsewhere")
    line = made.find_changes(FOLDER).describe(FOLDER)
    assert "5 of 5 files are gone or were changed since they were made (1.png, a b.png," in line
    assert line.endswith(", ... Ä.png); to be made again")


def test_a_job_names_subfolders_and_files_of_its_own():
    write("notes.txt", "somebody's")
    made.record(FOLDER, names=("train", "1.png", "labels"))
    for name in ("notes.txt", "1.png", "train/real/1.png"):
        write(name, "edited")
    assert made.find_changes(FOLDER) == ({"": ["1.png", "train/real/1.png"]}, 2)
