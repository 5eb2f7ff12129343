"""The report: what is shown is what the files say, and the same files give the same bytes."""

import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import jinja2
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from docutils.core import publish_parts
from PIL import ImageColor
from snakemake.iocontainers import InputFiles, OutputFiles, Params, Wildcards
from snakemake.report import Category

import report_arms
import report_curves
import report_metrics
import report_scores
import report_sheet
import summary
from cia.config.references import NONE
from cia.digits import draw_scene, pool, scene_rng
from cia.errors import UserError
from cia.files import digest_file, write_yaml
from cia.filtering import select
from cia.images import load_image, read_png_text, save_png
from cia.reporting.arms import (
    arm_cells,
    arm_table,
    collect_arms,
    difference,
    draw_arms,
    estimate,
    find_baseline,
    seeds_words,
)
from cia.reporting.curves import TrainingCurves, mean_curve
from cia.reporting.extremes import extreme_rows
from cia.reporting.histograms import bin_edges
from cia.reporting.metrics import metric_cells, metric_rows
from cia.reporting.pages import Table, format_number, html_page, markdown_page, markdown_table
from cia.reporting.selections import (
    direction_words,
    find_cut,
    ranked_images,
    score_words,
    shown_step,
)
from cia.reporting.sheets import LabelForm, Tile, draw_sheet, sample_rows, sheet_rows
from cia.reporting.style import DROPPED, KEPT
from cia.reporting.summary import shortage, summary_parts
from cia.tables import read_table, write_table
from conftest import ROOT

CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
BOXES = LabelForm("detection", CLASSES)
TOP_P = {"method": "top_p", "value": 0.5, "score": "mahalanobis", "order": "auto"}


def job(inputs, outputs, params, wildcards):
    """A job as Snakemake hands it to a script."""
    return SimpleNamespace(
        input=InputFiles(fromdict=inputs),
        output=OutputFiles(fromdict=outputs),
        params=Params(fromdict=params),
        wildcards=Wildcards(fromdict=wildcards),
    )


def images_table(scores, kept, per_source=3):
    """Synthetic images in the form that `ranked_images` gives; the smallest score is the best."""
    ranked = [number for number in np.argsort(scores) if np.isfinite(scores[number])]
    order = {number: float(place) for place, number in enumerate(ranked, start=1)}
    rows = [
        {
            "id": f"p {number // per_source}_v{number % per_source:03d}",
            "source": f"p {number // per_source}",
            "variant": number % per_source,
            "prompt": "",
            "condition": "",
            "image": "",
            "score": score,
            "rank": order.get(number, np.nan),
            "kept": keep,
        }
        for number, (score, keep) in enumerate(zip(scores, kept, strict=True))
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def digit_set(tmp_path, monkeypatch):
    """Four real scenes with three variants each, scored and half of them kept."""
    monkeypatch.chdir(tmp_path)
    real, plan, made, scores, labels = [], [], [], [], {"real": [], "made": []}
    for number in range(4):
        scene = draw_scene(scene_rng(7, number), pool("train"))
        id_ = f"söme.{number} x_v000"
        save_png(f"real/{id_}.png", scene.image)
        save_png(f"maps/{id_}.png", 255 - scene.image)
        size = {"width": 64, "height": 64, "sha256": ""}
        real.append({"id": id_, "image": f"real/{id_}.png", **size, "caption": scene.caption})
        label = "\n".join(
            " ".join([str(digit), *(f"{value:.6f}" for value in box)])
            for digit, box in zip(scene.digits, scene.boxes, strict=True)
        )
        labels["real"].append({"id": id_, "label": label})
        for variant in range(3):
            name = f"{id_}_v{variant:03d}"
            save_png(f"made/{name}.png", np.roll(scene.image, variant, axis=2))
            made.append({"id": name, "image": f"made/{name}.png", **size, "caption": ""})
            labels["made"].append({"id": name, "label": label})
            score = float((7 * (3 * number + variant)) % 12)
            scores.append({"id": name, "image": f"made/{name}.png", "mahalanobis": score})
            origin = {"source": id_, "variant": variant, "seed": 1, "negative_prompt": ""}
            condition = {"condition": f"maps/{id_}.png", "condition_sha256": ""}
            plan.append({"id": name, **origin, "prompt": "a prompt " * 40, **size, **condition})
    kept = sorted((row for row in scores), key=lambda row: row["mahalanobis"])[:6]
    selected = [
        {"id": row["id"], "image": row["image"], "score": row["mahalanobis"], "rank": rank}
        for rank, row in enumerate(kept, start=1)
    ]
    tables = {"real": (real, "manifest"), "generated": (made, "manifest"), "plan": (plan, "plan")}
    tables |= {"selected": (selected, "selected"), "scores": (scores, None)}
    tables |= {"real_labels": (labels["real"], "labels")}
    tables |= {"generated_labels": (labels["made"], "labels")}
    for name, (rows, kind) in tables.items():
        write_table(f"{name}.csv", rows, kind)
    return {name: f"{name}.csv" for name in tables}


def sheet_job(inputs, output, **params):
    params = {
        "settings": TOP_P,
        "task": "detection",
        "classes": CLASSES,
        "keypoints": {},
        "rows": 4,
        "variants": 3,
    } | params
    names = {"dataset": "digits", "generator": "tiny", "selection": "best_half"}
    return job(inputs, {"sheet": output}, params, names)


# sheets


def test_sheet_is_deterministic_and_says_what_it_was_drawn_from(digit_set):
    for name in ("a.png", "b.png"):
        report_sheet.main(sheet_job(digit_set, name))
    assert digest_file("a.png") == digest_file("b.png")
    text = read_png_text("a.png")
    assert text["Title"] == "Selection best_half keeps 6 of 12 synthetic images"
    assert text["Source"].split("\n") == sorted(digit_set.values())


def test_sheet_shows_small_pictures_pixel_by_pixel(digit_set):
    report_sheet.main(sheet_job(digit_set, "sheet.png"))
    sheet = load_image("sheet.png")
    assert 900 <= sheet.shape[1] <= 1200
    picture = load_image(read_table("plan.csv", "plan")["condition"][0])
    large = picture.repeat(3, axis=0).repeat(3, axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], 192, axis=1)[:, :, ::48]
    rows = (windows == large[0, ::48, 0]).all(axis=2)
    found = [
        (y, x)
        for y, x in zip(*np.nonzero(rows), strict=True)
        if np.array_equal(sheet[y : y + 192, x : x + 192], large)
    ]
    assert len(found) == 1


def test_sheet_frames_tell_kept_from_dropped(digit_set):
    report_sheet.main(sheet_job(digit_set, "sheet.png"))
    sheet = load_image("sheet.png")
    solid, dashed = (ImageColor.getrgb(color) for color in (KEPT, DROPPED))
    counts = [int((sheet == color).all(axis=2).sum()) for color in (solid, dashed)]
    side, thick = 192 + 3, 3
    assert counts[0] >= 6 * 4 * side * thick
    assert 6 * 4 * side * thick * 0.4 < counts[1] < 6 * 4 * side * thick


def test_sheet_without_scores_shows_every_kept_mark(digit_set):
    everything = read_table("generated.csv", "manifest")[["id", "image"]]
    everything = everything.assign(score=0.0, rank=range(1, 13))
    write_table("selected.csv", everything, "selected")
    inputs = {name: path for name, path in digit_set.items() if name != "scores"}
    report_sheet.main(sheet_job(inputs, "sheet.png", settings={"method": "all"}))
    sheet = load_image("sheet.png")
    assert not (sheet == ImageColor.getrgb(DROPPED)).all(axis=2).any()
    assert (sheet == ImageColor.getrgb(KEPT)).all(axis=2).any()


@pytest.mark.parametrize("size", [(96, 64), (768, 512), (512, 768), (40, 900)])
def test_sheet_of_any_shape_stays_readable(tmp_path, size):
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    save_png(tmp_path / "p.png", image)
    tile = Tile(str(tmp_path / "p.png"), text="word " * 100, kept=True, head="1.23")
    draw_sheet(tmp_path / "s.png", "title " * 60, "", [("best", [tile] * 5)], {}, BOXES)
    height, width, _ = load_image(tmp_path / "s.png").shape
    assert 600 <= width <= 1200
    assert height <= 800


def test_sample_holds_best_and_worst_and_no_source_twice():
    rng = np.random.default_rng(3)
    images = images_table(rng.permutation(60).astype(float), [True] * 60)
    sample = sample_rows(images, 5)
    assert [item["rank"] for item in sample] == sorted(item["rank"] for item in sample)
    assert (sample[0]["rank"], sample[-1]["rank"]) == (1, 60)
    assert len({item["source"] for item in sample}) == 5
    ids = images.set_index("id")["score"]
    assert [ids[item["id"]] for item in sample] == [item["rank"] - 1 for item in sample]
    ranks = np.array([item["rank"] for item in sample])
    assert np.abs(ranks - (1, 16, 30, 45, 60)).max() <= 3


def test_sample_follows_the_rank_and_ignores_the_order_of_rows():
    images = images_table(-np.arange(30.0), [True] * 30)
    sample = sample_rows(images, 3)
    assert sample[0]["id"] == images["id"].iloc[-1]
    assert sample_rows(images.sample(frac=1, random_state=0), 3) == sample


WEIGHTED = {"method": "top_k", "value": 4, "features": "f", "score": {"realism": 3, "label_iou": 1}}
BY_ORDER = {"method": "top_k", "value": 4, "features": "f", "score": "realism"}
BY_ORDER |= {"order": "ascending"}
SELECTIONS = {
    "weighted": WEIGHTED,
    "weighted, worst first": WEIGHTED | {"order": "descending"},
    "one score": BY_ORDER | {"order": "auto"},
    "an order of its own": BY_ORDER,
    "a step's order": {"method": "sequence", "steps": [BY_ORDER, {"method": "all"}]},
    "a weighted step": {"method": "sequence", "steps": [{"method": "all"}, WEIGHTED]},
}


@pytest.mark.parametrize("settings", SELECTIONS.values(), ids=SELECTIONS.keys())
def test_the_best_of_a_sheet_and_a_histogram_are_what_the_filter_takes_first(digit_set, settings):
    rng = np.random.default_rng(5)
    scores = read_table("scores.csv").assign(realism=rng.random(12), label_iou=rng.random(12))
    manifest = read_table("generated.csv", "manifest")
    kept = select(manifest, settings, 0, {"f": scores})
    images = ranked_images(
        read_table("plan.csv", "plan"), manifest, scores, shown_step(settings, scores), kept["id"]
    )
    ranked = images.sort_values("rank", ignore_index=True)
    first = select(manifest, shown_step(settings, scores), 0, {"f": scores})
    assert ranked.head(4)[["id", "score"]].equals(first[["id", "score"]])
    assert ranked["kept"].tolist() == [True] * 4 + [False] * 8
    assert sample_rows(images, 4)[0]["id"] == first["id"][0]
    assert find_cut(images, settings) is not None


def test_a_sequence_with_weighted_scores_is_drawn(digit_set):
    settings = SELECTIONS["a weighted step"]
    scores = read_table("scores.csv").assign(realism=np.arange(12.0), label_iou=1.0)
    kept = select(read_table("generated.csv", "manifest"), settings, 0, {"f": scores})
    write_table("scores.csv", scores)
    write_table("selected.csv", kept, "selected")
    report_sheet.main(sheet_job(digit_set, "sheet.png", settings=settings))
    inputs = {name: digit_set[name] for name in ("plan", "generated", "selected", "scores")}
    names = {"dataset": "digits", "generator": "tiny", "selection": "best"}
    report_scores.main(job(inputs, {"figure": "scores.png"}, {"settings": settings}, names))


@pytest.mark.parametrize(
    "settings, words",
    [
        (TOP_P, "mahalanobis: smaller is better"),
        (BY_ORDER, "realism: here smaller is better"),
        (BY_ORDER | {"order": "auto"}, "realism: larger is better"),
        (WEIGHTED, "mean rank in realism (3) and label_iou (1): smaller is better"),
        ({"method": "random", "value": 5}, "label_iou: larger is better"),
    ],
)
def test_a_score_is_named_with_its_better_end(settings, words):
    scores = pd.DataFrame({"id": [], "image": [], "label_iou": []})
    step = shown_step(settings, scores)
    assert f"{score_words(step)}: {direction_words(step)}" == words


def test_images_without_a_score_have_no_rank_where_the_selection_reads_none(digit_set):
    scores = read_table("scores.csv")
    scores.loc[:4, "mahalanobis"] = np.nan
    manifest = read_table("generated.csv", "manifest")
    step = shown_step({"method": "random", "value": 5}, scores)
    images = ranked_images(read_table("plan.csv", "plan"), manifest, scores, step, [])
    assert images["rank"].notna().sum() == len(manifest) - 5
    assert len(images) == len(manifest)


def test_sample_of_few_pictures_is_all_of_them():
    images = images_table(np.arange(6.0), [True] * 6)
    assert len(sample_rows(images, 5)) == 2
    assert len(sample_rows(images.assign(rank=np.nan), 5)) == 2
    assert sample_rows(images.iloc[:0], 5) == []


def test_rows_start_with_the_chosen_image_and_keep_to_its_source(digit_set):
    images = ranked_images(
        read_table("plan.csv", "plan"),
        read_table("generated.csv", "manifest"),
        read_table("scores.csv"),
        TOP_P,
        [],
    )
    sample = sample_rows(images, 4)
    labels = {"real": {}, "synthetic": {}}
    real = read_table("real.csv", "manifest")
    rows = sheet_rows(images, sample, real, labels, BOXES, 2)
    for item, (_, tiles) in zip(sample, rows, strict=True):
        assert len(tiles) == 4
        assert tiles[0].image == f"real/{item['source']}.png"
        assert tiles[1].image == f"maps/{item['source']}.png"
        assert tiles[2].image == f"made/{item['id']}.png"
        assert tiles[3].image.startswith(f"made/{item['source']}_v")
        assert tiles[3].image != tiles[2].image
    assert rows[0][1][2].head == "0"
    assert rows[-1][0].startswith("worst")


def test_variants_with_maps_of_their_own_are_shown_beside_them(digit_set):
    plan = read_table("plan.csv", "plan")
    for row in plan.itertuples():
        save_png(f"own/{row.id}.png", load_image(row.condition))
    plan["condition"] = "own/" + plan["id"] + ".png"
    write_table("plan.csv", plan, "plan")
    images = ranked_images(plan, read_table("generated.csv", "manifest"), None, None, [])
    real, labels = read_table("real.csv", "manifest"), {"real": {}, "synthetic": {}}
    sample = sample_rows(images, 4)
    for item, (_, tiles) in zip(
        sample, sheet_rows(images, sample, real, labels, BOXES, 3), strict=True
    ):
        names = [tile.image.split("/") for tile in tiles]
        assert [folder for folder, _ in names] == ["real", "own", "made", "own", "made"]
        assert names[1][1] == names[2][1] == f"{item['id']}.png" != names[3][1] == names[4][1]
    report_sheet.main(sheet_job(digit_set, "sheet.png"))
    assert load_image("sheet.png").shape[1] > 600


def test_labels_become_boxes_or_a_class_name(digit_set):
    images = ranked_images(
        read_table("plan.csv", "plan"), read_table("generated.csv", "manifest"), None, None, []
    )
    real = read_table("real.csv", "manifest")
    sample = sample_rows(images, 1)
    source = sample[0]["source"]
    boxes = {"real": {source: "3 0.5 0.25 0.5 0.125\n9 0.1 0.1 0.2 0.2"}, "synthetic": {}}
    ((_, tiles),) = sheet_rows(images, sample, real, boxes, BOXES, 1)
    assert [one.index for one in tiles[0].objects] == ["3", "9"]
    assert tiles[0].objects[0].box == (0.25, 0.1875, 0.75, 0.3125)
    assert tiles[2].objects == []
    classes = {"real": {source: "4"}, "synthetic": {}}
    ((_, tiles),) = sheet_rows(
        images, sample, real, classes, LabelForm("classification", CLASSES), 1
    )
    assert tiles[0].head == "four"


# score histograms


def test_cut_lies_between_kept_and_dropped():
    images = images_table([1.0, 2.0, 5.0, 9.0], [True, True, False, False])
    assert find_cut(images, TOP_P) == 3.5
    assert find_cut(images.assign(kept=~images["kept"]), TOP_P) == 3.5
    assert find_cut(images, {"method": "threshold", "value": 4.2, "score": "s"}) == 4.2


def test_no_cut_is_made_up():
    for kept in ([True] * 4, [False] * 4, [True, False, True, False]):
        images = images_table([1.0, 2.0, 5.0, 9.0], kept)
        assert find_cut(images, {"method": "random", "value": 2}) is None
    scoreless = images_table([np.nan] * 2, [True, False])
    assert find_cut(scoreless, TOP_P) is None


@pytest.mark.parametrize("cut", [None, 3.5, 100.0, -1.0])
def test_bins_hold_every_score_and_one_edge_is_the_cut(cut):
    values = np.random.default_rng(1).gamma(3, 2, 500)
    edges = bin_edges(values, cut)
    assert np.histogram(values, edges)[0].sum() == 500
    assert np.allclose(np.diff(edges), edges[1] - edges[0])
    assert len(edges) <= 43
    if cut == 3.5:
        assert np.isclose(edges, cut).any()


def test_bins_of_equal_scores():
    assert np.histogram(np.full(5, 2.0), bin_edges(np.full(5, 2.0), None))[0].sum() == 5


def test_score_histogram_is_deterministic(digit_set):
    inputs = {name: digit_set[name] for name in ("plan", "generated", "selected", "scores")}
    names = {"dataset": "digits", "generator": "tiny", "selection": "best_half"}
    for name in ("a.png", "b.png"):
        report_scores.main(job(inputs, {"figure": name}, {"settings": TOP_P}, names))
    assert digest_file("a.png") == digest_file("b.png")
    assert load_image("a.png").shape[1] == 1200
    assert "Software" not in read_png_text("a.png")


def test_unknown_score_is_named(digit_set):
    with pytest.raises(UserError, match="no score 'realism'; there are mahalanobis"):
        ranked_images(
            read_table("plan.csv", "plan"),
            read_table("generated.csv", "manifest"),
            read_table("scores.csv"),
            {"score": "realism"},
            [],
        )


# metric tables


def metric_file(features="tiny", **metrics):
    return {"features": features, "n_real": 60, "n_synthetic": 180, "metrics": metrics}


def test_metric_rows_carry_whatever_a_metric_holds():
    fid = {"value": 12.5, "low": 11.0, "high": 14.0, "direction": "lower", "warning": "few, biased"}
    kid = {"value": 0.01, "std": 0.002, "subsets": 100, "direction": "lower", "settings": {"a": 1}}
    score = {"value": None, "direction": "higher", "reason": "no classes"}
    table = metric_rows([metric_file(fid=fid), metric_file("vit", kid=kid, inception_score=score)])
    assert table["metric"].tolist() == ["fid", "kid", "inception_score"]
    assert table["subsets"].tolist()[1] == 100 and "settings" not in table
    assert table["note"].tolist() == ["few, biased", "", "no classes"]
    cells = metric_cells(table)
    values = [row[cells.headers.index("value")] for row in cells.rows]
    assert values == ["12.5 [11.0, 14.0]", "0.0100 ± 0.00200", "-"]
    assert [row[cells.headers.index("better")] for row in cells.rows] == [
        "smaller",
        "smaller",
        "larger",
    ]
    assert "subsets" not in cells.headers  # in the CSV


def test_metrics_of_objects_stand_below_those_of_their_images():
    fid = {"value": 12.5, "floor": 3.0, "direction": "lower"}
    content = metric_file(fid=fid) | {"objects": metric_file(fid=fid) | {"n_real": 99}}
    table = metric_rows([content])
    assert table["of"].tolist() == ["images", "objects"]
    assert table["n_real"].tolist() == [60, 99]


def test_extremes_show_both_ends_of_every_score_that_tells_images_apart():
    ids = [f"{n:02d}" for n in range(20)]
    scores = pd.DataFrame({"id": ids, "image": ids, "realism": range(20), "mahalanobis": range(20)})
    scores["flat"] = 1.0
    scores["rare"] = [1.0, 2.0] + [np.nan] * 18
    rows = extreme_rows(
        scores, dict.fromkeys(ids, "1"), LabelForm("classification", ["zero", "one"])
    )
    assert [name.split("\n")[0] for name, _ in rows] == ["realism", "mahalanobis"]
    best_first = [tile.image for tile in rows[1][1]]
    assert best_first == ["00", "01", "02", "09", "10", "11", "17", "18", "19"]
    assert [tile.image for tile in rows[0][1]][0] == "19"
    assert rows[0][1][0].text == "one" and rows[0][1][0].head == "19.0"


class Rows(HTMLParser):
    """Collects the cells of a page's tables."""

    def __init__(self):
        super().__init__()
        self.rows, self.inside = [], False

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.inside = tag in ("td", "th")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def test_metric_table_is_the_same_in_all_three_forms(tmp_path):
    value = {"value": 3.14159265358979, "direction": "lower", "warning": "n < d | <b>"}
    write_yaml(tmp_path / "tiny.yaml", metric_file(frechet_distance=value))
    outputs = {name: tmp_path / f"m.{name}" for name in ("csv", "markdown", "html")}
    names = {"dataset": "d", "generator": "c"}
    report_metrics.main(job({"metrics": [tmp_path / "tiny.yaml"]}, outputs, {}, names))
    assert read_table(outputs["csv"])["value"].tolist() == [3.14159265358979]
    page = Rows()
    page.feed(outputs["html"].read_text())
    assert page.rows[1][:4] == ["tiny", "images", "frechet distance", "3.14"]
    assert page.rows[1][-1] == "n < d | <b>"
    assert "prefers-color-scheme: dark" in outputs["html"].read_text()
    markdown = outputs["markdown"].read_text().splitlines()
    assert len({len(line) for line in markdown if line.startswith("|")}) == 1
    assert "n < d \\| <b>" in next(line for line in markdown[::-1] if line.startswith("|"))


def test_a_page_of_metrics_says_what_floor_and_matched_are_and_which_to_look_at(tmp_path):
    value = {"value": 3.0, "floor": 1.0, "matched": 2.0, "direction": "lower"}
    write_yaml(tmp_path / "tiny.yaml", metric_file(frechet_distance=value))
    outputs = {name: tmp_path / f"m.{name}" for name in ("csv", "markdown", "html")}
    names = {"dataset": "d", "generator": "c"}
    report_metrics.main(job({"metrics": [tmp_path / "tiny.yaml"]}, outputs, {}, names))
    for name in ("markdown", "html"):
        page = outputs[name].read_text()
        assert "floor (real to real)" in page and "matched (synthetic to real)" in page
        assert "Hold `matched` against `floor`" in page and "Compare `value`" in page
    assert {"floor", "matched"} <= set(read_table(outputs["csv"]).columns)


def test_numbers_keep_three_digits():
    written = {0.012345: "0.0123", 1.5: "1.50", 12.345: "12.3", 999.4: "999", 12345.6: "12,346"}
    written |= {0.0: "0", 180: "180", 1e-9: "1.00e-09", -2.5: "-2.50"}
    assert {value: format_number(value) for value in written} == written
    assert format_number(None) == format_number(float("nan")) == "-"


def test_pages_escape_their_cells():
    table = Table(["a|b"], [["<script>\n|"]])
    assert markdown_table(table).splitlines()[2] == "| <script> \\| |"
    assert "<script>" not in html_page("<script>", ["<script>", ["<script>"], table])


# arms


def trained(mix, seed, value, generator=NONE, selection=NONE, synthetic=0):
    arm = {"mix": mix, "generator": generator, "selection": selection, "seed": seed}
    copies = 60 * (mix == "classical")
    counts = {"train_real": 60, "train_synthetic": synthetic, "train_classical": copies}
    counts |= {"val": 40, "test": 200}
    test = {"mAP50": value + 0.2, "mAP50-95": value}
    return arm, {"n": counts, "test": test, "epochs": 3, "best_epoch": 2, "steps": 12}


def models(seeds=4):
    rng = np.random.default_rng(5)
    found = []
    for mix, generator, selection, synthetic, level in (
        ("plus", "canny", "all", 60, 0.5),
        ("real", NONE, NONE, 0, 0.4),
        ("twice", NONE, NONE, 0, 0.45),
        ("plus", "canny", "best", 60, 0.55),
    ):
        for seed in range(seeds):
            value = float(level + rng.normal(0, 0.02))
            found.append(trained(mix, seed, value, generator, selection, synthetic))
    return found


def test_arms_are_grouped_by_training_set_and_named_apart():
    arms = collect_arms(models())
    assert [arm.label for arm in arms] == ["plus: all", "real", "twice", "plus: best"]
    assert arms[0].images == "60 real + 60 synthetic"
    assert list(arms[0].values["mAP50-95"]) == [0, 1, 2, 3]
    two = [*models(1), trained("plus", 0, 0.5, "pose", "all", 60)]
    labels = [arm.label for arm in collect_arms(two)]
    assert labels[-1] == "plus: pose, all" and labels[0] == "plus: canny, all"


def test_intervals_are_students_and_need_three_seeds():
    values = [0.41, 0.44, 0.39, 0.47]
    mean, low, high = estimate(values)
    expected = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    assert (low, high) == pytest.approx(expected)
    assert mean == pytest.approx(np.mean(values))
    assert estimate(values[:2])[1:] == (None, None)


def test_differences_are_paired_by_seed():
    arms = collect_arms(models())
    baseline = find_baseline(arms, ["missing", "real", "twice"])
    assert baseline.mix == "real"
    gap = difference(arms[0], baseline, "mAP50-95")
    pairs = [arms[0].values["mAP50-95"][s] - baseline.values["mAP50-95"][s] for s in range(4)]
    interval = scipy.stats.ttest_1samp(pairs, 0).confidence_interval(0.95)
    assert gap == pytest.approx((np.mean(pairs), interval.low, interval.high))


def test_differences_without_a_common_seed_have_no_interval():
    pairs = [trained("real", seed, 0.4) for seed in range(3)]
    pairs += [trained("twice", seed, 0.5) for seed in range(3, 6)]
    real, twice = collect_arms(pairs)
    assert difference(twice, real, "mAP50-95") == (pytest.approx(0.1), None, None)


def test_arms_without_a_baseline_have_no_difference():
    cells = arm_cells(collect_arms(models()), None)
    assert not [header for header in cells.headers if "difference" in header]
    assert all(len(row) == len(cells.headers) for row in cells.rows)


def test_arm_table_has_all_values_and_no_difference_to_itself():
    arms = collect_arms(models())
    table = arm_table(arms, find_baseline(arms, ["real"])).set_index(["mix", "selection", "metric"])
    assert np.isnan(table.loc[("real", NONE, "mAP50-95"), "difference"])
    row = table.loc[("plus", "best", "mAP50-95")]
    values = [float(value) for value in row["values"].split(";")]
    assert values == list(arms[3].values["mAP50-95"].values())
    assert row["difference_low"] < row["difference"] < row["difference_high"]


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        (1, "one seed per arm: no interval"),
        (2, "2 seeds per arm: too few for an interval"),
        (3, "means over 3 seeds, 95 % intervals"),
    ],
)
def test_words_on_seeds_are_honest(seeds, words):
    arms = collect_arms(models(seeds))
    assert seeds_words(arms).startswith(words)


@pytest.mark.parametrize("seeds", [1, 4])
def test_arm_comparison_and_curves(tmp_path, seeds):
    arms, contents = zip(*models(seeds), strict=True)
    metrics, curves = [], []
    for number, content in enumerate(contents):
        metrics.append(tmp_path / f"{number}.yaml")
        curves.append(tmp_path / f"{number}.csv")
        write_yaml(metrics[-1], content)
        losses = {"epoch": [1, 2, 3], "train_loss": [3.0, 2.0, 1.5]}
        write_table(curves[-1], pd.DataFrame(losses | {"val_mAP50-95": [0.1, 0.4, 0.3]}))
    names = {"dataset": "d", "trainer": "t"}
    params = {"arms": list(arms), "baselines": ["real"]}
    for name in "ab":
        figures = {"figure": tmp_path / f"{name}.png", "csv": tmp_path / f"{name}.csv"}
        outputs = figures | {"markdown": tmp_path / f"{name}.md"}
        report_arms.main(job({"metrics": metrics}, outputs, params, names))
        outputs = {"figure": tmp_path / f"curves_{name}.png"}
        report_curves.main(job({"metrics": metrics, "curves": curves}, outputs, params, names))
    for pattern in ("{}.png", "{}.csv", "{}.md", "curves_{}.png"):
        first, second = (tmp_path / pattern.format(name) for name in "ab")
        assert digest_file(first) == digest_file(second)
    text = (tmp_path / "a.md").read_text()
    assert "difference to real" in text and ("[" in text) == (seeds == 4)


def test_mean_curve_is_over_steps_and_ends_with_the_shortest():
    curves = [
        pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0]}),
        pd.DataFrame({"epoch": [1, 2], "train_loss": [5.0, 4.0]}),
    ]
    runs = [TrainingCurves("arm", curve, steps=8, best_epoch=1) for curve in curves]
    steps, values = mean_curve(runs, "train_loss")
    assert steps.tolist() == [8, 16] and values.tolist() == [4.0, 3.0]


# summary


def test_summary_counts_and_compares(digit_set):
    descriptors, contents = zip(*models(3), strict=True)
    files = []
    for number, content in enumerate(contents):
        files.append(f"{number}.yaml")
        write_yaml(files[-1], content)
    write_yaml("full.yaml", {"synthetic_asked": 60, "train_synthetic": 60})
    write_yaml("short.yaml", {"synthetic_asked": 60, "train_synthetic": 7})
    write_yaml("m.yaml", metric_file(fid={"value": 12.3, "direction": "lower"}))
    write_yaml("labels.yaml", {"pictures": 4, "classes": {"one": 1200, "two": 2}, "backgrounds": 0})
    set_ = {"dataset": "digits", "generator": "canny"}
    inputs = {
        "labels": ["labels.yaml"] * 3,
        "real": [digit_set["real"]],
        "generated": [digit_set["generated"]],
        "selected": [digit_set["selected"]],
        "metrics": ["m.yaml"],
        "models": files,
        "mixes": ["full.yaml"] * (len(files) - 1) + ["short.yaml"],
    }
    params = {
        "datasets": [{"dataset": "digits"}],
        "sets": [set_],
        "selections": [set_ | {"selection": "best_half"}],
        "metrics": [set_ | {"features": "tiny"}],
        "arms": [arm | {"dataset": "digits", "trainer": "yolov8n"} for arm in descriptors],
        "baselines": ["real"],
        "labels": [{"dataset": "digits", "split": split} for split in ("train", "val", "test")],
        "configfiles": ["my.yaml"],
    }
    outputs = {"summary": "summary.md", "html": "summary.html"}
    summary.main(job(inputs, outputs, params, {}))
    lines = Path("summary.md").read_text().splitlines()
    assert len(lines) <= 33
    assert lines[2] == "Configuration: my.yaml"
    assert any("Real test images: 200 of digits." in line for line in lines)
    assert not any("nothing was learned" in line for line in lines)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert ["digits", "canny", "4", "12", "best_half 6", "12.3"] in cells
    assert ["digits", "one", *["1,200"] * 3] in cells and ["digits", "two", *["2"] * 3] in cells
    assert "- digits: classes with few training examples, or none: two 2." in lines
    assert [line for line in lines if "asks for 60 synthetic images" in line and "kept 7" in line]
    best = next(row for row in cells if row[2:3] == ["plus: best"])
    assert best[3] == "60 real + 60 synthetic" and best[5].startswith("+0.1")
    page = Rows()
    page.feed(Path("summary.html").read_text())
    assert best in page.rows


def test_summary_of_many_arms_stays_short_and_says_so(digit_set):
    pairs = [trained("real", 0, 0.1)]
    pairs += [trained(f"mix{n}", 0, 0.2 + n / 100, "c", "all", 60) for n in range(30)]
    arms = collect_arms(pairs)
    text = markdown_page("Summary", summary_parts([], {("d", "t"): arms}, ["real"]))
    assert len(text.splitlines()) <= 25
    assert "| real " in text and "mix29" in text and "mix3:" not in text
    assert "21 more" in text


@pytest.mark.parametrize(
    "values, words",
    [
        ([0.0, 0.0004], "Both arms score 0.000: nothing was learned. Train longer"),
        ([0.0, 0.02], None),
        ([0.1, 0.1], "Both arms score the same, 0.100: nothing can be learned"),
        ([1.0, 1.0], "Both arms score 1.000: there is nothing left to gain"),
        ([0.0], "The only arm scores 0.000: nothing was learned. Train longer"),
        ([0.1], None),
    ],
)
def test_summary_says_where_nothing_was_learned(tmp_path, values, words):
    pairs = [trained(f"mix{n}", 0, value) for n, value in enumerate(values)]
    groups = {("d", "t"): collect_arms(pairs)}
    text = markdown_page("Summary", summary_parts([], groups, []))
    assert (
        f"- With t on d, {words[0].lower()}{words[1:]}" in text if words else "learned" not in text
    )
    descriptors, contents = zip(*pairs, strict=True)
    paths = [tmp_path / f"{number}.yaml" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        write_yaml(path, content)
    outputs = {name: tmp_path / f"arms.{name}" for name in ("csv", "markdown", "figure")}
    outputs["figure"] = tmp_path / "arms.png"
    params = {"arms": list(descriptors), "baselines": ["mix0"]}
    names = {"dataset": "d", "trainer": "t"}
    report_arms.main(job({"metrics": paths}, outputs, params, names))
    page = outputs["markdown"].read_text()
    assert words in page if words else "learned" not in page


def test_summary_says_which_training_sets_got_too_few_images():
    arm = {"dataset": "parts", "generator": "canny", "selection": "strict", "mix": "plus"}
    assert shortage(arm, {"synthetic_asked": 23, "train_synthetic": 23}) == ""
    words = shortage(arm, {"synthetic_asked": 23, "train_synthetic": 0})
    assert "plus of parts asks for 23 synthetic images, and the selection strict kept 0" in words
    assert words in markdown_page("Summary", summary_parts([], {}, [], [words]))


def labels_file(split, classes, backgrounds=0, **reduced):
    reduced = {"polygons": 0, "keypoints": 0} | reduced
    counts = {"classes": classes, "backgrounds": backgrounds, "reduced": reduced}
    return {"dataset": "parts", "split": split, "pictures": 9} | counts


def test_summary_names_classes_that_are_missing_and_what_was_reduced_to_boxes():
    from cia.reporting.labels import label_parts

    table, points = label_parts(
        [
            labels_file("train", {"bolt": 40, "nut": 3, "pin": 0}, 7, polygons=12),
            labels_file("val", {"bolt": 4, "nut": 5, "pin": 6}),
            labels_file("test", {"bolt": 9, "nut": 0, "pin": 1}, keypoints=2),
        ]
    )
    assert table.headers == ["dataset", "class", "train", "val", "test"]
    assert table.rows == [
        ["parts", "bolt", "40", "4", "9"],
        ["parts", "nut", "3", "5", "0"],
        ["parts", "pin", "0", "6", "1"],
        ["parts", "(no object)", "7", "0", "0"],
    ]
    assert points == [
        "parts: classes with few training examples, or none: pin 0, nut 3.",
        "parts: in train, 12 polygons became boxes: masks and keypoints are not used yet.",
        "parts: test can't tell how well these are learned: nut 0.",
        "parts: in test, 2 boxes lost their keypoints: masks and keypoints are not used yet.",
    ]


def test_of_many_classes_the_summary_shows_the_rarest():
    from cia.reporting.labels import label_parts

    counts = {f"class {n}": 100 - n for n in range(90)}
    table, words = label_parts([labels_file(split, counts) for split in ("train", "val", "test")])
    assert [row[1] for row in table.rows] == [f"class {n}" for n in range(82, 90)]
    assert words.startswith("The 8 of 90 classes with the fewest training examples")


def test_classical_copies_are_counted_and_drawn_as_what_they_are(tmp_path):
    pairs = [trained("real", 0, 0.4), trained("classical", 0, 0.5)]
    real, classical = collect_arms(pairs)
    assert (real.images, classical.images) == ("60 real", "60 real + 60 classical")
    assert (real.group, classical.group) == ("real images only", "with classical copies")
    assert arm_table([real, classical], real)["train_classical"].tolist() == [0, 0, 60, 60]
    draw_arms(tmp_path / "arms.png", [real, classical], real, "title", {})
    assert (tmp_path / "arms.png").stat().st_size > 0


# home page


@pytest.mark.parametrize(
    "categories", [["Images", "Selection", "Metrics", "Training"], ["Did it help?"]]
)
def test_the_home_page_speaks_of_what_the_report_holds(categories):
    """Rendered as Snakemake renders it."""
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(
        (ROOT / "resources/report/workflow.rst").read_text()
    )
    experiment = {"dataset": "digits", "mixes": ["real"], "selections": [], "trainers": ["resnet"]}
    experiments = [] if "Did it help?" in categories else [experiment]
    text = template.render(
        categories={Category(name): {} for name in categories},
        snakemake=SimpleNamespace(config={"experiments": experiments}),
    )
    page = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})
    assert re.findall(r"<em>(.*?)</em>", page["html_body"]) == categories
    assert ("Dataset" in page["html_body"]) == bool(experiments)
