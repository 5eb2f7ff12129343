"""How many images are drawn at once."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from cia.generation import batches  # noqa: E402

GB = 10**9


def network(parameters):
    return SimpleNamespace(parameters=lambda: [torch.empty(parameters, device="meta")])


def pipeline(**denoiser):
    return SimpleNamespace(vae_scale_factor=8, **denoiser)


@pytest.mark.parametrize(
    ("parameters", "side", "wanted"),
    [
        (4_200_000, 64, 4),  # the demo's
        (859_500_000, 512, 1),  # Stable Diffusion 1.5
        (859_500_000, 64, 4),
        (2_567_000_000, 1024, 1),  # SDXL
    ],
)
def test_on_a_cpu_model_and_size_decide(parameters, side, wanted):
    assert batches.cpu_batch(pipeline(unet=network(parameters)), side, side) == wanted
    transformer = pipeline(unet=None, transformer=network(parameters))
    assert batches.cpu_batch(transformer, side, side) == wanted


@pytest.mark.parametrize(
    ("free", "each", "images", "wanted"),
    [
        (24 * GB, 2 * GB, 1000, 8),  # 10.8 fit into nine tenths
        (16 * GB, 2 * GB, 1000, 4),  # 8 would fill the memory to the last byte
        (24 * GB, GB // 10, 1000, 32),
        (24 * GB, GB // 10, 3, 2),  # 4 would be filled up with a copy
        (24 * GB, GB // 10, 16, 16),
        (24 * GB, GB // 10, 1, 1),
        (GB, 2 * GB, 1000, 1),
    ],
)
def test_on_a_gpu_what_fits_decides(free, each, images, wanted):
    assert batches.fitting_batch(free, each, images) == wanted
