"""A few-step LoRA in the whole workflow: what it makes, what its change reruns, and what not."""

import re
import shutil

import pytest
import yaml

from cia.images import read_png_text
from project import ROOT

torch = pytest.importorskip("torch")

TARGET = "results/generated/digits/tiny_canny/manifest.csv"
AGAIN = {"check_models", "generate", "gather"}


def save_lora(folder, seed):
    """Save a small random LoRA for the model that comes with the workflow."""
    from diffusers import StableDiffusionControlNetPipeline, UNet2DConditionModel
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(ROOT / "resources/tiny-sd/unet")
    unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_k", "to_v"]))
    weights = get_peft_model_state_dict(unet)
    for tensor in weights.values():
        tensor.normal_(std=0.05)
    StableDiffusionControlNetPipeline.save_lora_weights(folder, unet_lora_layers=weights)


def made(project) -> int:
    """How many images the shards' logs say were made."""
    logs = (project.folder / "logs/generate/digits/tiny_canny").glob("*.log")
    counts = [re.findall(r"(\d+) images made", path.read_text()) for path in logs]
    return sum(int(count) for found in counts for count in found)


def test_a_lora_makes_its_images_and_only_its_change_makes_them_anew(without_images):
    project = without_images
    project.config["shards"] = 1
    generator = project.config["generators"]["tiny_canny"]
    for key in ("scheduler", "steps", "guidance_scale"):
        del generator[key]
    lora = {"model": "my-lora"}
    generator |= {"few_steps": "lcm", "lora": [lora], "variants": 1}
    folder = project.folder / "my-lora"
    assert "generators.tiny_canny.lora.0: " in project.snakemake("-n", TARGET, fails=True)

    save_lora(folder, seed=0)
    project.config["prompts"]["recolored"]["negative"] = "gray"
    assert "has no effect at guidance_scale 1" in project.run(TARGET)
    assert made(project) == 8
    image = next((project.folder / "data/generated/digits/tiny_canny/images").glob("*.png"))
    text = read_png_text(image)["parameters"]
    assert "Steps: 4, Sampler: LCM, CFG scale: 1," in text and "<lora:my-lora:1>" in text
    results = project.folder / "results"
    record = yaml.safe_load((results / "digits/tiny_canny/shards/0.yaml").read_text())
    (said,) = record["loras"]
    assert (said["name"], said["weight"]) == ("my-lora", 1.0) and "peft" in record["versions"]
    checked = yaml.safe_load((results / "models/tiny_canny.yaml").read_text())
    assert checked["lora"] == [{"name": "my-lora", "commit": None}]

    lora["weight"] = 0.5
    assert set(project.planned(TARGET)) == AGAIN
    del lora["weight"]
    (folder / "pytorch_lora_weights.safetensors").touch()
    assert project.planned(TARGET) == {}, "the file is the same"
    shutil.copytree(folder, project.folder / "elsewhere")
    lora["model"] = "elsewhere"
    project.run(TARGET)
    assert made(project) == 0, "the same LoRA from another folder makes the same images"
    save_lora(project.folder / "elsewhere", seed=1)
    assert set(project.planned(TARGET)) == AGAIN  # tests/unit/test_loras.py makes them
