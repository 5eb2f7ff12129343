"""An import links what the source has, takes away what it has no more, and touches nothing else."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import label
import scan
from cia.errors import UserError
from cia.files import tree_fingerprint, write_text
from cia.importing.importing import UNGROUPED
from cia.tables import read_table, write_table
from datasets_elsewhere import NAMES, imported, link_targets, picture, rows, source

SHARES = {"train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture
def pets(tmp_path) -> Path:
    """Ten cats and ten dogs, a folder each."""
    for kind in ("cat", "dog"):
        for number in range(10):
            picture(tmp_path / "pets" / kind / f"{number}.png")
    return tmp_path / "pets"


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "data/real/pets"


def make(folder, pets, **options):
    options = {"split": SHARES} | options
    return imported(folder, source("imagefolder", str(pets)), "classification", **options)


def test_splits_are_made_by_the_shares_and_every_picture_is_linked_with_its_label(folder, pets):
    summary = make(folder, pets)
    assert summary["pictures"] == {"train": 10, "val": 5, "test": 5}
    for split in ("train", "val", "test"):
        for name, target in link_targets(folder / split / "images").items():
            kind, file = name.split("__")
            assert target == str(pets / kind / file)
            text = (folder / split / "labels" / f"{Path(name).stem}.txt").read_text()
            assert text == {"cat": "0\n", "dog": "1\n"}[kind]
    assert len(rows(folder)) == 20


def test_new_pictures_move_no_old_one_and_what_left_the_source_leaves(folder, pets):
    make(folder, pets)
    before = rows(folder)
    links = {path: path.lstat().st_mtime_ns for path in folder.rglob("*.png")}
    for number in range(10, 16):
        picture(pets / "cat" / f"{number}.png")
    (pets / "dog/3.png").unlink()
    for split in ("train", "val", "test"):
        (folder / split / "imported.csv").unlink()  # as Snakemake does before a job runs again
    make(folder, pets)
    after = rows(folder)
    assert {name: after[name] for name in before if name in after} == {
        name: place for name, place in before.items() if name != "dog/3.png"
    }
    assert len(after) == 25 and not list(folder.rglob("dog__3.*"))
    kept = {path: path.lstat().st_mtime_ns for path in folder.rglob("*.png") if path in links}
    assert kept.items() <= links.items(), "links that were right were made anew"


def test_other_shares_and_another_seed_split_anew_and_ids_stay(folder, pets):
    make(folder, pets)
    before = rows(folder)
    make(folder, pets, seed=1)
    other = rows(folder)
    assert {name: split for name, (split, _) in other.items()} != {
        name: split for name, (split, _) in before.items()
    }
    assert {name: id_ for name, (_, id_) in other.items()} == {
        name: id_ for name, (_, id_) in before.items()
    }
    make(folder, pets, split={"train": 0.8, "val": 0.1, "test": 0.1})
    assert sorted(split for split, _ in rows(folder).values()).count("train") == 16


def test_groups_by_a_pattern_stay_together_and_a_pattern_that_finds_nothing_is_an_error(
    folder, pets
):
    make(folder, pets, split=SHARES | {"group": r"(\d+)\.png"})
    for number in range(10):
        assert len({rows(folder)[f"{kind}/{number}.png"][0] for kind in ("cat", "dog")}) == 1
    for pattern, words in (("scene_(.*)", "in no picture's name"), ("(", "no regular expression")):
        with pytest.raises(UserError, match=words):
            make(folder, pets, split=SHARES | {"group": pattern})


def test_ids_are_names_without_suffix_and_the_same_stem_gets_folder_or_suffix(folder, tmp_path):
    root = tmp_path / "photos"
    files = [*NAMES, "a.png", "a.JPG", "sub/a.png", "sub__a.jpg", "/".join(["long"] * 60) + ".png"]
    text = ["image,label"]
    for name in files:
        picture(root / name)
        text.append(f'"{name}",pet')
    write_text(root / "list.csv", "\n".join(text))
    settings = source("csv", str(root / "list.csv"))
    imported(folder, settings, "classification", split=SHARES)
    ids = {name: id_ for name, (_, id_) in rows(folder).items()}
    assert [ids[name] for name in NAMES] == ["with space", "Ümlaut", "dots.v1.2", "100%#1"]
    places = rows(folder)
    together = places["a.png"][0] == places["a.JPG"][0]
    assert (ids["a.png"], ids["a.JPG"]) == (("a_png", "a_JPG") if together else ("a", "a"))
    assert ids["sub/a.png"].startswith("sub__a")
    assert len(ids[files[-1]].encode()) == 200
    for split in ("train", "val", "test"):
        here = [id_ for place, id_ in places.values() if place == split]
        assert len(set(here)) == len(here) == len(link_targets(folder / split / "images"))
    picture(root / "with space.jpg")
    write_text(root / "list.csv", "\n".join([*text, "with space.jpg,pet"]))
    imported(folder, settings, "classification", split=SHARES)
    now = {name: id_ for name, (_, id_) in rows(folder).items()}
    assert {name: now[name] for name in ids} == ids, "a new picture took an old one's id"


def test_a_source_that_lacks_a_split_says_what_to_write_and_gets_it_from_train(folder, tmp_path):
    for split, count in (("train", 8), ("val", 2)):
        for number in range(count):
            picture(tmp_path / f"pets/{split}/cat/{number}.png")
    settings = source("imagefolder", str(tmp_path / "pets"))
    words = r"it has train and val, but no test\. Write.* split: \{train: 0\.85, test: 0\.15\}"
    with pytest.raises(UserError, match=words):
        imported(folder, settings, "classification")
    summary = imported(folder, settings, "classification", split={"train": 0.75, "test": 0.25})
    assert summary["pictures"] == {"train": 6, "val": 2, "test": 2}
    before = rows(folder)
    picture(tmp_path / "pets/train/cat/9.png")
    imported(folder, settings, "classification", split={"train": 0.75, "test": 0.25})
    assert rows(folder).items() >= before.items()
    with pytest.raises(UserError, match="the source has val already"):
        imported(folder, settings, "classification", split=SHARES)


def test_links_that_lead_through_links_work_and_a_missing_file_is_told_by_the_scan(
    folder, tmp_path, pets
):
    """As DVC and git-annex keep files: a link to a cache, which may lack the file."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for path in sorted(pets.rglob("*.png")):
        target = cache / f"{path.parent.name}-{path.name}"
        shutil.move(path, target)
        path.symlink_to(os.path.relpath(target, path.parent))
    (tmp_path / "linked").symlink_to(pets)
    (cache / "cat-0.png").unlink()
    make(folder, tmp_path / "linked")
    split, id_ = rows(folder)["cat/0.png"]
    link = folder / split / "images" / f"{id_}.png"
    assert os.readlink(link) == str(tmp_path / "linked/cat/0.png")
    found = scan.scan_folder(folder / split)
    assert found.unusable == 1 and "broken link" in found.rejected[0]["reason"]


def test_a_folder_that_no_import_made_is_left_alone(folder, pets, tmp_path):
    mine = picture(folder / "train/images/mine.png")
    with pytest.raises(UserError, match="holds files that no import made"):
        make(folder, pets)
    assert mine.exists()
    shutil.rmtree(folder)
    (folder / "train").mkdir(parents=True)
    (folder / "train/images").symlink_to(pets / "cat")
    with pytest.raises(UserError, match="holds files that no import made"):
        make(folder, pets)
    assert len(list((pets / "cat").iterdir())) == 10
    (folder / "train/images").unlink()
    make(folder, pets)
    picture(folder / "val/images/mine.png")
    with pytest.raises(UserError, match="val/images holds files that no import made"):
        make(folder, pets)


def test_names_that_no_table_can_hold_are_refused_with_a_reason(folder, pets):
    os.rename(pets / "cat/1.png", os.fsencode(pets / "cat") + b"/\xff.png")
    (pets / "cat/2.png").rename(pets / "cat/line\nbreak.png")
    make(folder, pets)
    table = read_table(folder / "train/refused.csv", "refused")
    assert set(table.reason) == {"its name has control characters or bytes that are not UTF-8"}
    assert len(table) == 2 and table.unusable.sum() == 2


def test_scan_and_label_list_what_the_import_refused(folder, tmp_path):
    for split in ("train", "val", "test"):
        for name in ("good.png", "bad.png"):
            picture(tmp_path / f"{split}/images/{name}")
        write_text(tmp_path / f"{split}/labels/good.txt", "0 0.5 0.5 0.5 0.5")
        write_text(tmp_path / f"{split}/labels/bad.txt", "9 0.5 0.5 0.5 0.5")
    write_text(tmp_path / "train/images/film.gif", "")
    splits = "".join(f"{split}: {split}/images\n" for split in ("train", "val", "test"))
    write_text(tmp_path / "data.yaml", f"names: [cat]\n{splits}")
    imported(folder, source("yolo", str(tmp_path)), "detection")
    place = folder / "train"
    job = SimpleNamespace(
        input=SimpleNamespace(refused=place / "refused.csv", manifest=tmp_path / "manifest.csv"),
        output=SimpleNamespace(
            manifest=tmp_path / "manifest.csv",
            labels=tmp_path / "labels.csv",
            rejected=tmp_path / "rejected.csv",
            summary=tmp_path / "labels.yaml",
        ),
        params=SimpleNamespace(
            folder=str(place), task="detection", classes=["cat"], kpt_shape=None
        ),
        resources=SimpleNamespace(max_rejected="0.5"),
        wildcards=SimpleNamespace(split="train"),
        threads=1,
    )
    scan.main(job)
    rejected = read_table(tmp_path / "rejected.csv", "rejected")
    assert rejected.reason.tolist() == ["not a picture of a known suffix"]
    label.main(job)
    rejected = read_table(tmp_path / "rejected.csv", "rejected")
    assert len(rejected) == 1 and rejected.file[0].endswith("labels/bad.txt")
    assert rejected.reason[0].endswith("line 1: class 9 is out of range (0 to 0)")
    assert read_table(tmp_path / "labels.csv", "labels").id.tolist() == ["good"]


def test_the_fingerprint_of_a_tree_sees_edits_deep_in_it_and_ends_where_links_go_round(tmp_path):
    write_text(tmp_path / "tree/a/b/c.txt", "one")
    (tmp_path / "tree/a/b/round").symlink_to(tmp_path / "tree")
    first = tree_fingerprint(tmp_path / "tree")
    assert first == tree_fingerprint(tmp_path / "tree")
    write_text(tmp_path / "tree/a/b/c.txt", "two!")
    second = tree_fingerprint(tmp_path / "tree")
    write_text(tmp_path / "tree/a/b/.hidden", "x")
    assert first != second == tree_fingerprint(tmp_path / "tree")
    write_text(tmp_path / "tree/a/d.txt", "x")
    assert second != tree_fingerprint(tmp_path / "tree")
    assert tree_fingerprint(tmp_path / "not there") == tree_fingerprint()


def test_a_table_of_refusals_keeps_its_rows(tmp_path):
    row = {"id": "", "file": "=1+1.png", "reason": "why", "unusable": 1}
    write_table(tmp_path / "refused.csv", [row], "refused")
    assert read_table(tmp_path / "refused.csv", "refused").to_dict("records") == [row]


def test_a_picture_keeps_id_and_split_when_the_folders_above_its_name_change(folder, tmp_path):
    source_folder = tmp_path / "yolo"
    for number in range(8):
        path = picture(source_folder / "a/images" / f"{number}.png")
        write_text(source_folder / "a/labels" / f"{path.stem}.txt", "0 0.5 0.5 0.2 0.2\n")
    write_text(source_folder / "data.yaml", "train: [a/images]\nnames: [cat]\n")
    settings = source("yolo", str(source_folder))

    def places() -> dict[str, tuple[str, str]]:
        return {
            row.file: (split, row.id)
            for split in SHARES
            for row in read_table(folder / split / "imported.csv", "imported").itertuples()
        }

    imported(folder, settings, "detection", split=SHARES)
    before = places()
    assert sorted(id_ for _, id_ in before.values()) == list("01234567")
    picture(source_folder / "b/images/0.png")
    write_text(source_folder / "b/labels/0.txt", "0 0.5 0.5 0.2 0.2\n")
    write_text(source_folder / "data.yaml", "train: [a/images, b/images]\nnames: [cat]\n")
    imported(folder, settings, "detection", split=SHARES)
    assert before.items() <= places().items() and len(places()) == 9
    moved = source_folder.rename(tmp_path / "moved")
    imported(folder, source("yolo", str(moved)), "detection", split=SHARES)
    assert sorted(places().values()) == sorted(
        [*before.values(), next(place for file, place in places().items() if "/b/" in file)]
    )


def test_pictures_without_a_group_are_counted(folder, pets):
    assert make(folder, pets)["notes"] == {}
    summary = make(folder, pets, split=SHARES | {"group": "^dog/([0-4])"})
    assert summary["notes"] == {UNGROUPED: 15}
