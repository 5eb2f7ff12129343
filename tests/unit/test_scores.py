"""Per-image scores follow their image, and equal scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cia.catalog import score_numbers
from cia.errors import UserError
from cia.neighbors import nearest_points
from cia.scores.inputs import Inputs
from cia.scores.mahalanobis import mahalanobis, mahalanobis_per_class, mahalanobis_pinv
from cia.scores.proximity import score
from cia.scores.scoring import name_neighbors, score_features


def score_images(real, synthetic):
    return score_features(real, synthetic, neighbors=3)[0]


@pytest.mark.parametrize("n, d", [(200, 10), (12, 10), (11, 10), (10, 10), (6, 40)])
def test_mahalanobis_equals_scikit_learn_s_ledoit_wolf(n, d):
    from sklearn.covariance import LedoitWolf

    rng = np.random.default_rng(n)
    real, synthetic = rng.normal(size=(n, d)) * np.arange(1, d + 1), rng.normal(size=(30, d)) * 3
    expected = np.sqrt(LedoitWolf().fit(real).mahalanobis(synthetic))
    np.testing.assert_allclose(mahalanobis(real, synthetic), expected, rtol=1e-6)


def test_an_outlier_off_the_span_of_the_real_features_ranks_last():
    """A pseudo-inverse scores it like the mean itself."""
    rng = np.random.default_rng(0)
    real = np.zeros((50, 100))
    real[:, :20] = rng.normal(size=(50, 20))
    inliers = np.zeros((30, 100))
    inliers[:, :20] = rng.normal(size=(30, 20))
    outlier = real.mean(axis=0, keepdims=True).copy()
    outlier[0, 60] = 20.0
    distances = mahalanobis(real, np.vstack([outlier, inliers]))
    assert distances.argmax() == 0
    centered = outlier - real.mean(axis=0)
    blind = centered @ np.linalg.pinv(np.cov(real, rowvar=False)) @ centered.T
    assert blind.item() == pytest.approx(0, abs=1e-9)


@settings(max_examples=25)
@given(st.integers(4, 30), st.integers(1, 30), st.integers(1, 40), st.integers(0, 10**6))
def test_scores_follow_their_image_under_any_order_and_are_never_negative(n, m, d, seed):
    rng = np.random.default_rng(seed)
    real, synthetic = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    order, real_order = rng.permutation(m), rng.permutation(n)
    for name, values in score_images(real, synthetic).items():
        again = score_images(real[real_order], synthetic[order])[name]
        np.testing.assert_allclose(again, values[order], rtol=1e-6, atol=1e-9)
        alone = name == "copy_synthetic" and m == 1
        assert alone or (np.isfinite(values).all() and (values >= 0).all()), name


def test_float32_features_with_few_images_keep_their_ranks():
    """The peer computes in float32 as E[xx] - n m m: rank correlation 0.1 to 0.4."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(3)
    real = (rng.normal(size=(250, 768)) + 5).astype(np.float32)
    synthetic = (rng.normal(size=(100, 768)) * rng.uniform(0.5, 2, (100, 1)) + 5).astype(np.float32)
    exact = mahalanobis(real.astype(np.float64), synthetic.astype(np.float64))
    assert spearmanr(mahalanobis(real, synthetic), exact).statistic > 0.9999


def test_every_score_declares_its_direction():
    scores = score_features(np.eye(5), np.eye(5) + 1, 2, (list("aabbb"), list("aabbb")))[0]
    assert set(scores) <= set(score_numbers())


def test_real_images_that_show_no_spread_are_refused():
    with pytest.raises(UserError, match="all with the same features"):
        score_images(np.ones((5, 3)), np.zeros((4, 3)))
    with pytest.raises(UserError, match="2 real images"):
        score_images(np.eye(3)[:2], np.zeros((4, 3)))
    with pytest.raises(UserError, match="too few, or too similar"):
        mahalanobis(np.eye(3)[:2], np.zeros((4, 3)))


def test_a_scores_table_keeps_pairs_whatever_the_order_of_rows():
    rng = np.random.default_rng(1)
    real, synthetic = rng.normal(size=(40, 6)), rng.normal(size=(20, 6))
    rows = pd.DataFrame({"id": [f"{n:02d}" for n in range(20)]})
    first = rows.assign(**score_images(real, synthetic)).set_index("id")
    order = rng.permutation(20)
    second = rows.iloc[order].assign(**score_images(real, synthetic[order])).set_index("id")
    pd.testing.assert_frame_equal(second.sort_index(), first, rtol=1e-9)


def test_mahalanobis_of_many_images_is_the_same_by_covariance_and_by_span():
    """Either side of n = d + 1, where the method changes."""
    rng = np.random.default_rng(5)
    synthetic = rng.normal(size=(10, 30))
    for n in (30, 31, 32):
        from sklearn.covariance import LedoitWolf

        real = np.random.default_rng(n).normal(size=(n, 30))
        expected = np.sqrt(LedoitWolf().fit(real).mahalanobis(synthetic))
        np.testing.assert_allclose(mahalanobis(real, synthetic), expected, rtol=1e-6)


def test_constant_features_and_duplicated_rows_do_no_harm():
    rng = np.random.default_rng(6)
    real = np.repeat(rng.normal(size=(20, 8)), 3, axis=0)
    real[:, 2] = 1.0
    scores = score_images(real, np.vstack([real[:5], rng.normal(size=(5, 8))]))
    assert all(np.isfinite(values).all() for values in scores.values())
    assert (scores["copy_real"][:5] < 1e-6).all()


def test_the_pseudo_inverse_distance_is_its_definition_and_never_negative():
    rng = np.random.default_rng(7)
    real, synthetic = rng.normal(size=(60, 8)), rng.normal(size=(20, 8))
    inverse = np.linalg.pinv(np.cov(real, rowvar=False))
    offsets = synthetic - real.mean(axis=0)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", offsets, inverse, offsets))
    np.testing.assert_allclose(mahalanobis_pinv(real, synthetic), expected, rtol=1e-6)
    few = mahalanobis_pinv(rng.normal(size=(25, 80)) + 5, rng.normal(size=(20, 80)) + 5)
    assert (few >= 0).all()


def test_distances_within_the_class_and_a_class_with_too_few_images():
    rng = np.random.default_rng(8)
    real = np.vstack([rng.normal(size=(20, 4)), rng.normal(size=(20, 4)) + 9, np.zeros((2, 4))])
    classes = ["0"] * 20 + ["1"] * 20 + ["2"] * 2
    synthetic = np.vstack([np.zeros(4), np.zeros(4), np.zeros(4)])
    found = mahalanobis_per_class(real, synthetic, classes, ["0", "1", "2"])
    assert found[0] == pytest.approx(mahalanobis(real[:20], synthetic[:1])[0])
    assert found[1] > 3 * found[0] and np.isnan(found[2])


def test_nearest_images_and_realism_are_their_definitions():
    rng = np.random.default_rng(9)
    real, synthetic = rng.normal(size=(1050, 5)), rng.normal(size=(40, 5))
    inputs = Inputs(real, synthetic, 4)
    found = score(inputs)
    apart = np.linalg.norm(synthetic[:, None] - real[None], axis=2)
    np.testing.assert_allclose(found["knn_distance"], np.sort(apart)[:, 3], rtol=1e-12)
    np.testing.assert_array_equal(inputs.nearest_real[1][:, 0], apart.argmin(axis=1))
    own = np.sort(np.linalg.norm(real[:, None] - real[None], axis=2))[:, 4]
    dense = own <= np.median(own)
    realism = (own[dense] / apart[:, dense]).max(axis=1)
    np.testing.assert_allclose(found["realism"], realism, rtol=1e-6)


def test_the_same_image_made_again_and_again_is_at_distance_zero_of_another_one():
    rng = np.random.default_rng(12)
    real = rng.normal(size=(50, 64)).astype(np.float32) + 30
    synthetic = np.repeat(real[:3] + np.float32(0.5), 8, axis=0)  # more twins than neighbors
    inputs = Inputs(real, synthetic, 5)
    nearest = inputs.nearest_synthetic[1]
    assert (score(inputs)["copy_synthetic"] == 0).all()
    assert (nearest != np.arange(24)).all()
    assert (nearest // 8 == np.arange(24) // 8).all()


def test_a_copy_of_a_real_image_and_twins_are_seen_and_named():
    rng = np.random.default_rng(10)
    real, synthetic = rng.normal(size=(50, 6)) * 100, rng.normal(size=(20, 6)) * 100
    synthetic[3] = real[7] + 1e-4
    synthetic[12] = synthetic[15] + 1e-4
    scores, *nearest = score_features(real, synthetic, 5)
    assert scores["copy_real"].argmin() == 3 and scores["copy_real"][3] < 1e-4
    assert set(np.argsort(scores["copy_synthetic"])[:2]) == {12, 15}
    rows = [
        pd.DataFrame({"id": [f"{letter}{i}" for i in range(n)]})
        for letter, n in (("s", 20), ("r", 50))
    ]
    named = name_neighbors(*rows, *nearest).set_index("id")
    assert named.loc["s3", "nearest_real"] == "r7"
    assert named.loc["s12", "nearest_synthetic"] == "s15"


def test_one_synthetic_image_has_no_twin():
    scores, _, nearest = score_features(
        np.random.default_rng(0).normal(size=(9, 3)), np.ones((1, 3)), 2
    )
    assert np.isnan(scores["copy_synthetic"][0]) and nearest[0] == -1


def test_one_class_only_is_the_distance_to_all():
    rng = np.random.default_rng(11)
    real, synthetic = rng.normal(size=(20, 4)), rng.normal(size=(6, 4))
    within = mahalanobis_per_class(real, synthetic, ["7"] * 20, ["7"] * 6)
    np.testing.assert_allclose(within, mahalanobis(real, synthetic))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_of_equally_near_images_the_first_is_named_on_any_number_of_threads(threads):
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(3)
    points = rng.normal(size=(150, 16))[rng.integers(0, 150, 2400)]  # many are there several times
    with threadpool_limits(threads):
        distances, index = nearest_points(points, points, 1, exclude_self=True)
    same = (points[:, None] == points[None]).all(axis=2)
    np.fill_diagonal(same, False)
    twins = same.any(axis=1)
    assert (distances[twins] == 0).all()
    np.testing.assert_array_equal(index[twins, 0], same[twins].argmax(axis=1))
