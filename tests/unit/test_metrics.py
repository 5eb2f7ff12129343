"""Distribution metrics equal the libraries' own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cia.catalog import metric_numbers
from cia.errors import UserError
from cia.metrics.bootstrap import bootstrap_interval, draw
from cia.metrics.comparing import distribution_metrics
from cia.metrics.frechet import frechet_distance, frechet_infinity, frechet_influence
from cia.metrics.inception_score import inception_score
from cia.metrics.kernels import (
    gaussian_kernel,
    kernel_distance,
    median_distance,
    mmd_replicates,
    polynomial_kernel,
    squared_mmd,
)
from cia.metrics.manifolds import compare_manifolds


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


@pytest.mark.parametrize("rank", [1, 3, 9])
def test_frechet_distance_of_features_without_full_rank(rank):
    """Duplicated rows and constant columns: covariances without inverse, many images or few."""
    rng = np.random.default_rng(rank)
    real, synthetic = (rng.normal(size=(rank + 1, 20)) for _ in range(2))
    many = np.repeat(real, 30, axis=0), np.repeat(synthetic, 30, axis=0)
    first, second = (np.cov(features, rowvar=False) for features in many)
    root = symmetric_root(first)
    cross = np.trace(symmetric_root(root @ second @ root))
    gap = many[0].mean(axis=0) - many[1].mean(axis=0)
    expected = gap @ gap + np.trace(first) + np.trace(second) - 2 * cross
    assert frechet_distance(*many) == pytest.approx(expected, rel=1e-6)
    assert frechet_influence(*many).value == pytest.approx(expected, rel=1e-6)


def symmetric_root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def test_frechet_distance_of_two_images_each():
    real, synthetic = np.array([[0.0, 1], [0, -1]]), np.array([[3.0, 1], [3, -1]])
    assert frechet_distance(real, synthetic) == pytest.approx(9)


@pytest.mark.parametrize("n, m, d", [(60, 80, 10), (30, 20, 64), (12, 200, 40)])
def test_the_influence_is_the_derivative_of_the_distance(n, m, d):
    """Doubling one image of thousands of copies moves the distance by its influence."""
    real, synthetic = samples(n, d, 0), samples(m, d, 1, shift=0.2)
    copies = 2000
    found = frechet_influence(real, synthetic)
    assert found.value == pytest.approx(frechet_distance(real, synthetic), rel=1e-9)
    base = weighted_frechet(real, synthetic, np.ones(n))
    for image in (0, n // 2):
        weights = np.ones(n)
        weights[image] += 1 / copies
        moved = weighted_frechet(real, synthetic, weights) - base
        share = (weights / weights.sum())[image] - 1 / n
        assert moved == pytest.approx(share * found.real[image] * n / (n - 1), rel=0.02)


def weighted_frechet(real, synthetic, weights):
    """The distance with images counted by weights, by matrix roots; covariances by n - 1."""
    n, shares = len(real), weights / weights.sum()
    mean = shares @ real
    first = (real - mean).T * shares @ (real - mean) * n / (n - 1)
    second, gap = np.cov(synthetic, rowvar=False), mean - synthetic.mean(axis=0)
    root = symmetric_root(second)
    cross = np.trace(symmetric_root(root @ first @ root))
    return gap @ gap + np.trace(first) + np.trace(second) - 2 * cross


@pytest.mark.parametrize("n, m, shift", [(100, 200, 0.0), (100, 200, 0.5), (400, 400, 0.5)])
def test_the_interval_has_the_distance_s_true_spread(n, m, shift):
    """Against many samples of one distribution: within a third, where plain resampling doubles."""
    rng, scales = np.random.default_rng(0), np.exp(-np.arange(32) / 8)
    values, spreads = [], []
    for repeat in range(60):
        real = rng.normal(size=(n, 32)) * scales
        synthetic = rng.normal(size=(m, 32)) * scales + shift * scales
        found = frechet_influence(real, synthetic)
        values.append(found.value)
        draws = draw(list(map(str, range(n))), [f"s{i}" for i in range(m)], repeat, 200)
        spreads.append(found.replicates(draws).std())
    assert 0.75 < np.mean(spreads) / np.std(values) < 1.34


def test_the_extrapolated_distance_is_free_of_most_bias():
    rng = np.random.default_rng(1)
    plain, extrapolated = [], []
    for repeat in range(30):
        real, synthetic = rng.normal(size=(2, 240, 24))
        plain.append(frechet_distance(real, synthetic))
        extrapolated.append(frechet_infinity(real, synthetic, repeat).value)
    assert np.mean(plain) > 1
    assert abs(np.mean(extrapolated)) < 0.15 * np.mean(plain)


def test_the_extrapolated_distance_repeats_and_takes_sets_of_different_sizes():
    real, synthetic = samples(90, 6, 0), samples(50, 6, 1)
    first = frechet_infinity(real, synthetic, 3)
    assert first.value == frechet_infinity(real, synthetic, 3).value
    assert first.value != frechet_infinity(real, synthetic, 4).value
    assert len(first.real) == 90 and np.count_nonzero(first.real) <= 50


@pytest.mark.parametrize("n, d", [(50, 8), (200, 64), (20, 100)])
def test_kernel_distance_equals_clean_fid_s_on_equal_subsets(n, d):
    from cleanfid.fid import kernel_distance as reference

    real, synthetic = samples(n, d, 0), samples(n, d, 1, shift=0.3)
    expected = reference(real.astype(np.float64), synthetic.astype(np.float64), num_subsets=1)
    value, _, subsets, size = kernel_distance(real, synthetic, seed=0)
    assert (subsets, size) == (1, n)
    assert value == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_over_subsets_repeats_and_agrees_with_the_whole():
    real, synthetic = samples(1300, 8, 0), samples(1100, 8, 1, shift=0.3)
    mean, std, subsets, size = kernel_distance(real, synthetic, seed=0)
    assert (subsets, size) == (100, 1000) and std > 0
    assert (mean, std, subsets, size) == kernel_distance(real, synthetic, seed=0)
    whole = squared_mmd(real, synthetic, polynomial_kernel)
    assert mean == pytest.approx(whole, abs=4 * std / 10)


@pytest.mark.parametrize("kernel", [polynomial_kernel, gaussian_kernel(3.0)])
def test_squared_mmd_is_its_definition_across_tiles(kernel):
    real, synthetic = (samples(n, 5, n).astype(np.float64) for n in (1100, 40))
    within = [kernel(x, x) for x in (real, synthetic)]
    means = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in within]
    expected = sum(means) - 2 * kernel(real, synthetic).mean()
    assert squared_mmd(real, synthetic, kernel) == pytest.approx(expected, rel=1e-9)
    ids = [[f"{letter}{i}" for i in range(len(x))] for letter, x in (("a", real), ("b", synthetic))]
    replicates = mmd_replicates(real, synthetic, kernel, draw(*ids, seed=0, count=2000))
    assert replicates.mean() == pytest.approx(expected, abs=4 * replicates.std() / np.sqrt(2000))


def test_the_median_distance_is_scipy_s():
    from scipy.spatial.distance import pdist

    features = samples(80, 12, 0)
    assert median_distance(features, 0) == pytest.approx(np.median(pdist(features)), rel=1e-6)


@pytest.mark.parametrize("n, m, d", [(60, 80, 4), (30, 20, 64), (1100, 1030, 16)])
def test_manifolds_equal_prdc(n, m, d):
    from prdc import compute_prdc

    real, synthetic = samples(n, d, 0), samples(m, d, 1, shift=0.2)
    expected = compute_prdc(real.astype(np.float64), synthetic.astype(np.float64), 5)
    found = compare_manifolds(real, synthetic, 5)
    for name, value in expected.items():
        assert getattr(found, name).mean() == pytest.approx(value, rel=1e-6), name
    assert 0 < expected["precision"] < 1


@settings(max_examples=20)
@given(st.integers(8, 40), st.integers(8, 40), st.integers(1, 12), st.integers(0, 10**6))
def test_metrics_do_not_depend_on_the_order_of_rows_nor_on_rotation(n, m, d, seed):
    rng = np.random.default_rng(seed)
    real, synthetic = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 1
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    order, other = rng.permutation(n), rng.permutation(m)
    moved = real[order] @ rotation, synthetic[other] @ rotation
    bandwidth = gaussian_kernel(median_distance(real, 0))
    for kernel in (polynomial_kernel, bandwidth):
        expected = squared_mmd(real, synthetic, kernel)
        assert squared_mmd(*moved, kernel) == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert squared_mmd(synthetic, real, kernel) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    first, second = compare_manifolds(real, synthetic), compare_manifolds(*moved)
    for name in ("recall", "coverage"):
        np.testing.assert_array_equal(getattr(first, name)[order], getattr(second, name))
    for name in ("precision", "density"):
        np.testing.assert_array_equal(getattr(first, name)[other], getattr(second, name))


def test_frechet_distance_of_constant_features_is_that_of_their_means():
    assert frechet_distance(np.zeros((5, 3)), np.full((4, 3), 2.0)) == pytest.approx(12)


@pytest.mark.parametrize("images", [200, 10, 11, 19, 57, 203, 1999])
def test_inception_score_equals_torch_fidelity(images):
    import torch
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = np.random.default_rng(0).normal(size=(images, 12)) * 3
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


def compare(n=30, m=40, d=4, model="vit", classes=0, shift=0.3, **more):
    chances = np.random.default_rng(2).dirichlet(np.ones(classes), m) if classes else None
    ids = [f"{i:03d}" for i in range(n)]
    return distribution_metrics(
        samples(n, d, 0),
        samples(m, d, 1, shift),
        model,
        seed=0,
        real_ids=ids,
        sources=[ids[i % n] for i in range(m)],
        probabilities=np.empty((m, 0)) if chances is None else chances,
        **more,
    )


def test_every_metric_has_value_interval_floor_and_direction():
    real = np.random.default_rng(3).dirichlet(np.ones(5), 60)
    metrics = compare(60, 120, 4, classes=5, real_probabilities=real)
    assert set(metrics) == set(metric_numbers()) - {"fid"}
    for name, entry in metrics.items():
        assert entry["low"] <= entry["value"] <= entry["high"], name
        assert entry["low"] < entry["high"], name
        assert entry["direction"] == metric_numbers()[name].better
        assert np.isfinite(entry["floor"]), name
        assert name == "inception_score" or np.isfinite(entry["matched"]), name


def test_metrics_repeat_and_the_seed_matters():
    assert compare() == compare()


def test_a_set_at_the_floor_is_not_told_from_the_real_one():
    """The same distribution: the floor is about what the matched comparison gives."""
    metrics = compare(300, 300, 6, shift=0.0)
    for name in ("frechet_distance", "precision", "coverage"):
        entry = metrics[name]
        assert entry["matched"] == pytest.approx(entry["floor"], rel=0.75), name


def test_inception_score_is_refused_with_a_reason_without_class_probabilities():
    metrics = compare()
    assert metrics["inception_score"]["value"] is None
    assert "no class probabilities" in metrics["inception_score"]["reason"]


def test_what_a_few_images_can_not_give_has_its_reason():
    metrics = compare(5, 4, 3)
    for name in ("frechet_infinity", "precision", "coverage"):
        assert metrics[name]["value"] is None and "images" in metrics[name]["reason"], name
    assert np.isfinite(metrics["kid"]["value"]) and "too few" in metrics["kid"]["warning"]
    two = compare(2, 2, 3)
    assert np.isfinite(two["frechet_distance"]["value"])


def test_constant_features_are_measured_or_refused_with_a_reason():
    real, ids = np.ones((20, 3), np.float32), [str(i) for i in range(20)]
    metrics = distribution_metrics(real, real + 1, "vit", 0, ids, ids)
    assert metrics["frechet_distance"]["value"] == pytest.approx(3)
    assert "same features" in metrics["mmd_rbf"]["reason"]
    assert metrics["precision"]["value"] == 0


def test_only_inception_features_are_called_fid_and_small_samples_are_warned_of():
    assert "warning" in compare(10, 12, 64, "inception")["fid"]
    assert "warning" not in compare(100, 90, 8)["frechet_distance"]


def test_one_image_is_no_distribution_and_models_must_agree():
    with pytest.raises(UserError, match="at least 2"):
        compare(1, 9)
    with pytest.raises(UserError, match="4 features.* 5"):
        distribution_metrics(samples(9, 4, 0), samples(9, 5, 1), "vit", 0, ["a"] * 9, ["a"] * 9)


def test_draws_take_real_images_with_their_variations():
    draws = draw(["a", "b", "c"], ["a", "a", "b", "x"], seed=0, count=500)
    np.testing.assert_allclose(draws.real.sum(axis=1), 1)
    np.testing.assert_allclose(draws.synthetic.sum(axis=1), 1)
    np.testing.assert_array_equal(draws.synthetic[:, 0], draws.synthetic[:, 1])
    without = draws.real[:, 0] == 0
    assert without.any() and (draws.synthetic[without, 0] == 0).mean() > 0.9
    np.testing.assert_array_equal(draw(["a", "b"], ["a"], 5).real, draw(["a", "b"], ["a"], 5).real)


def test_an_interval_covers_a_mean_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for repeat in range(200):
        values = rng.normal(size=80)
        draws = draw([str(i) for i in range(80)], ["0"], repeat, 400)
        low, high = bootstrap_interval(values.mean(), draws.real @ values)
        covered += low <= 0 <= high
    assert 180 <= covered <= 199
