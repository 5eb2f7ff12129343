"""Models that no library knows, and local ones that are not there, are said by a dry run."""

import json
import subprocess
import sys

import pytest
import yaml

from cia.config.checks import checked, ready
from cia.config.model_names import _detector, detectors, model_task
from cia.errors import UserError
from conftest import ROOT

SD, CONTROLNET = "stable-diffusion-v1-5/stable-diffusion-v1-5", "lllyasviel/control_v11p_sd15_canny"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The demo's configuration, in a folder that has its models and nothing else."""
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    monkeypatch.chdir(tmp_path)
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


def use_everything(config):
    """A detection experiment with a model of each kind, from the hub where there is one."""
    generator = config["generators"]["tiny_canny"]
    generator.update(model=SD, controlnet=CONTROLNET, controlnet_subfolder=None, condition="other")
    config["conditions"]["other"] = {"extractor": "yolo_segmentation", "size": [64, 64]}
    config["judges"]["agreement"] = {"kind": "text_agreement", "model": "openai/clip-vit-base"}
    config["features"] |= {"vit": {"model": "vit"}, "timm": {"model": "timm:resnet18.a1_in1k"}}
    config["experiments"][0]["judges"].append("agreement")
    config["experiments"][0]["features"] += ["vit", "timm"]
    return config


def test_the_lists_are_what_the_installed_libraries_know():
    command = [sys.executable, ROOT / "tools/list_names.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_ultralytics_finds_every_detector_of_the_list():
    from cia.quiet_ultralytics import import_ultralytics

    import_ultralytics()
    from ultralytics.nn.tasks import guess_model_task, yaml_model_load

    heads = {"Detect", "v10Detect", "Segment", "Segment26", "Pose", "Pose26"}
    tasks = {"detect": "detection", "segment": "segmentation", "pose": "pose"}
    for name in sorted(detectors()):
        description = yaml_model_load(name)
        assert description["yaml_file"] == name
        found_by = description["head"][-1][2]
        trained = found_by in heads and "world" not in name
        assert (_detector(name) is None) == trained
        if trained:
            assert model_task(name) == tasks[guess_model_task(description)]


def test_what_hub_and_libraries_have_is_accepted(config):
    use_everything(config)
    for model in ("yolov8n.yaml", "yolo11m.yaml", "yolov10n.yaml", "yolov8n-p2.yaml"):
        config["trainers"]["yolov8n"]["model"] = model
        ready(config)
    for model in ("resnet18", "resnet18.a1_in1k", "tf_efficientnet_b2_ap", "hf-hub:me/mine"):
        config["trainers"]["resnet"] |= {"model": model, "pretrained": True}
        ready(config)


@pytest.mark.parametrize(
    "table, name, change, words",
    [
        ("generators", "tiny_canny", {"model": "./nowhere"}, ["model: there is no folder"]),
        ("generators", "tiny_canny", {"model": "models/sd/1.5"}, ["there is no folder"]),
        ("generators", "tiny_canny", {"model": "sd15"}, ["a hub id (owner/name)"]),
        ("generators", "tiny_canny", {"model": "~/sd"}, ["'~' stands for nothing here"]),
        ("generators", "tiny_canny", {"model": "resources"}, ["resources/model_index.json does"]),
        ("generators", "tiny_canny", {"controlnet": "/no/where"}, ["controlnet: there is no"]),
        ("generators", "tiny_canny", {"model": "sd.safetensors"}, ["there is no file"]),
        ("generators", "tiny_canny", {"model": "model.ckpt"}, ["there is no file"]),
        ("conditions", "other", {"model": "yolo11n-sgm.pt"}, ["'yolo11n-seg.pt'"]),
        ("conditions", "other", {"model": "yolo11n.pt"}, ["finds no masks", "'yolo11n-seg.pt'"]),
        ("conditions", "other", {"model": "./x", "filename": "a.pt"}, ["there is no folder './x'"]),
        ("judges", "agreement", {"model": "clip"}, ["judges.agreement.model", "owner/name"]),
        ("features", "vit", {"weights": "../vit"}, ["features.vit.weights: there is no folder"]),
        ("features", "timm", {"weights": "r.pt"}, ["features.timm.weights: there is no file"]),
        ("features", "tiny", {"weights": "gone"}, ["there is no file 'gone/config.json'"]),
        ("trainers", "yolov8n", {"model": "yolo8n.yaml"}, ["did you mean 'yolov8n.yaml'"]),
        (
            "trainers",
            "yolov8n",
            {"model": "yolov8n-seg.yaml"},
            ["is for segmentation, but", "is for detection; take 'yolov8n.yaml'"],
        ),
        ("trainers", "yolov8n", {"model": "yolo11n-obb.yaml"}, ["is for oriented boxes"]),
        ("trainers", "yolov8n", {"model": "yolov8n.pt"}, ["there is no file 'yolov8n.pt'"]),
    ],
)
def test_a_model_that_is_not_there_is_named(config, table, name, change, words):
    use_everything(config)[table][name] |= change
    with pytest.raises(UserError) as error:
        ready(config)
    for word in (f"{table}.{name}.", *words):
        assert word in str(error.value)


def test_files_of_entries_that_nothing_uses_cost_nothing(config):
    config["generators"]["unused"] = config["generators"]["tiny_canny"] | {"model": "./gone"}
    config["trainers"]["unused"] = config["trainers"]["yolov8n"] | {"model": "gone.pt"}
    ready(config)


def save_weights(path, *names):
    header = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in names}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))


@pytest.mark.parametrize(
    "weight, kind",
    [
        (
            "model.diffusion_model.output_blocks.11.0.skip_connection.weight",
            "StableDiffusionPipeline",
        ),
        (
            "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias",
            "StableDiffusionXLPipeline",
        ),
        (
            "model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias",
            "StableDiffusion3Pipeline",
        ),
        ("double_blocks.0.img_attn.norm.key_norm.scale", "FluxPipeline"),
        ("control_model.time_embed.0.weight", "ControlNetModel"),
    ],
)
def test_a_single_file_is_answered_with_a_line_that_makes_a_folder_of_it(
    config, tmp_path, weight, kind
):
    import diffusers
    from diffusers.loaders.single_file_utils import CHECKPOINT_KEY_NAMES as NAMES

    assert weight in str(NAMES), "a name that diffusers itself tells families by"
    assert hasattr(getattr(diffusers, kind), "from_single_file")
    save_weights(tmp_path / "my model.safetensors", weight)
    config["generators"]["tiny_canny"]["model"] = "my model.safetensors"
    with pytest.raises(UserError) as error:
        ready(config)
    line = next(line for line in str(error.value).splitlines() if "python -c" in line)
    assert f"from diffusers import {kind} as Model; Model.from_single_file('my model.safe" in line
    assert line.endswith("save_pretrained('my model')\"")
    quoted = line.split("python -c ")[1].strip()
    compile(subprocess.check_output(["bash", "-c", f"echo {quoted}"], text=True), "line", "exec")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n", "git lfs pull"),
        (b"\x10\0\0\0\0\0\0\0no header of json", "is not a safetensors file"),
    ],
)
def test_a_single_file_that_is_none_says_so(config, tmp_path, content, words):
    (tmp_path / "sd.safetensors").write_bytes(content)
    config["generators"]["tiny_canny"]["model"] = "sd.safetensors"
    with pytest.raises(UserError, match=words):
        ready(config)


def test_names_are_wrong_wherever_they_stand_and_are_all_listed(config):
    config["trainers"]["unused"] = config["trainers"]["resnet"] | {"model": "resnet51"}
    config["generators"]["tiny_warped"]["scheduler"] = "DIM"
    with pytest.raises(UserError, match=r"(?s)tiny_warped.scheduler.*trainers.unused.model"):
        checked(config)
