"""Near-duplicates: edited copies are found, pictures of other things are not."""

import io
from pathlib import Path

import numpy as np
import pytest
import skimage
import sklearn
from PIL import Image, ImageEnhance

from cia.errors import UserError
from cia.importing.choices import near_duplicates_setting, refuse_across
from cia.importing.importing import import_dataset
from cia.importing.near_duplicates import Pair, find_pairs, joined, take_thumbnails
from cia.importing.splits import Unsplit, assign_splits
from cia.tables import read_table

SHIPPED = Path(skimage.__file__).parent / "data"
PHOTOGRAPHS = [
    *(SHIPPED / name for name in ("astronaut.png", "cell.png", "coffee.png", "moon.png")),
    *(SHIPPED / name for name in ("page.png", "text.png", "rocket.jpg", "chelsea.png")),
    *(
        Path(sklearn.__file__).parent / "datasets/images" / name
        for name in ("china.jpg", "flower.jpg")
    ),
]


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image, left, top, right, bottom):
    width, height = image.size
    sides = left * width, top * height, (1 - right) * width, (1 - bottom) * height
    return image.crop(tuple(map(round, sides)))


EDITS = {
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2)),
    "larger": lambda image: image.resize((image.width * 3 // 2, image.height * 3 // 2)),
    "jpeg": lambda image: jpeg(image, 30),
    "cropped by 2 %": lambda image: cropped(image, 0.02, 0.02, 0.02, 0.02),
    "cropped by 5 %": lambda image: cropped(image, 0.05, 0.05, 0.05, 0.05),
    "cropped at a corner": lambda image: cropped(image, 0.05, 0.05, 0, 0),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    paths = []
    for path in PHOTOGRAPHS:
        paths.append(f"{folder}/{path.stem}.png")
        Image.open(path).convert("RGB").save(paths[-1])
    return paths


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_of_each_photograph_is_found_and_nothing_else(edit, originals, tmp_path):
    copies = []
    for path in originals:
        copies.append(f"{tmp_path}/{Path(path).name}")
        EDITS[edit](Image.open(path)).save(copies[-1])
    pairs = find_pairs(take_thumbnails([*originals, *copies], threads=2))
    count = len(originals)
    assert {pair.second - pair.first for pair in pairs} == {count}, "two photographs are a pair"
    assert len(pairs) >= count - 1


def test_faces_in_one_pose_are_no_near_duplicates(tmp_path):
    faces = np.load(SHIPPED / "lfw_subset.npy")[:100]
    paths = [f"{tmp_path}/{number}.png" for number in range(len(faces))]
    for path, face in zip(paths, faces, strict=True):
        Image.fromarray((face * 255).astype(np.uint8)).resize((100, 100)).save(path)
    assert find_pairs(take_thumbnails(paths)) == []


def test_what_is_not_readable_or_shows_nothing_is_in_no_pair(originals, tmp_path):
    for name in ("white.png", "white too.png"):
        Image.new("RGB", (80, 60), "white").save(tmp_path / name)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    assert find_pairs(take_thumbnails(paths)) == []
    assert find_pairs(take_thumbnails([])) == []
    found = find_pairs(take_thumbnails([*paths, originals[0], originals[0], "missing.png"]))
    assert [(pair.first, pair.second) for pair in found] == [(3, 4)]
    assert found[0].likeness == pytest.approx(1, abs=1e-3)


def test_a_photograph_that_is_turned_by_exif_is_the_same_as_an_upright_one(originals, tmp_path):
    upright = Image.open(originals[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    found = find_pairs(take_thumbnails([originals[0], str(tmp_path / "turned.jpg")]))
    assert [(pair.first, pair.second) for pair in found] == [(0, 1)]


def test_many_copies_in_one_split_do_not_hide_one_in_another(originals):
    paths = [originals[0]] * 20 + originals[1:5] + [originals[0]]
    splits = ["train"] * 24 + ["test"]
    found = find_pairs(take_thumbnails(paths), splits)
    assert any(pair.second == 24 for pair in found)
    assert not any(20 <= pair.second < 24 for pair in found)


def test_near_duplicates_become_one_group_with_the_groups_that_they_are_of():
    pictures = [Unsplit(name, (), group) for name, group in zip("abcdefg", "11223  ", strict=True)]
    pictures = [picture._replace(group=picture.group.strip()) for picture in pictures]
    groups = [one.group for one in joined(pictures, [Pair(1, 2, 0.9), Pair(5, 6, 0.9)])]
    assert groups[0] == groups[1] == groups[2] == groups[3] != groups[4] == "3"
    assert groups[5] == groups[6] != groups[0]
    assert joined(pictures, []) == pictures


def test_joined_near_duplicates_that_the_source_parted_are_an_error_that_names_them():
    pictures = [Unsplit(f"{n}.jpg", (), "") for n in range(20)]
    together = joined(pictures, [Pair(3, 4, 0.9)])
    with pytest.raises(UserError, match="near-duplicates of 3.jpg.*3.jpg in train, 4.jpg in val"):
        assign_splits(together, {"train": 1}, 0, True, {"3.jpg": "train", "4.jpg": "val"})


PAIR = {"likeness": 0.9, "split": "train", "other_split": "test"} | {
    "file": "data/real/x/train/images/a.jpg",
    "other_file": "data/real/x/test/images/b.jpg",
}


def test_the_error_lists_both_files_with_their_splits_and_says_what_to_do():
    with pytest.raises(UserError) as raised:
        refuse_across([PAIR] * 12, "error", False, "near_duplicates.csv")
    words = str(raised.value)
    assert "train: data/real/x/train/images/a.jpg, test: data/real/x/test/images/b.jpg" in words
    assert "12 pairs" in words and "and 2 more" in words
    assert "near_duplicates: warn" in words and "together" not in words
    with pytest.raises(UserError, match="together"):
        refuse_across([PAIR], "error", True, "near_duplicates.csv")


def test_a_warning_says_the_same_and_stops_nothing():
    assert "a.jpg" in refuse_across([PAIR], "warn", False, "near_duplicates.csv")
    assert refuse_across([], "error", False, "near_duplicates.csv") == ""


def test_near_duplicates_are_an_error_only_where_a_source_is_imported():
    assert near_duplicates_setting({"source": {}, "near_duplicates": None}) == "error"
    assert near_duplicates_setting({}) == "ignore"
    assert near_duplicates_setting({"source": {}, "near_duplicates": "warn"}) == "warn"


def test_an_import_puts_near_duplicates_into_one_split_if_asked_to(originals, tmp_path):
    source = tmp_path / "source"
    for number, path in enumerate(originals):
        folder = source / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.open(path)
        image.save(folder / f"{number}.png")
        cropped(image, 0.03, 0.03, 0, 0).save(folder / f"copy of {number}.jpg")
    settings = {"format": "imagefolder", "path": str(source), "classes": {"a": ["a"], "b": ["b"]}}
    split = {"train": 0.4, "val": 0.3, "test": 0.3, "stratify": False, "group": ""}
    splits = {}
    for together in (False, True):
        target = tmp_path / f"together {together}"
        import_dataset(target, settings, "classification", None, split, 1, together)
        splits[together] = {
            Path(row.name).stem: row.split
            for part in ("train", "val", "test")
            for row in read_table(target / part / "imported.csv", "imported").itertuples()
        }
    pairs = [(str(n), f"copy of {n}") for n in range(len(originals))]
    apart = {
        together: [splits[together][a] != splits[together][b] for a, b in pairs]
        for together in splits
    }
    assert any(apart[False]) and not any(apart[True])
