"""Splits: by the shares, in whole groups, alike in their classes, and never another one later."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cia.errors import UserError
from cia.importing.splits import Unsplit, assign_splits

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


@st.composite
def picture_sets(draw, fewest=20, groups=True):
    """Pictures of a detection or a classification, in groups or not."""
    number = draw(st.integers(fewest, 80))
    of_picture = st.lists(st.sampled_from("abcd"), max_size=4).map(tuple)
    group = st.sampled_from(["", "", "", *map(str, range(number // 4))]) if groups else st.just("")
    drawn = draw(st.lists(st.tuples(of_picture, group), min_size=number, max_size=number))
    return [Unsplit(f"{n}.jpg", classes, group) for n, (classes, group) in enumerate(drawn)]


def split(pictures, known=None, seed=0, stratify=True, shares=SHARES):
    return assign_splits(pictures, shares, seed, stratify, known or {})


def sizes_of_groups(pictures):
    return Counter(picture.group or picture for picture in pictures)


@given(picture_sets(), st.integers(0, 9), st.booleans())
def test_no_group_is_in_two_splits(pictures, seed, stratify):
    found = split(pictures, seed=seed, stratify=stratify)
    assert list(found) == [picture.name for picture in pictures]
    splits = defaultdict(set)
    for picture in pictures:
        splits[picture.group or picture.name].add(found[picture.name])
    assert all(len(of_group) == 1 for of_group in splits.values())


@given(picture_sets(groups=False), st.integers(0, 9), st.booleans())
def test_single_pictures_are_split_by_the_shares_rounded(pictures, seed, stratify):
    counts = Counter(split(pictures, seed=seed, stratify=stratify).values())
    for name, share in SHARES.items():
        assert abs(counts[name] - share * len(pictures)) < 1


@given(picture_sets(), st.integers(0, 9), st.booleans())
def test_no_move_of_a_group_brings_the_numbers_nearer_to_the_shares(pictures, seed, stratify):
    found = split(pictures, seed=seed, stratify=stratify)
    counts = Counter(found.values())
    excess = {name: counts[name] - share * len(pictures) for name, share in SHARES.items()}
    distance = sum(value**2 for value in excess.values())
    of_group = {picture.group or picture: found[picture.name] for picture in pictures}
    for group, size in sizes_of_groups(pictures).items():
        for other in set(SHARES) - {of_group[group]}:
            moved = excess | {
                of_group[group]: excess[of_group[group]] - size,
                other: excess[other] + size,
            }
            assert sum(value**2 for value in moved.values()) > distance - 1e-6


@given(picture_sets(), picture_sets(fewest=0), st.integers(0, 9))
def test_new_pictures_move_no_old_one_and_join_their_group(old, new, seed):
    new = [picture._replace(name=f"new{picture.name}") for picture in new]
    before = split(old, seed=seed)
    after = split(old + new, before, seed=seed)
    assert before.items() <= after.items()
    splits = {picture.group: before[picture.name] for picture in old if picture.group}
    for picture in new:
        assert after[picture.name] == splits.get(picture.group, after[picture.name])


@given(picture_sets(), st.randoms(use_true_random=False))
def test_the_order_of_the_pictures_does_not_matter(pictures, random):
    shuffled = random.sample(pictures, len(pictures))
    assert split(pictures) == split(shuffled)


def test_another_seed_is_another_split():
    pictures = [Unsplit(f"{n}.jpg", ("a",), "") for n in range(40)]
    assert split(pictures) != split(pictures, seed=1)


def test_each_class_of_a_classification_is_split_by_the_shares():
    rng = np.random.default_rng(0)
    classes = rng.choice(
        list("abcdefgh"), 1000, p=np.array([400, 300, 150, 60, 40, 20, 20, 10]) / 1000
    )
    pictures = [Unsplit(f"{n}.jpg", (name,), "") for n, name in enumerate(classes)]
    found = split(pictures)
    counts = Counter((picture.classes[0], found[picture.name]) for picture in pictures)
    for name, total in Counter(classes).items():
        for part, share in SHARES.items():
            assert abs(counts[name, part] - share * total) <= 1


def objects_by_split(pictures, found):
    counts = {name: Counter() for name in SHARES}
    for picture in pictures:
        counts[found[picture.name]].update(picture.classes or ["no object"])
    return counts


def test_objects_and_backgrounds_of_a_detection_are_split_by_the_shares():
    rng = np.random.default_rng(0)
    likely = np.array([64, 32, 16, 8, 4, 2]) / 126
    pictures = [
        Unsplit(f"{n}.jpg", tuple(rng.choice(list("abcdef"), rng.integers(0, 9), p=likely)), "")
        for n in range(1000)
    ]
    counts = objects_by_split(pictures, split(pictures))
    for one in [*"abcdef", "no object"]:
        total = sum(of[one] for of in counts.values())
        for part, share in SHARES.items():
            assert abs(counts[part][one] - share * total) <= 2


def test_a_few_large_groups_are_nearly_as_alike_as_they_can_be():
    """Twelve videos of other lengths, mostly of one class each: every split gets every class."""
    rng = np.random.default_rng(0)
    pictures = [
        Unsplit(f"{video}_{n}.jpg", (rng.choice([kind, *"abc"]),), f"video{video}")
        for video, kind in enumerate("aaaabbbbcccc")
        for n in range(rng.integers(20, 60))
    ]
    shares = {"train": 0.5, "val": 0.25, "test": 0.25}
    found = split(pictures, shares=shares)
    counts = Counter(found.values())
    classes = objects_by_split(pictures, found)
    for part, share in shares.items():
        assert abs(counts[part] / len(pictures) - share) < 0.02
        for one in "abc":
            assert abs(classes[part][one] / counts[part] - 1 / 3) < 0.08


def test_without_stratification_classes_do_not_matter():
    pictures = [Unsplit(f"{n}.jpg", (str(n % 3),), "") for n in range(60)]
    others = [picture._replace(classes=("b",)) for picture in pictures]
    assert split(pictures, stratify=False) == split(others, stratify=False)
    assert split(pictures) != split(others)


def test_what_the_source_gave_to_a_split_counts_for_its_share():
    pictures = [Unsplit(f"{n}.jpg", ("a",), "") for n in range(100)]
    counts = Counter(split(pictures, {f"{n}.jpg": "val" for n in range(15)}).values())
    assert counts == {"train": 70, "val": 15, "test": 15}


def test_a_split_without_a_share_keeps_its_pictures_and_gets_no_more():
    pictures = [Unsplit(f"{n}.jpg", ("a",), "") for n in range(30)]
    known = {f"{n}.jpg": "test" for n in range(10)}
    found = split(pictures, known, shares={"train": 3, "val": 1})
    assert Counter(found.values()) == {"train": 15, "val": 5, "test": 10}


def test_a_group_that_is_known_in_two_splits_is_an_error_that_names_its_pictures():
    pictures = [Unsplit(f"{n}.jpg", ("a",), "street") for n in range(30)]
    known = {f"{n}.jpg": "train" for n in range(9)} | {"20.jpg": "val"}
    with pytest.raises(UserError, match="'street'.*0.jpg in train, 20.jpg in val"):
        split(pictures, known)


def test_a_share_that_gets_no_picture_is_an_error():
    pictures = [Unsplit(f"{n}.jpg", ("a",), str(n % 2)) for n in range(30)]
    with pytest.raises(UserError, match="would get no picture: there are 30 in 2 groups"):
        split(pictures)


def test_no_pictures_have_no_splits():
    assert split([]) == {}
