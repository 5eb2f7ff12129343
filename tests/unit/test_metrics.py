"""Distribution metrics equal the libraries' own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cia.errors import UserError
from cia.metrics import distribution_metrics, frechet_distance, inception_score


def samples(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Correlated features, as a network gives them."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).normal(size=(d, d)) / np.sqrt(d)
    return (rng.normal(size=(n, d)) @ mixing + shift).astype(np.float32)


@pytest.mark.parametrize("n, m, d", [(300, 250, 16), (40, 60, 16), (30, 20, 64), (20, 200, 64)])
def test_frechet_distance_equals_clean_fid(n, m, d):
    from cleanfid.fid import frechet_distance as reference

    real, synthetic = samples(n, d, 0), samples(m, d, 1, shift=0.3)
    statistics = []
    for features in (real, synthetic):
        wide = features.astype(np.float64)
        statistics += [wide.mean(axis=0), np.cov(wide, rowvar=False)]
    # With fewer images than features clean-fid's matrix root is itself good to a few digits only.
    tolerance = 1e-6 if min(n, m) > d else 1e-3
    assert frechet_distance(real, synthetic) == pytest.approx(reference(*statistics), rel=tolerance)


def test_frechet_distance_of_known_gaussians_is_squared():
    axis = np.array([[-1.0], [1.0]]) * np.sqrt(0.5)  # unbiased variance 1
    assert frechet_distance(axis, axis + 3) == pytest.approx(9)
    assert frechet_distance(axis, 2 * axis) == pytest.approx(1)


@settings(max_examples=25)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 12), st.integers(0, 10**6))
def test_frechet_distance_is_symmetric_invariant_and_zero_on_itself(n, m, d, seed):
    rng = np.random.default_rng(seed)
    real, synthetic = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 1
    distance = frechet_distance(real, synthetic)
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    assert distance >= 0
    assert frechet_distance(synthetic, real) == pytest.approx(distance)
    assert frechet_distance(real @ rotation, synthetic @ rotation) == pytest.approx(distance)
    assert frechet_distance(rng.permutation(real), synthetic) == pytest.approx(distance)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_constant_features_is_that_of_their_means():
    assert frechet_distance(np.zeros((5, 3)), np.full((4, 3), 2.0)) == pytest.approx(12)


def test_inception_score_equals_torch_fidelity():
    import torch
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = np.random.default_rng(0).normal(size=(200, 12)) * 3
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    reference = isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=False)
    mean, std = inception_score(probabilities)
    assert mean == pytest.approx(reference["inception_score_mean"], rel=1e-6)
    assert std == pytest.approx(reference["inception_score_std"], rel=1e-6)


def test_inception_score_runs_from_1_to_the_number_of_classes():
    same = np.full((100, 4), 0.25)
    sure = np.tile(np.eye(4), (25, 1))
    assert inception_score(same) == (pytest.approx(1), pytest.approx(0))
    assert inception_score(sure)[0] == pytest.approx(4, rel=0.02)


def test_inception_score_is_refused_with_a_reason_without_class_probabilities():
    metrics = distribution_metrics(samples(30, 4, 0), samples(30, 4, 1), np.empty((30, 0)), "vit")
    assert metrics["inception_score"]["value"] is None
    assert "no class probabilities" in metrics["inception_score"]["reason"]


def test_only_inception_features_are_called_fid_and_small_samples_are_warned_of():
    few = samples(10, 64, 0), samples(12, 64, 1), np.empty((12, 0))
    assert "warning" in distribution_metrics(*few, "inception")["fid"]
    many = samples(100, 8, 0), samples(90, 8, 1), np.empty((90, 0))
    assert "warning" not in distribution_metrics(*many, "vit")["frechet_distance"]


def test_one_image_is_no_distribution_and_models_must_agree():
    with pytest.raises(UserError, match="at least 2"):
        distribution_metrics(samples(1, 4, 0), samples(9, 4, 1), np.empty((9, 0)), "vit")
    with pytest.raises(UserError, match="4 features.* 5"):
        distribution_metrics(samples(9, 4, 0), samples(9, 5, 1), np.empty((9, 0)), "vit")
