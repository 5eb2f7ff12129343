"""Gathering the shards to one image set."""

import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from cia.errors import UserError
from cia.generation.gathering import join_shards
from cia.tables import read_table, write_table

ROOT = Path(__file__).resolve().parents[2]
IDS = ["a b_v000", "a b_v001", "ü.x_v000", "007_v000"]


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A set of four images in two shards, on disk."""
    monkeypatch.chdir(tmp_path)
    images = tmp_path / "set" / "images"
    images.mkdir(parents=True)
    for id_ in IDS:
        (images / f"{id_}.png").write_bytes(b"picture of " + id_.encode())
    shards = [tmp_path / "0.csv", tmp_path / "1.csv"]
    write_table(shards[0], rows(IDS[2:], images), "shard")
    write_table(shards[1], rows(IDS[:2], images), "shard")
    write_table(tmp_path / "plan.csv", plan_of(IDS), "plan")
    return SimpleNamespace(
        input=SimpleNamespace(plan=tmp_path / "plan.csv", shards=shards),
        output=SimpleNamespace(manifest=tmp_path / "manifest.csv"),
        params=SimpleNamespace(folder=str(tmp_path / "set")),
    )


def rows(ids, folder):
    return [
        {"id": i, "image": f"{folder}/{i}.png", "width": 64, "height": 32, "sha256": f"of {i}"}
        for i in ids
    ]


def plan_of(ids):
    return pd.DataFrame({"id": ids, "prompt": [f"prompt of {i}" for i in ids]}).assign(
        source="s", variant=0, seed=1, negative_prompt="", width=64, height=32
    )


def gather(job):
    runpy.run_path(str(ROOT / "scripts" / "gather.py"))["main"](job)
    return read_table(job.output.manifest, "manifest")


def test_manifest_and_captions_pair_each_image_with_its_own_prompt(job):
    manifest = gather(job)
    assert manifest["id"].tolist() == sorted(IDS)
    for row in manifest.itertuples():
        assert (row.caption, row.sha256) == (f"prompt of {row.id}", f"of {row.id}")
        assert Path(row.image).read_bytes() == b"picture of " + row.id.encode()
        caption = Path(job.params.folder) / "captions" / f"{row.id}.txt"
        assert caption.read_text(encoding="utf-8") == f"prompt of {row.id}\n"


def test_what_the_plan_does_not_name_goes_and_nothing_else(job):
    folder = Path(job.params.folder)
    gather(job)
    old = ["images/old_v000.png", "images/.tmp-x1.png", "captions/old_v000.txt"]
    others = ["images/notes.md", "labels/old_v000.txt", "metadata.yaml"]
    (folder / "labels").mkdir()
    for name in old + others:
        (folder / name).write_text("")
    gather(job)
    assert not [name for name in old if (folder / name).exists()]
    assert all((folder / name).exists() for name in others)
    assert len(list((folder / "images").glob("*.png"))) == len(IDS)


def test_a_caption_that_stands_is_not_written_again(job):
    gather(job)
    captions = Path(job.params.folder) / "captions"
    (captions / f"{IDS[0]}.txt").write_text("edited")
    for path in captions.iterdir():
        os.utime(path, ns=(0, 0))
    gather(job)
    changed = [path.name for path in captions.iterdir() if path.stat().st_mtime_ns]
    assert changed == [f"{IDS[0]}.txt"]


def test_a_planned_image_without_a_shard_is_an_error():
    with pytest.raises(UserError, match=r"1 planned images are in no shard \(007_v000\)"):
        join_shards(plan_of(IDS), [pd.DataFrame(rows(IDS[:3], "x"))])


def test_an_image_that_is_not_planned_is_an_error():
    with pytest.raises(UserError, match=r"not planned \(007_v000\)"):
        join_shards(plan_of(IDS[:3]), [pd.DataFrame(rows(IDS, "x"))])


def test_an_image_in_two_shards_is_an_error():
    shard = pd.DataFrame(rows(IDS, "x"))
    with pytest.raises(UserError, match="in two shards"):
        join_shards(plan_of(IDS), [shard, shard[:1]])


def test_a_lost_image_is_an_error_and_nothing_is_written(job):
    (Path(job.params.folder) / "images" / f"{IDS[1]}.png").unlink()
    with pytest.raises(UserError, match=r"1 images are gone \(a b_v001\)"):
        gather(job)
    assert not job.output.manifest.exists()


def test_an_empty_shard_is_fine(job):
    empty = job.input.shards[0].with_name("2.csv")
    write_table(empty, [], "shard")
    job.input.shards.append(empty)
    assert gather(job)["width"].tolist() == [64] * 4
