"""What a job says of a setting names the entry of the configuration that has it."""

import runpy
from types import SimpleNamespace

import pandas as pd
import pytest
from snakemake.iocontainers import InputFiles

from cia.errors import UserError
from cia.tables import COLUMNS
from conftest import ROOT


@pytest.fixture
def tables(tmp_path):
    """Tables with one picture `a`, by kind."""
    values = {"id": "a", "image": "a.png", "width": 64, "height": 64, "label": 0, "found": 1}
    for kind in ("manifest", "labels", "conditions"):
        row = {column: values.get(column, "") for column in COLUMNS[kind]}
        pd.DataFrame([row]).to_csv(tmp_path / f"{kind}.csv", index=False)
    (tmp_path / "scores.csv").write_text("id,image,realism\na,a.png,1.0\n")
    return {path.stem: str(path) for path in tmp_path.glob("*.csv")}


PLAN = {"prompts": {"kind": "captions"}, "classes": None, "variants": 1, "seed": 0}
BAND = {"method": "top_k", "value": 1, "features": "tiny", "score": "fidelity", "order": "auto"}
CANNY = {"extractor": "canny", "size": [64, 64], "lo": 3}
DRAW = {"dataset": "mine", "real": 9, "draw": 0}


@pytest.mark.parametrize(
    "script, inputs, params, wildcards, entry",
    [
        ("plan", ["manifest", "conditions"], PLAN, {}, "prompts.mine: 1 of 1 images have no"),
        (
            "filter",
            ["manifest", "scores_tiny"],
            {"settings": BAND, "features": ["tiny"], "seed": 0},
            {"selection": "best"},
            "selections.best: there is no score 'fidelity'",
        ),
        (
            "features",
            ["manifest"],
            {"settings": {"model": "net"}},
            {"features": "vit"},
            "features.vit: model 'net'",
        ),
        (
            "condition",
            ["manifest"],
            {"settings": CANNY, "folder": "maps"},
            {"condition": "edges"},
            "conditions.edges: extractor canny: unknown setting 'lo'; did you mean 'low'?",
        ),
        (
            "subset",
            ["manifest", "labels"],
            {"settings": DRAW, "task": "classification"},
            {"dataset": "my.realm.real9.seed0"},
            "studies.my.realm: 9 real training images",
        ),
    ],
)
def test_the_entry_is_named(tables, script, inputs, params, wildcards, entry):
    paths = {name: tables[name.partition("_")[0]] for name in inputs}
    job = SimpleNamespace(
        input=InputFiles(fromdict=paths),
        params=SimpleNamespace(**params),
        wildcards=SimpleNamespace(**wildcards),
        resources=SimpleNamespace(prompts="prompts.mine", batch_size=1, task="detection"),
        threads=1,
    )
    with pytest.raises(UserError) as error:
        runpy.run_path(str(ROOT / "scripts" / f"{script}.py"))["main"](job)
    assert str(error.value).startswith(entry)
