"""metadata.yaml can be read by the peer's own filter, which then keeps the same images."""

import ast
import importlib.util
import logging
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cia.files import read_yaml
from cia.filtering import select
from cia.metadata import gather_metadata, write_metadata

NAME = {"dataset": "birds", "generator": "canny"}


def peer_package() -> Path:
    return Path(importlib.util.find_spec("ciagen").origin).parent


@pytest.fixture
def peer_filter(monkeypatch):
    """ciagen 1.0.1's own `filter_generated`, from its own file.

    Importing the package whole fails with current transformers. Its filter needs of it the names
    of the feature extractors, and a logger.
    """
    extractors = types.ModuleType("ciagen.feature_extractors")
    extractors.available_feature_extractors = lambda: {"vit": None, "inception": None}
    io = types.ModuleType("ciagen.utils.io")
    io.logger = logging.getLogger("ciagen")
    for module in (extractors, io):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    spec = importlib.util.spec_from_file_location(
        "peer_filter", peer_package() / "api" / "filter.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.filter_generated


@pytest.fixture
def scores():
    """Scores with ties, in an order that is not that of the ids."""
    rng = np.random.default_rng(0)
    ids = [f"{number:03d}" for number in rng.permutation(57)]
    values = rng.integers(1, 30, len(ids)) / 4
    return pd.DataFrame(
        {"id": ids, "image": [f"images/{id_}.png" for id_ in ids], "mahalanobis": values}
    )


def metadata(scores: pd.DataFrame, selections: dict) -> dict:
    plan = pd.DataFrame({"id": scores["id"], "source": scores["id"].str[:1]})
    metrics = {"vit": {"metrics": {"frechet_distance": {"value": 1.5}}}}
    return gather_metadata(NAME, {"steps": 20}, plan, metrics, {"vit": scores}, selections, {})


@pytest.mark.parametrize(
    "method, theirs, value",
    [("top_k", "top-k", 20), ("top_p", "top-p", 0.33), ("threshold", "threshold", 4.0)],
)
def test_the_peer_s_filter_keeps_the_same_images(
    peer_filter, scores, tmp_path, method, theirs, value
):
    settings = {"method": method, "value": value, "score": "mahalanobis", "order": "auto"}
    settings["features"] = "vit"
    ours = select(scores, settings, 0, {"vit": scores})
    write_metadata(tmp_path / "metadata.yaml", metadata(scores, {"best": (settings, ours)}))
    kept = peer_filter(tmp_path, method=theirs, value=value, feature_extractor="vit")
    assert set(kept["mahalanobis"]["vit"]) == set(ours["image"])
    assert 0 < len(ours) < len(scores)


def test_the_peer_s_share_may_keep_one_image_less_and_its_count_keeps_the_same(
    peer_filter, scores, tmp_path
):
    """It cuts the float product: 0.58 of 50 is 29, and 28.999999999999996 as a product."""
    scores = scores.head(50)
    settings = {"method": "top_p", "value": 0.58, "score": "mahalanobis", "features": "vit"}
    ours = select(scores, settings, 0, {"vit": scores})
    write_metadata(tmp_path / "metadata.yaml", metadata(scores, {"best": (settings, ours)}))
    theirs = peer_filter(tmp_path, method="top-p", value=0.58)["mahalanobis"]["vit"]
    assert set(theirs) == set(ours["image"].head(28)) and len(ours) == 29
    count = read_yaml(tmp_path / "metadata.yaml")["results"]["filtering"]["best"]["kept"]
    same = peer_filter(tmp_path, method="top-k", value=count)["mahalanobis"]["vit"]
    assert set(same) == set(ours["image"])


def test_the_peer_knows_two_feature_models(peer_filter, scores, tmp_path):
    """So says our docs; its registry is read from its own file, and its filter goes by it."""
    text = (peer_package() / "feature_extractors" / "__init__.py").read_text()
    registry = next(
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name == "available_feature_extractors"
    )
    names = {node.value for node in ast.walk(registry) if isinstance(node, ast.Constant)}
    assert names == {"vit", "inception"}
    write_metadata(tmp_path / "metadata.yaml", metadata(scores, {}))
    with pytest.raises(ValueError, match="feature_extractor 'dinov2'"):
        peer_filter(tmp_path, feature_extractor="dinov2")


def test_it_says_how_the_set_was_made_measured_and_filtered(scores):
    settings = {"method": "top_k", "value": 3, "score": "mahalanobis", "order": "auto"}
    settings["features"] = "vit"
    kept = select(scores, settings, 0, {"vit": scores})
    content = metadata(scores, {"best": (settings, kept)})
    assert content["generation"]["steps"] == 20 and content["generation"]["images"] == 57
    assert content["results"]["metrics"]["dtd"]["vit"]["frechet_distance"]["value"] == 1.5
    filtering = content["results"]["filtering"]["best"]
    assert filtering["kept"] == 3 and filtering["files"].tolist() == kept["image"].tolist()
    assert filtering["cut"] == kept["score"].max()


def test_what_is_written_line_by_line_is_read_as_it_was(tmp_path):
    names = [
        "plain",
        "a: b",
        "on",
        "1",
        "- x",
        "été 😀",
        'q"\\',
        "tab\t\x7f\u2028",
        "x" * 300,
        "#c",
        "",
    ]
    values = [1.0, 1e-7, -1e300, 0.1, float("inf"), 3.0, 1e16, 2.5, 0.0, -0.0, 5e-324]
    scores = pd.Series(values, names)
    data = {
        "plain": {"text": "two\nlines", "none": None, "list": [1, 2], "empty": {}},
        "on": {"scores": scores, "names": pd.Series(names), "deep": {"one": {"more": True}}},
        "none kept": {"files": pd.Series([], dtype=object), "scores": pd.Series([], dtype=float)},
    }
    write_metadata(tmp_path / "metadata.yaml", data)
    assert read_yaml(tmp_path / "metadata.yaml") == {
        "plain": data["plain"],
        "on": {**data["on"], "scores": dict(zip(names, values, strict=True)), "names": names},
        "none kept": {"files": [], "scores": {}},
    }
