"""Random models have the size of the published ones, and in miniature their classes."""

import subprocess
import sys

import pytest

from conftest import ROOT

torch = pytest.importorskip("torch")

sys.path.insert(0, str(ROOT / "tools"))
import random_model  # noqa: E402

PARTS = [
    (family, name)
    for family in random_model.FAMILIES
    for name in random_model.read_family(family)["parts"]
]
TEXT = "A photograph of two cafés, 20 m wide; 漢字 🙂 <b>"


def part_of(family, name):
    return random_model.read_family(family)["parts"][name]


@pytest.mark.parametrize(("family", "name"), [key for key in PARTS if "published" in part_of(*key)])
def test_a_network_has_the_published_size(family, name):
    part = part_of(family, name)
    values = random_model.count_values(part)
    published = part["published"]
    if "gigabytes" in published:  # of the file, two bytes for a number
        assert 2 * values / 1e9 == pytest.approx(published["gigabytes"], rel=3e-3)
    else:
        assert values / 1e6 == pytest.approx(published["million_parameters"], abs=0.015)


@pytest.mark.parametrize(
    ("family", "name"), [key for key in PARTS if part_of(*key)["class"].endswith("Tokenizer")]
)
def test_a_tokenizer_has_the_published_size_and_takes_any_text(family, name):
    part = part_of(family, name)
    tokenizer = random_model.make_tokenizer(part, part["tokens"])
    assert len(tokenizer) == part["tokens"]
    assert tokenizer.model_max_length == part["config"]["model_max_length"]
    ids = tokenizer(TEXT).input_ids
    other = tokenizer(TEXT.replace("two", "six")).input_ids
    assert ids != other and ids[-1] == tokenizer.eos_token_id
    assert max(ids) < {"CLIPTokenizer": 49408, "T5Tokenizer": 32128}[part["class"]]
    long = tokenizer(TEXT * 99, truncation=True, padding="max_length").input_ids
    assert len(long) == part["config"]["model_max_length"]


def test_a_controlnet_lets_its_map_through(tmp_path):
    from safetensors.torch import load_file

    folder = random_model.save_random_model("sd15", tmp_path / "model", small=True)
    weights = load_file(folder / "controlnet" / "diffusion_pytorch_model.safetensors")
    assert all(value.any() for name, value in weights.items() if value.dim() > 1)
    assert {value.dtype for value in weights.values()} == {torch.float16}


def test_a_seed_decides_the_weights(tmp_path):
    files = [
        random_model.save_random_model("flux", tmp_path / str(number), small=True, seed=seed)
        / "transformer/diffusion_pytorch_model.safetensors"
        for number, seed in enumerate((0, 0, 1))
    ]
    first, again, other = (file.read_bytes() for file in files)
    assert first == again != other


def test_a_folder_with_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    command = [sys.executable, "tools/random_model.py", "sd15", str(tmp_path), "--small"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode and "is not empty" in done.stderr
