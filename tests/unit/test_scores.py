"""Per-image scores follow their image, and equal scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cia.errors import UserError
from cia.scores import SCORES, mahalanobis, score_images


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
        np.testing.assert_allclose(again, values[order], rtol=1e-8)
        assert np.isfinite(values).all() and (values >= 0).all(), name


def test_float32_features_with_few_images_keep_their_ranks():
    """The peer computes in float32 as E[xx] - n m m: rank correlation 0.1 to 0.4."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(3)
    real = (rng.normal(size=(250, 768)) + 5).astype(np.float32)
    synthetic = (rng.normal(size=(100, 768)) * rng.uniform(0.5, 2, (100, 1)) + 5).astype(np.float32)
    exact = mahalanobis(real.astype(np.float64), synthetic.astype(np.float64))
    assert spearmanr(mahalanobis(real, synthetic), exact).statistic > 0.9999


def test_every_score_declares_its_direction():
    assert {score.direction for score in SCORES.values()} <= {"lower", "higher"}


def test_real_images_that_show_no_spread_are_refused():
    with pytest.raises(UserError, match="all with the same features"):
        score_images(np.ones((5, 3)), np.zeros((4, 3)))
    with pytest.raises(UserError, match="2 real images"):
        score_images(np.eye(3)[:2], np.zeros((4, 3)))
    with pytest.raises(UserError, match="too few, or too alike"):
        mahalanobis(np.eye(3)[:2], np.zeros((4, 3)))


def test_a_scores_table_keeps_pairs_whatever_the_order_of_rows():
    rng = np.random.default_rng(1)
    real, synthetic = rng.normal(size=(40, 6)), rng.normal(size=(20, 6))
    rows = pd.DataFrame({"id": [f"{n:02d}" for n in range(20)]})
    first = rows.assign(**score_images(real, synthetic)).set_index("id")
    order = rng.permutation(20)
    second = rows.iloc[order].assign(**score_images(real, synthetic[order])).set_index("id")
    pd.testing.assert_frame_equal(second.sort_index(), first, rtol=1e-9)
