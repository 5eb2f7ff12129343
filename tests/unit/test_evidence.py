"""Statistics of a study: equal to the references, and honest with few seeds."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from cia.errors import UserError
from cia.evidence import equivalents, results
from cia.evidence.arms import StudyArm, join_seeds
from cia.evidence.correlations import rank_correlation
from cia.evidence.equivalents import Curve, equivalent_real, gap_closed
from cia.evidence.intervals import NO_SPREAD, ONE_SEED, holm, interval
from cia.evidence.resampling import (
    accuracy,
    draw_images,
    mean_average_precision,
    read_predictions,
)
from cia.evidence.results import read_arm, read_truth
from cia.evidence.summary import summarize_study
from cia.files import read_yaml, write_yaml
from cia.quiet_ultralytics import import_ultralytics
from cia.reporting.verdict import verdict
from cia.scores.inputs import Inputs
from cia.scores.proximity import score
from cia.tables import COLUMNS, write_table
from evidence import set_files


def detections_of(images, classes, per_image, seed, objects=4):
    """A detector's test.csv and the truth: no more true detections than objects, no ties."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for image in images:
        own = rng.integers(0, classes, rng.integers(0, objects + 1))
        truth += [(image, name) for name in own]
        for name in own:
            if rng.random() < 0.9:
                hits = int(rng.integers(0, 11))
                found.append((image, name, rng.beta(4, 2), "1" * hits + "0" * (10 - hits)))
        for _ in range(per_image - len(own)):
            found.append((image, rng.integers(0, classes + 1), rng.beta(1.5, 4), "0" * 10))
    columns = ["image", "class", "confidence", "correct"]
    return pd.DataFrame(found, columns=columns), pd.DataFrame(truth, columns=["image", "class"])


def ultralytics_map(found, truth):
    """Ultralytics' own mAP50-95 and mAP50."""
    import_ultralytics()
    from ultralytics.utils.metrics import ap_per_class

    correct = np.array([[digit == "1" for digit in text] for text in found["correct"]])
    ap = ap_per_class(
        correct.reshape(-1, 10),
        found["confidence"].to_numpy(),
        found["class"].to_numpy(),
        truth["class"].to_numpy(),
    )[5]
    return ap.mean(), ap[:, 0].mean()


@pytest.mark.parametrize("seed", range(6))
def test_map_is_that_of_ultralytics_on_the_images_and_on_duplicated_ones(seed):
    images = [f"image {number}.png" for number in range(25)]
    per_image = [1, 3, 30][seed % 3]
    found, truth = detections_of(images, 3, per_image, seed)
    weights = draw_images(len(images), 8, seed)
    scores = mean_average_precision(found, truth, images, weights)
    assert (scores["mAP50-95"].value, scores["mAP50"].value) == pytest.approx(
        ultralytics_map(found, truth), abs=1e-9
    )
    for draw, counts in enumerate(weights):
        often = dict(zip(images, counts, strict=True))
        copies = [
            table.loc[table.index.repeat(table["image"].map(often))] for table in (found, truth)
        ]
        expected = ultralytics_map(*copies)
        drawn = scores["mAP50-95"].draws[draw], scores["mAP50"].draws[draw]
        assert drawn == pytest.approx(expected, abs=1e-9)


def test_a_draw_leaves_out_classes_that_it_does_not_show():
    found = pd.DataFrame(
        [("a", 0, 0.9, "1" * 10), ("b", 1, 0.8, "0" * 10)],
        columns=["image", "class", "confidence", "correct"],
    )
    truth = pd.DataFrame([("a", 0), ("b", 1)], columns=["image", "class"])
    scores = mean_average_precision(found, truth, ["a", "b"], np.array([[2, 0], [0, 2], [1, 1]]))
    whole = scores["mAP50"].value
    assert scores["mAP50"].draws == pytest.approx([2 * whole, 0, whole])
    assert whole == pytest.approx(0.995 / 2)


def test_nothing_found_is_zero_and_no_object_is_an_error():
    images, weights = ["a", "b"], draw_images(2, 3, 0)
    found, truth = detections_of(images, 2, 3, 1)
    scores = mean_average_precision(found.iloc[:0], truth, images, weights)
    assert scores["mAP50-95"].value == 0 and not scores["mAP50-95"].draws.any()
    with pytest.raises(UserError, match="no labelled object"):
        mean_average_precision(found, truth.iloc[:0], images, weights)
    with pytest.raises(UserError, match="no test images"):
        mean_average_precision(found, truth, ["a", "c"], weights)


def test_the_right_order_of_images_is_found_by_name(tmp_path):
    table = pd.DataFrame({"image": ["b", "a", "007"], "label": [0, 1, 2], "predicted": [0, 0, 2]})
    table.to_csv(tmp_path / "test.csv", index=False)
    read = read_predictions(tmp_path / "test.csv")
    weights = np.array([[1, 1, 1], [3, 0, 0], [0, 2, 1]])
    score = accuracy(read, ["007", "a", "b"], weights)
    assert score.value == pytest.approx(2 / 3)
    assert score.draws == pytest.approx([2 / 3, 1, 1 / 3])
    with pytest.raises(UserError, match="3 rows"):
        accuracy(read, ["a", "b"], weights)
    with pytest.raises(UserError, match="test has 3"):
        accuracy(read, ["a", "b", "c"], weights)


def test_correct_stays_text_when_it_is_read(tmp_path):
    (tmp_path / "test.csv").write_text("image,class,confidence,correct\n1,0,0.5,0000000000\n")
    assert read_predictions(tmp_path / "test.csv").iloc[0].tolist() == ["1", 0, 0.5, "0" * 10]


def test_draws_are_of_as_many_images_and_repeatable():
    weights = draw_images(40, 500, 3)
    assert (weights.sum(axis=1) == 40).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(40), abs=0.25)
    assert (weights == draw_images(40, 500, 3)).all() and (weights != draw_images(40, 500, 4)).any()


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds):
    rng = np.random.default_rng(seeds)
    images, trials = 60, 500
    shares = draw_images(images, 150, 1) / images
    covered = []
    for _ in range(trials):
        of_seed = rng.normal(0, 0.13, (seeds, 1))
        of_image = rng.normal(0, 1, (1, images))
        values = of_seed + of_image + rng.normal(0, 0.5, (seeds, images))
        found = interval(values.mean(axis=1), values @ shares.T, images)
        covered.append(found.low <= 0 <= found.high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_an_interval_is_t_where_only_seeds_vary():
    scores = np.array([0.5, 0.52, 0.57])
    found = interval(scores, np.repeat(scores[:, None], 50, axis=1), 100)
    half = 4.302653 * scores.std(ddof=1) / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((scores.mean() - half, scores.mean() + half))
    assert found.df == pytest.approx(2) and found.seeds == 3 and not found.note
    assert found.p == pytest.approx(scipy.stats.ttest_1samp(scores, 0).pvalue)


def test_one_seed_says_that_it_is_one_and_no_spread_that_there_is_none():
    draws = np.random.default_rng(0).normal(0.5, 0.05, (1, 2000))
    found = interval(np.array([0.5]), draws, 100)
    assert found.note == ONE_SEED and found.error == pytest.approx(0.05, rel=0.05)
    assert found.df == 99
    same = interval(np.ones(3), np.ones((3, 50)), 100)
    assert (same.mean, same.low, same.high, same.p, same.note) == (1, None, None, None, NO_SPREAD)


def test_holm_steps_down_and_stays_monotone():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.4, 0.4]) == [1, 1, 1]
    assert holm([0.02, None, 0.01]) == pytest.approx([0.02, None, 0.02])
    assert holm([]) == []


def flat(levels, seeds=4, draws=300, noise=0.0, images=0.0, seed=0):
    """Scores of several arms at given levels, with seed and image noise of their own."""
    rng = np.random.default_rng(seed)
    scores = np.array(levels)[:, None] + rng.normal(0, noise, (len(levels), seeds))
    drawn = scores[:, :, None] + rng.normal(0, images, (len(levels), seeds, draws))
    return scores, drawn


def read_off(levels, arm, **noise):
    scores, drawn = flat([*levels, arm], **noise)
    curve = Curve(np.array([10.0, 20, 40, 80][: len(levels)]), scores[:-1], drawn[:-1])
    return curve, equivalent_real(curve, scores[-1], drawn[-1], 100)


def test_the_equivalent_is_read_off_the_rising_fit():
    curve, found = read_off([0.2, 0.4, 0.3, 0.7], 0.525, noise=1e-4, images=1e-4)
    assert curve.fit() == pytest.approx([0.2, 0.35, 0.35, 0.7], abs=1e-3)
    assert found.value == pytest.approx(60, abs=0.2)
    assert found.low <= found.value <= found.high and found.high - found.low < 3
    assert not (found.at_least or found.at_most or found.low_open or found.high_open)
    by_seed, drawn = curve.at(60)
    assert by_seed.mean() == pytest.approx(0.525, abs=1e-3) and drawn.shape == (4, 300)


def test_a_plateau_gives_its_left_end():
    sizes, fit = np.array([10.0, 20, 40, 80]), [0.2, 0.5, 0.5, 0.5]
    assert equivalents._read_off(sizes, fit, 0.5) == (20, False, False)
    assert equivalents._read_off(sizes, fit, 0.51) == (80, True, False)
    assert equivalents._read_off(sizes, fit, 0.2) == (10, False, False)
    assert equivalents._read_off(sizes, fit, 0.1) == (10, False, True)


def test_beyond_the_curve_the_interval_is_open():
    _, above = read_off([0.2, 0.4, 0.6, 0.7], 0.9, noise=1e-3)
    assert (above.value, above.at_least, above.low, above.high) == (80, True, 80, None)
    _, below = read_off([0.2, 0.4, 0.6, 0.7], 0.1, noise=1e-3)
    assert (below.value, below.at_most, below.low, below.high) == (10, True, None, 10)
    _, near = read_off([0.2, 0.4, 0.6, 0.7], 0.71, noise=0.02, seed=2)
    assert near.at_least and near.high_open and near.low < 80 and not near.low_open
    # told apart from the curve's end, and not from its beginning, where one seed fell
    scores = np.array([[0.5, 0.5, 0.5, 0.5, 0.0], [0.55] * 5, [0.6] * 5, [0.62] * 5])
    drawn = np.repeat(scores[:, :, None], 50, axis=2)
    curve = Curve(np.array([25.0, 50, 100]), scores[:3], drawn[:3])
    found = equivalent_real(curve, scores[3], drawn[3], 100)
    assert found.at_least and found.high_open and found.low_open


def test_the_equivalent_s_interval_holds_the_truth_as_often_as_it_says():
    held = []
    for seed in range(100):
        _, found = read_off([0.2, 0.35, 0.5, 0.65], 0.45, seeds=3, noise=0.02, draws=20, seed=seed)
        held.append(
            (found.low_open or found.low <= 33.3) and (found.high_open or found.high >= 33.4)
        )
    assert 0.9 <= np.mean(held) <= 0.99


def test_the_share_of_the_gap_is_fieller_s():
    scores, drawn = flat([0.5, 0.62, 0.7], seeds=6, noise=0.02, seed=4)
    real, arm, twice = zip(scores, np.repeat(scores[:, :, None], 20, axis=2), strict=True)
    found = gap_closed(arm, real, twice, 100)
    top, bottom = arm[0] - real[0], twice[0] - real[0]
    t = scipy.stats.t.ppf(0.975, 5) ** 2 / 6
    (vtop, both), (_, vbottom) = np.cov(top, bottom)
    a = bottom.mean() ** 2 - t * vbottom
    b = -2 * (top.mean() * bottom.mean() - t * both)
    c = top.mean() ** 2 - t * vtop
    assert found.value == pytest.approx(top.mean() / bottom.mean())
    assert (found.low, found.high) == pytest.approx(sorted(np.roots([a, b, c])), abs=1e-6)


def test_the_share_is_undefined_where_there_is_no_gap():
    scores, drawn = flat([0.5, 0.6, 0.51], noise=0.05, images=0.01)
    real, arm, twice = zip(scores, drawn, strict=True)
    found = gap_closed(arm, real, twice, 100)
    assert found.value is None and found.low is None and "not shown" in found.reason


def test_rank_correlations_are_spearman_s():
    rng = np.random.default_rng(2)
    metric, ratio = rng.normal(size=12), rng.integers(1, 4, 12)
    scores = metric + rng.normal(size=12) + ratio
    raw = rank_correlation(metric, scores)
    assert raw.rho == pytest.approx(scipy.stats.spearmanr(metric, scores).statistic)
    assert raw.p == pytest.approx(scipy.stats.spearmanr(metric, scores).pvalue, abs=0.02)
    assert raw.low < raw.rho < raw.high and raw.arms == 12
    partial = rank_correlation(metric, scores, ratio)
    ranks = np.corrcoef(scipy.stats.rankdata([metric, scores, ratio], axis=1))
    xy, xz, yz = ranks[0, 1], ranks[0, 2], ranks[1, 2]
    assert partial.rho == pytest.approx((xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2)))


def test_a_metric_that_only_follows_the_ratio_foretells_nothing_beside_it():
    rng = np.random.default_rng(5)
    ratio = np.repeat([0.25, 0.5, 1, 2, 4], 8)
    metric, scores = (np.log(ratio) + rng.normal(0, 0.3, 40) for _ in range(2))
    assert rank_correlation(metric, scores).low > 0.5
    partial = rank_correlation(metric, scores, ratio)
    assert partial.low < 0 < partial.high and partial.p > 0.05


@pytest.mark.parametrize(
    "ratio",
    [
        [4, 4, 4, 4, 4, 10],  # of the published study of scenes
        [2, 2, 2, 2, 4, 0.25, 1],  # and of digits
        [2, 2, 2, 2, 2, 4, 0.25, 1],
        [0.5, 0.5, 0.5, 2, 2, 2, 4, 4],
    ],
)
@pytest.mark.parametrize("pull", [0, 3])
def test_p_values_beside_the_ratio_are_small_no_more_often_than_they_say(ratio, pull):
    """Metric and score depend on the ratio, by much or not at all, and not on each other."""
    rng = np.random.default_rng(3)
    follows = pull * np.log(ratio)
    drawn = [
        rank_correlation(*(follows + rng.normal(size=(2, len(ratio)))), ratio).p for _ in range(300)
    ]
    assert np.mean(np.array(drawn) <= 0.05) <= 0.05 + 1.96 * np.sqrt(0.05 * 0.95 / 300)


def test_a_metric_that_orders_arms_of_one_ratio_is_found_beside_it():
    rng = np.random.default_rng(4)
    ratio = [2, 2, 2, 2, 2, 2, 2, 4, 0.25, 1]
    metric = np.log(ratio) + rng.normal(size=10)
    found = rank_correlation(metric, metric + rng.normal(0, 0.1, 10), ratio)
    assert found.p < 0.01 < found.low


def test_arms_with_too_few_of_one_ratio_have_a_correlation_and_no_p_value():
    metric, scores = np.random.default_rng(6).normal(size=(2, 7))
    found = rank_correlation(metric, scores, [1, 1, 1, 2, 3, 4, 5])
    assert found.rho is not None and found.low < found.rho < found.high and found.p is None
    assert "6 orders of arms of one ratio" in found.reason


@pytest.mark.filterwarnings("error")
def test_a_correlation_that_is_not_defined_says_why():
    rising = [1, 2, 3, 4, 5, 6]
    assert "4 arms" in rank_correlation([1, 2, None, np.nan, 3, 4], rising).reason
    assert "5 arms" in rank_correlation([1, 2, None, 3, 4, 5], rising, rising[::-1]).reason
    assert "same in all arms" in rank_correlation([2] * 6, rising).reason
    assert "ratio explains" in rank_correlation(rising, [3, 1, 2, 6, 5, 4], rising).reason
    perfect = rank_correlation(rising, rising)
    assert perfect.rho == perfect.high == pytest.approx(1) and 0 < perfect.low < 1
    assert perfect.p == pytest.approx(2 / 720)
    constant_ratio = rank_correlation(rising, [3, 1, 2, 6, 5, 4], [2] * 6)
    assert constant_ratio.rho == rank_correlation(rising, [3, 1, 2, 6, 5, 4]).rho


LEVELS = {
    ("real", "real", 50, 0): 0.50,
    ("duplicated", "duplicated", 50, 100): 0.53,
    ("all", "all", 50, 200): 0.62,
    ("random 100", "random", 50, 100): 0.60,
    ("near", "selection", 50, 100): 0.66,
    ("far", "selection", 50, 100): 0.601,
    ("small", "selection", 50, 50): 0.55,
    ("warped", "generator", 50, 100): 0.52,
    ("25 real", "curve", 25, 0): 0.40,
    ("100 real", "twice", 100, 0): 0.70,
}


def arms_of_a_study(noise=0.004, seeds=5):
    scores, drawn = flat(list(LEVELS.values()), seeds=seeds, noise=noise, images=noise)
    rivals = dict.fromkeys(("near", "far", "warped"), "random 100")
    return [
        StudyArm(
            *(name, kind, n, added, added / n, (300,) * seeds, own, draws, own + 0.01),
            against=rivals.get(name),
            metrics={"fid": 9.0 - level} if added and kind != "duplicated" else {},
        )
        for ((name, kind, n, added), level), own, draws in zip(
            LEVELS.items(), scores, drawn, strict=True
        )
    ]


def test_a_study_in_one_dict(tmp_path):
    arms = arms_of_a_study()
    study = summarize_study(arms, 200, "accuracy")
    write_yaml(tmp_path / "study.yaml", study)
    assert read_yaml(tmp_path / "study.yaml") == study
    rows = {row["name"]: row for row in study["arms"]}
    assert study["control"] == "duplicated" and rows["duplicated"]["difference"] is None
    assert study["families"] == {
        "difference": ["all", "random 100", "near", "far", "small", "warped"],
        "selection_against_random": ["near", "far"],
        "generator_against_random": ["warped"],
    }
    gain = interval(arms[4].scores - arms[1].scores, arms[4].resampled - arms[1].resampled, 200)
    near = rows["near"]["difference"]
    assert (near["mean"], near["low"], near["p"]) == (gain.mean, gain.low, gain.p)
    assert near["p_holm"] >= near["p"] and rows["100 real"]["difference"]["p_holm"] is None
    assert rows["near"]["against_random"]["arm"] == "random 100"
    assert rows["small"]["against_random"] is None
    assert rows["near"]["equivalent_real"]["value"] == pytest.approx(90, abs=4)
    assert rows["near"]["gap_closed"]["value"] == pytest.approx(0.8, abs=0.05)
    assert rows["real"]["gap_closed"] is None
    assert study["curve"]["n_real"] == [25, 50, 100]
    assert study["correlations"]["fid"]["raw"]["rho"] == pytest.approx(-1, abs=0.1)
    assert study["correlations"]["fid"]["raw"]["arms"] == 6


def test_models_that_learned_nothing_are_worth_no_number_of_images():
    arms = arms_of_a_study()
    for arm in arms:
        arm.scores[:], arm.resampled[:] = 0.1, 0.1
    study = summarize_study(arms, 200, "accuracy")
    assert {row["equivalent_real"] for row in study["arms"]} == {None}
    words = " ".join(verdict(study))
    assert "All 6 arms score the same, 0.100" in words
    assert "highest mean" not in words and "scores like" not in words
    arms[4].scores[:], arms[4].resampled[:] = 0.3, 0.3
    words = " ".join(verdict(summarize_study(arms, 200, "accuracy")))
    assert "The highest mean has near" in words and "the learning curve is flat" in words


def test_the_verdict_says_no_more_than_is_shown():
    clear = " ".join(verdict(summarize_study(arms_of_a_study(), 200, "accuracy")))
    assert "better than the control (duplicated): all +0.0" in clear
    assert (
        "1 of 2 selections is shown to be better than as many taken at random: near +0.0" in clear
    )
    assert "Not shown to differ from as many taken at random: far" in clear
    noisy = " ".join(verdict(summarize_study(arms_of_a_study(0.2, 3), 200, "accuracy")))
    assert "None of 6 arms is shown to be better" in noisy and "No share of a gap" in noisy
    assert "no effect" not in clear + noisy
    assert "None of 1 other generators is shown to be better than as many taken at random" in clear
    assert "one seed" in verdict(summarize_study(arms_of_a_study(seeds=1), 200, "accuracy"))[0]


def test_a_short_arm_is_shown_and_held_against_none():
    arms = [
        replace(arm, short="9 of 100 images with seed 0") if arm.name == "far" else arm
        for arm in arms_of_a_study()
    ]
    study = summarize_study(arms, 200, "accuracy")
    assert study["families"]["difference"] == ["all", "random 100", "near", "small", "warped"]
    assert study["families"]["selection_against_random"] == ["near"]
    far = next(row for row in study["arms"] if row["name"] == "far")
    assert far["against_random"] is None and far["difference"]["p"] is None
    assert far["equivalent_real"] is not None
    *before, last, _ = verdict(study)
    assert last == (
        "Smaller than asked for, so not compared at one size: far: 9 of 100 images with seed 0."
    )
    assert "far" not in " ".join(before).split("The highest mean")[0]


def test_a_correlation_takes_out_the_ratio_that_an_arm_has():
    """A selection by threshold may keep fewer images than the ratio asks for."""
    arms = arms_of_a_study()
    asked = [replace(arm, ratio=4.0) for arm in arms]
    expected = summarize_study(arms, 200, "accuracy")["correlations"]
    assert summarize_study(asked, 200, "accuracy")["correlations"] == expected


ARM = {"name": "x", "kind": "random", "real": 5, "ratio": 2, "seed": 3, "against": None}


def read_small_arm(folder, added=10, predicted=(2, 2), steps=10, **settings):
    """Read one training on five real images, tested on two of class 2, drawn as (0, 0), (0, 1)."""
    files = {name: folder / name for name in ("metrics", "test", "mix")}
    write_yaml(files["metrics"], {"steps": steps, "val": {"accuracy": 0.25}})
    tested = {"image": ["a.png", "b.png"], "label": [2, 2], "predicted": predicted}
    pd.DataFrame(tested).to_csv(files["test"], index=False)
    blank = dict.fromkeys(COLUMNS["mixed"], "") | {"split": "train"}
    origins = ["real"] * 5 + ["synthetic"] * added
    rows = [blank | {"id": str(n), "origin": origin} for n, origin in enumerate(origins)]
    write_table(files["mix"], rows, "mixed")
    test = results.TestImages(["a.png", "b.png"], pd.DataFrame(), np.array([[2, 0], [1, 1]]))
    return read_arm("classification", ARM | settings, files, {}, test, seed=0)


def test_an_arm_is_read_from_the_files_of_its_training(tmp_path):
    arm = read_small_arm(tmp_path, predicted=(2, 7))
    assert (arm.n_real, arm.n_added, arm.steps, arm.short) == (5, 10, (10,), "")
    assert arm.scores.tolist() == [0.5] and arm.val.tolist() == [0.25]
    assert arm.resampled.tolist() == [[1.0, 0.5]]


@pytest.mark.parametrize("kind, short", [("all", ""), ("random", "9 of 10 images with seed 3")])
def test_all_is_never_short(tmp_path, kind, short):
    """Where a picture gave no condition there are fewer, and they are all that there are."""
    arm = read_small_arm(tmp_path, added=9, kind=kind)
    assert (arm.short, arm.n_added) == (short, 9)


def test_seeds_of_an_arm_are_joined_in_their_order(tmp_path):
    first = read_small_arm(tmp_path, added=9)
    second = read_small_arm(tmp_path, added=7, predicted=(7, 7), seed=4)
    metrics = {"fid": 1.0, "tiny.recall": 0.5}
    joined = join_seeds([replace(first, metrics=metrics), replace(second, metrics={"fid": 4.0})])
    assert joined.scores.tolist() == [1.0, 0.0] and joined.resampled.shape == (2, 2)
    assert joined.steps == (10, 10) and joined.n_added == 7
    assert joined.metrics == {"fid": 2.5}
    assert joined.short == "9 of 10 images with seed 3; 7 of 10 images with seed 4"


def test_arms_of_other_numbers_of_steps_are_not_compared():
    arms = arms_of_a_study()
    longer = replace(arms[4], steps=(300, 300, 300, 300, 400))
    with pytest.raises(UserError, match=r"trained for \[300, 400\] optimizer steps"):
        summarize_study([*arms[:4], longer, *arms[5:]], 200, "accuracy")


def test_an_object_that_is_listed_twice_counts_once(tmp_path):
    """As in ultralytics, which drops the second line."""
    mixed = [dict.fromkeys(COLUMNS["mixed"], "") for _ in range(2)]
    for row, name in zip(mixed, "ab", strict=True):
        row |= {"id": name, "image": f"{name}.png", "split": "test"}
    one, two = "0 0.5 0.5 0.2 0.2", "1 0.5 0.5 0.2 0.2"
    labels = [{"id": "a", "label": f"{one}\n{two}\n{one}"}, {"id": "b", "label": one}]
    write_table(tmp_path / "mixed.csv", mixed, "mixed")
    write_table(tmp_path / "labels.csv", labels, "labels")
    images, truth = read_truth(tmp_path / "mixed.csv", tmp_path / "labels.csv")
    assert images == ["a.png", "b.png"]
    assert truth.to_numpy().tolist() == [["a.png", 0], ["a.png", 1], ["b.png", 0]]


def test_metrics_of_an_arm_are_those_of_its_own_images(tmp_path):
    """Not of the candidates that it was chosen from, and none of a single image."""
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(2, 40, 8)).astype(np.float32)
    ids = [f"i{number:02d}" for number in range(40)]
    rows = [{"id": name, "image": f"{name}.png"} for name in ids]
    files = {"model": "tiny"}
    files |= {name: str(tmp_path / name) for name in ("synthetic_rows", "scores")}
    files["real_rows"] = files["synthetic_rows"]
    files |= {name: str(tmp_path / f"{name}.npy") for name in ("real", "synthetic")}
    np.save(files["real"], real)
    np.save(files["synthetic"], synthetic)
    write_table(files["synthetic_rows"], rows, "rows")
    table = pd.DataFrame(rows).assign(mahalanobis=np.arange(40.0), copy_synthetic=1e9)
    table.to_csv(files["scores"], index=False)
    found = results._measure(files, ids[:10], 0)
    assert found["mean_mahalanobis"] == 4.5
    own = score(Inputs(real, synthetic[:10], 1))["copy_synthetic"].mean()
    assert found["mean_copy_synthetic"] == pytest.approx(own)
    assert found["frechet_distance"] != results._measure(files, ids, 0)["frechet_distance"]
    assert results._measure(files, ids[:1], 0) == {}


def test_a_study_calls_the_distance_fid_by_the_model_and_not_by_the_entry_s_name(tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"i{number}" for number in range(12)]
    rows = [{"id": name, "image": f"{name}.png"} for name in ids]
    write_table(tmp_path / "rows.csv", rows, "rows")
    pd.DataFrame(rows).assign(realism=1.0).to_csv(tmp_path / "scores.csv", index=False)
    np.save(tmp_path / "features.npy", rng.normal(size=(12, 3)).astype(np.float32))
    models = {"pool3": "inception", "inception": "facebook/dinov2-small"}
    ends = {"real": "features.npy", "real_rows": "rows.csv", "scores": "scores.csv"}
    ends |= {"synthetic": "features.npy", "synthetic_rows": "rows.csv"}
    inputs = {
        f"{kind}/digits/canny/{name}": str(tmp_path / end)
        for name in models
        for kind, end in ends.items()
    }
    job = SimpleNamespace(input=inputs, params=SimpleNamespace(models=models))
    assert set_files(job, {"dataset": "digits", "generator": "none"}) == {}
    found = set_files(job, {"dataset": "digits", "generator": "canny"})
    measured = {name: results._measure(files, ids[:6], 0) for name, files in found.items()}
    assert "fid" in measured["pool3"] and "frechet_distance" not in measured["pool3"]
    assert "frechet_distance" in measured["inception"] and "fid" not in measured["inception"]


def test_a_study_without_its_control_or_with_unequal_arms_is_an_error():
    arms = arms_of_a_study()
    with pytest.raises(UserError, match="control, not 0"):
        summarize_study([arm for arm in arms if arm.kind != "duplicated"], 200, "accuracy")
    with pytest.raises(UserError, match="4 seeds, where duplicated has 5"):
        short = replace(arms[0], scores=arms[0].scores[:4], resampled=arms[0].resampled[:4])
        summarize_study([short, *arms[1:]], 200, "accuracy")
    with pytest.raises(UserError, match="two arms .* named near"):
        summarize_study([*arms, arms[4]], 200, "accuracy")
