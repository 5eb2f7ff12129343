"""The embedded models: small, loadable as any model, and able to do what their cards say."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from cia.digits import CLASSES, INKS, PAPERS, draw_scene, pool, scene_rng
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import distill_tiny_sd  # noqa: E402
import train_tiny_sd  # noqa: E402
from check_model import (  # noqa: E402
    FEW_STEPS,
    GUIDED,
    add_lora,
    edge_f1,
    ink_colors,
    judge,
    nearest_name,
    paint_scenes,
)
from train_tiny_features import accuracy, draw_pictures, normalize  # noqa: E402
from train_tiny_sd import UNSEEN, UNSEEN_REACH, draw_color, draw_edges  # noqa: E402

SD = ROOT / "resources" / "tiny-sd"
FEATURES = ROOT / "resources" / "tiny-features"


def load_sd(folder=SD):
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    control = ControlNetModel.from_pretrained(folder, subfolder="controlnet")
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(folder, controlnet=control)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def pipeline():
    return load_sd()


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(scene_rng("tiny", number), pool("test")) for number in range(12)]


@pytest.fixture(scope="module")
def painted(pipeline, scenes):
    return paint_scenes(pipeline, scenes, GUIDED, size=len(scenes))[0]


@pytest.fixture(scope="module")
def network():
    """The feature network, built from nothing but its folder."""
    import timm
    from safetensors.torch import load_file

    config = json.loads((FEATURES / "config.json").read_text())
    network = timm.create_model(
        config["architecture"], num_classes=config["num_classes"], **config["kwargs"]
    )
    network.load_state_dict(load_file(FEATURES / "model.safetensors"))
    assert config["class_names"] == list(CLASSES)
    assert config["num_features"] == network.num_features
    return network.eval()


@pytest.mark.parametrize(("folder", "megabytes"), [(SD, 20), (FEATURES, 5)])
def test_models_are_small_and_hold_no_pickles(folder, megabytes):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= megabytes * 1e6
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".md", ".txt"}
    assert (folder / "README.md").exists()


def test_model_files_name_no_folder_of_the_machine_that_made_them():
    for path in [*SD.rglob("*.json"), *FEATURES.rglob("*.json")]:
        assert "_name_or_path" not in path.read_text()


def test_each_word_of_a_caption_is_one_token(pipeline):
    for word in [*CLASSES, *INKS, *PAPERS, "a", "an", "and", "on", "paper", ","]:
        assert len(pipeline.tokenizer(word)["input_ids"]) == 3


@pytest.mark.parametrize("text", ["", "photo, best quality!", "Ünïcode 漢字 🙂", "seven " * 500])
def test_any_text_is_encoded(pipeline, text):
    ids = pipeline.tokenizer(text, truncation=True)["input_ids"]
    assert 2 <= len(ids) <= pipeline.text_encoder.config.max_position_embeddings
    assert pipeline.tokenizer.eos_token_id == ids[-1]


def test_loads_in_single_precision(pipeline):
    for name in ("vae", "unet", "controlnet", "text_encoder"):
        assert {weights.dtype for weights in getattr(pipeline, name).parameters()} == {
            torch.float32
        }


def test_paints_captions_and_edges_of_unseen_handwriting(scenes, painted):
    reader = _PerfectReader(scenes)
    marks = judge(reader, scenes, painted)
    assert marks["paper"] >= 0.9
    assert marks["ink"] >= 0.9
    assert marks["edges"] >= 0.95


@pytest.mark.parametrize(
    "scheduler", ["DDIMScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler"]
)
def test_other_schedulers_paint_as_well(pipeline, scenes, scheduler):
    import diffusers

    other = getattr(diffusers, scheduler).from_config(pipeline.scheduler.config)
    swapped = type(pipeline)(**{**pipeline.components, "scheduler": other})
    swapped.set_progress_bar_config(disable=True)
    images = paint_scenes(swapped, scenes[:4], GUIDED, size=4)[0]
    marks = judge(_PerfectReader(scenes), scenes[:4], images)
    assert marks["paper"] == 1
    assert marks["ink"] >= 0.8
    assert marks["edges"] >= 0.9


class _PerfectReader:
    """Stands where the digits themselves are not judged: the reader takes minutes to train."""

    def __init__(self, scenes):
        self.answers = iter([np.array(scene.digits) for scene in scenes])

    def predict(self, crops):
        return next(self.answers)


@pytest.mark.parametrize("ink", ["red", "blue"])
def test_the_prompt_colors_the_ink(pipeline, ink):
    from PIL import Image

    scene = draw_scene(scene_rng("ink"), pool("test"), most=1)
    edges = Image.fromarray(draw_edges(scene.image)).convert("RGB")
    image = pipeline(
        f"a {ink} {CLASSES[scene.digits[0]]} on white paper",
        image=edges,
        num_inference_steps=10,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(0),
    ).images[0]
    [color] = ink_colors(np.asarray(image), scene.boxes)
    assert nearest_name(color, INKS) == ink


def test_a_saved_copy_paints_the_same(pipeline, scenes, painted, tmp_path):
    pipeline.save_pretrained(tmp_path)
    again = paint_scenes(load_sd(tmp_path), scenes, GUIDED, size=len(scenes))[0]
    for one, other in zip(painted, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_features_see_what_is_in_unseen_handwriting(network):
    assert accuracy(network, draw_pictures("test", 100, most=1)) >= 0.9
    assert accuracy(network, draw_pictures("test", 100, most=3)) >= 0.8


def test_features_tell_papers_apart(network):
    """Pictures of one paper are nearer to each other than to those of the others."""
    scenes = [draw_scene(scene_rng("paper", number), pool("test")) for number in range(60)]
    with torch.inference_mode():
        features = network.forward_head(
            network.forward_features(normalize(np.stack([scene.image for scene in scenes]))),
            pre_logits=True,
        ).numpy()
    assert features.shape == (60, network.num_features)
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    papers = np.array([scene.paper for scene in scenes])
    same = papers[:, None] == papers[None]
    others = ~np.eye(60, dtype=bool)
    assert distances[same & others].mean() < distances[~same].mean()


def test_edge_f1_forgives_two_pixels_and_no_more():
    line = np.zeros((20, 20), np.uint8)
    line[:, 5] = 255
    assert edge_f1(np.roll(line, 2, 1), line) == 1
    assert edge_f1(np.roll(line, 3, 1), line) == 0
    assert edge_f1(line + np.roll(line, 10, 1), line) == pytest.approx(2 / 3)
    assert edge_f1(np.zeros_like(line), line) == 0


def test_the_judge_finds_no_fault_in_the_scenes_themselves(scenes):
    marks = judge(_PerfectReader(scenes), scenes, [scene.image for scene in scenes])
    assert marks == {"digits": 1, "paper": 1, "ink": 1, "edges": 1}


def run_here(tool, command, monkeypatch) -> None:
    """Run a tool by its command line without a new process, which would import all anew."""
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in command[1:]])
    tool.main()


@pytest.mark.slow
def test_training_ends_with_a_pipeline_and_goes_on_where_it_was(tmp_path, monkeypatch):
    command = [
        *(sys.executable, ROOT / "tools" / "train_tiny_sd.py", "--threads", "1"),
        *(
            "--scenes",
            "8",
            "--vae-steps",
            "2",
            "--decoder-steps",
            "2",
            "--steps",
            "2",
            "--batch",
            "2",
        ),
        *("--work", tmp_path / "work", "--output", tmp_path / "model"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    weights = tmp_path / "model/unet/diffusion_pytorch_model.safetensors"
    first = weights.read_bytes()
    weights.unlink()
    run_here(train_tiny_sd, command, monkeypatch)
    assert weights.read_bytes() == first
    assert load_sd(tmp_path / "model").vae.config.scaling_factor > 0


@pytest.mark.slow
def test_distillation_ends_with_a_lora_of_few_steps_and_goes_on_where_it_was(
    tmp_path, scenes, monkeypatch
):
    command = [
        *(sys.executable, ROOT / "tools" / "distill_tiny_sd.py", "--threads", "1"),
        *("--scenes", "8", "--steps", "2", "--batch", "2"),
        *("--work", tmp_path / "work", "--output", tmp_path / "lora"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    weights = tmp_path / "lora" / "pytorch_lora_weights.safetensors"
    first = weights.read_bytes()
    assert len(first) <= 2e6
    weights.unlink()
    run_here(distill_tiny_sd, command, monkeypatch)
    assert weights.read_bytes() == first
    pipeline = load_sd()
    before = pipeline.unet.conv_in.weight.clone(), pipeline.unet.mid_block.resnets[0].conv1.weight
    changed = before[1].clone()
    add_lora(pipeline, tmp_path / "lora")
    assert torch.equal(before[0], pipeline.unet.conv_in.weight)  # no layer of the LoRA
    assert not torch.equal(changed, pipeline.unet.mid_block.resnets[0].conv1.weight)
    images, _ = paint_scenes(pipeline, scenes[:1], FEW_STEPS, size=1)
    assert images[0].shape == (64, 64, 3)


def test_no_color_of_training_is_near_those_that_it_must_not_see():
    rng = np.random.default_rng(0)
    papers, _ = zip(*UNSEEN.values(), strict=True)
    colors = np.array([draw_color(rng, papers) for _ in range(5000)])
    distances = np.linalg.norm(colors[:, None] - np.array(papers), axis=2).min(1)
    assert distances.min() > UNSEEN_REACH and distances.min() < UNSEEN_REACH + 5
