"""Generation where there is a GPU: how many images at a time, and what happens without memory."""

import gc
import logging

import numpy as np
import pytest
from PIL import Image

from cia.images import load_image
from conftest import ROOT
from drawing_inputs import generator_settings, save_plan

torch = pytest.importorskip("torch")

from cia.generation import drawing  # noqa: E402

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA"),
]

SIDE = 512
COUNT = 12


@pytest.fixture(scope="module")
def settings():
    return generator_settings(ROOT / "resources" / "tiny-sd", dtype="float32")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return save_plan(tmp_path_factory.mktemp("maps"), COUNT, SIDE)


@pytest.fixture
def all_memory():
    """Give back what a test took away."""
    yield
    gc.collect()
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def generate(plan, settings, folder, batch_size, compiled=False):
    return drawing.generate_shard(
        plan, 0, 1, settings, folder, batch_size, "generators.x", compiled=compiled
    )


def pixels(table):
    return np.stack([load_image(path) for path in table["image"]]).astype(int)


def noted_batch(table):
    """Return the batch size that the first image's text names."""
    text = Image.open(table["image"].iloc[0]).text["parameters"]
    return int(text.split("Batch size: ")[1].split(",")[0])


def test_auto_takes_as_many_as_fit_and_each_image_says_so(plan, settings, tmp_path, caplog):
    caplog.set_level(logging.INFO, "cia")
    table = generate(plan, settings, tmp_path, "auto")
    chosen = noted_batch(table)
    assert chosen == 8 and f"512x512: {chosen} images at a time" in caplog.text
    same = generate(plan, settings, tmp_path / "same", chosen)
    assert same["sha256"].tolist() == table["sha256"].tolist()


def test_another_batch_size_moves_values_by_little(plan, settings, tmp_path):
    reference = pixels(generate(plan, settings, tmp_path / "1", 1))
    for batch_size in (3, 8):
        other = pixels(generate(plan, settings, tmp_path / str(batch_size), batch_size))
        assert np.abs(other - reference).mean() < 0.5


def short_of_memory(plan, settings, tmp_path, images):
    """Leave memory for about so many images at a time, beside the model's own."""
    gc.collect()  # pipelines of tests before
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    generate(plan[:1], settings, tmp_path / "one", 1)
    one = torch.cuda.max_memory_allocated() - before
    generate(plan[:2], settings, tmp_path / "two", 2)
    each = torch.cuda.max_memory_allocated() - before - one
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((before + one + (images - 1) * each) / whole)


def test_too_large_a_batch_is_halved_when_memory_runs_out(
    plan, settings, tmp_path, caplog, all_memory
):
    reference = pixels(generate(plan, settings, tmp_path / "reference", 1))
    short_of_memory(plan, settings, tmp_path, 5)
    table = generate(plan, settings, tmp_path / "images", 8)
    assert "Out of memory with 8 images at a time" in caplog.text
    assert noted_batch(table) < 8
    assert np.abs(pixels(table) - reference).mean() < 0.5


def test_compiled_networks_draw_the_same_pictures(plan, settings, tmp_path):
    eager = pixels(generate(plan, settings, tmp_path / "eager", 4))
    compiled = pixels(generate(plan, settings, tmp_path / "compiled", 4, compiled=True))
    assert np.abs(compiled - eager).mean() < 1
