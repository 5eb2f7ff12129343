"""Selections keep the right images."""

import pandas as pd
import pytest

from cia.config.references import kept_at_most
from cia.errors import UserError
from cia.filtering import select


def table(scores: dict[str, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = list(scores)
    manifest = pd.DataFrame({"id": ids, "image": [f"images/{id_}.png" for id_ in ids]})
    return manifest, manifest.assign(mahalanobis=list(scores.values()))


SCORES = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 1.0, "e": 5.0}
TOP = {"features": "f", "score": "mahalanobis", "order": "auto", "per_class": False}


def kept(settings: dict, scores: dict = SCORES, **more) -> list[str]:
    manifest, values = table(scores)
    return select(manifest, settings, seed=0, scores={"f": values}, **more)["id"].tolist()


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"method": "top_k", "value": 3}, ["b", "d", "c"]),
        ({"method": "top_p", "value": 0.5}, ["b", "d"]),
        ({"method": "top_p", "value": 1.0}, ["b", "d", "c", "a", "e"]),
        ({"method": "threshold", "value": 2.0}, ["b", "d", "c"]),
        ({"method": "threshold", "value": 0.5}, []),
        ({"method": "top_k", "value": 2, "order": "descending"}, ["e", "a"]),
        ({"method": "threshold", "value": 3.0, "order": "descending"}, ["e", "a"]),
        ({"method": "top_k", "value": 99}, ["b", "d", "c", "a", "e"]),
    ],
)
def test_methods_keep_the_best_first_and_break_ties_by_id(settings, expected):
    assert kept({**TOP, **settings}) == expected


def test_scores_and_ranks_stay_with_their_image_whatever_the_order_of_rows():
    manifest, values = table(SCORES)
    settings = {**TOP, "method": "top_k", "value": 4}
    first = select(manifest, settings, 0, {"f": values})
    second = select(manifest.iloc[::-1], settings, 0, {"f": values.sample(frac=1, random_state=1)})
    pd.testing.assert_frame_equal(first, second)
    assert dict(zip(first["id"], first["score"], strict=True)).items() <= SCORES.items()
    assert first["rank"].tolist() == [1, 2, 3, 4]


def test_all_keeps_everything_in_an_order_that_favors_no_source():
    """A mix takes the first ones; sorted by id they would be the variants of a few sources."""
    manifest, _ = table(
        {f"{source:02d}_v{variant}": 0.0 for source in range(50) for variant in "01"}
    )
    chosen = select(manifest, {"method": "all"}, 0)
    assert sorted(chosen["id"]) == manifest["id"].tolist()
    assert chosen.head(50)["id"].str[:2].nunique() > 30
    everything = select(manifest, {"method": "random", "value": 100}, 0)
    pd.testing.assert_frame_equal(chosen, everything)


def test_random_depends_on_seed_and_id_alone():
    manifest, _ = table({f"{number:03d}": 0.0 for number in range(100)})
    settings = {"method": "random", "value": 20}
    chosen = select(manifest, settings, 1)["id"].tolist()
    assert select(manifest.sample(frac=1, random_state=2), settings, 1)["id"].tolist() == chosen
    assert select(manifest, settings, 2)["id"].tolist() != chosen
    fewer = select(manifest.head(60), {"method": "random", "value": 60}, 1)["id"].tolist()
    assert [id_ for id_ in chosen if id_ in set(fewer)] == fewer[: len(set(chosen) & set(fewer))]
    assert len(select(manifest, {"method": "random", "value": 0.3}, 1)) == 30


def test_a_quota_per_class_keeps_the_best_of_each():
    labels = pd.DataFrame({"id": list("abcde"), "label": ["0", "0", "0", "0", "1"]})
    per_class = {**TOP, "per_class": True}
    assert kept({**per_class, "method": "top_k", "value": 2}, labels=labels) == ["b", "e"]
    assert kept({**per_class, "method": "top_p", "value": 0.5}, labels=labels) == ["b", "d"]


def test_a_quota_per_class_counts_every_object_of_a_picture():
    boxes = ["0 .5 .5 .1 .1\n1 .2 .2 .1 .1", "0 .5 .5 .1 .1", "1 .5 .5 .1 .1", "", "1 .1 .1 .1 .1"]
    labels = pd.DataFrame({"id": list("abcde"), "label": boxes})
    settings = {**TOP, "per_class": True, "method": "top_k", "value": 3}
    assert kept(settings, labels=labels) == ["b", "d", "c"]


def test_a_quota_per_class_keeps_pictures_without_objects_and_none_without_label(caplog):
    labels = pd.DataFrame({"id": list("bcde"), "label": ["0 .5 .5 .1 .1", "", "", "0 .5 .5 .1 .1"]})
    settings = {**TOP, "per_class": True, "method": "top_p", "value": 0.5}
    assert kept(settings, labels=labels) == ["b", "d"]
    assert "1 of 5 images have no valid label" in caplog.text


def test_an_unknown_score_is_named_with_those_there_are():
    with pytest.raises(UserError, match="no score 'knn'; there are mahalanobis"):
        kept({**TOP, "method": "top_k", "value": 1, "score": "knn"})


def test_images_without_score_are_an_error_not_a_silent_loss():
    manifest, values = table(SCORES)
    with pytest.raises(UserError, match="1 images have no score: c"):
        select(manifest, {**TOP, "method": "top_k", "value": 1}, 0, {"f": values.drop(index=2)})


def test_shares_are_exact():
    hundred = {f"{number:03d}": float(number) for number in range(100)}
    best = list(hundred)
    assert kept({**TOP, "method": "top_p", "value": 0.29}, hundred) == best[:29]
    band = {**TOP, "method": "band", "low": 0.29, "high": 0.58}
    assert kept(band, hundred) == best[29:58]
    manifest, _ = table(hundred)
    assert len(select(manifest, {"method": "random", "value": 0.57}, 0)) == 57


@pytest.mark.parametrize(
    "settings",
    [
        {**TOP, "method": "top_p", "value": 0.29},
        {**TOP, "method": "band", "low": 0.29, "high": 0.57},
        {"method": "random", "value": 0.58},
        {"method": "sequence", "steps": [{**TOP, "method": "top_p", "value": 0.58}] * 2},
    ],
)
def test_a_dry_run_foretells_how_many_a_share_keeps(settings):
    for images in (50, 100, 700):
        scores = {f"{number:03d}": float(number) for number in range(images)}
        assert kept_at_most(settings, images) == len(kept(settings, scores))


def test_a_band_keeps_the_middle_of_the_ranking():
    band = {**TOP, "method": "band", "low": 0.2, "high": 0.8}
    assert kept(band) == ["d", "c", "a"]
    assert kept({**band, "low": 0.0, "high": 1.0}) == ["b", "d", "c", "a", "e"]
    assert kept({**band, "low": 0.5, "high": 0.5}) == []


def test_a_sequence_chooses_from_what_its_first_step_kept():
    first = {**TOP, "method": "top_p", "value": 0.8}
    second = {**TOP, "method": "top_k", "value": 2, "order": "descending"}
    assert kept({"method": "sequence", "steps": [first, second]}) == ["a", "c"]
    assert kept({"method": "sequence", "steps": [second, first]}) == ["a"]


def test_several_scores_are_weighed_by_rank_each_in_its_own_direction():
    manifest, values = table(SCORES)
    values["realism"] = [0.9, 0.1, 0.8, 0.2, 0.3]  # larger is better
    settings = {**TOP, "method": "top_k", "value": 5}
    both = {**settings, "score": {"mahalanobis": 1, "realism": 1}}
    chosen = select(manifest, both, 0, {"f": values})
    assert chosen["id"].tolist() == ["a", "c", "d", "b", "e"]
    assert chosen["score"].between(0, 1).all() and chosen["score"].is_monotonic_increasing
    alone = {**settings, "score": {"mahalanobis": 1, "realism": 1e-9}}
    assert select(manifest, alone, 0, {"f": values})["id"].tolist()[2:] == ["c", "a", "e"]


def test_steps_may_read_the_scores_of_different_models():
    manifest, values = table(SCORES)
    other = values.assign(mahalanobis=[1.0, 2.0, 3.0, 4.0, 5.0])
    steps = [
        {**TOP, "method": "top_k", "value": 3},
        {**TOP, "features": "g", "method": "top_k", "value": 1},
    ]
    settings = {"method": "sequence", "steps": steps}
    assert select(manifest, settings, 0, {"f": values, "g": other})["id"].tolist() == ["b"]
