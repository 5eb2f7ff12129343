"""Few-step models: what their kind chooses, and what it refuses, at the dry run."""

import textwrap
from copy import deepcopy

import pytest
import yaml

from cia.config.checks import checked
from cia.config.few_steps import KINDS, find_recipe, unguided_negatives
from cia.errors import UserError
from project import ROOT


@pytest.fixture
def config():
    """The demo's configuration; nothing in it says how many steps or how much guidance."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for generator in config["generators"].values():
        for key in ("steps", "guidance_scale", "scheduler"):
            del generator[key]
    return config


def lora(model, file=None, **settings):
    return {"model": model, **({"file": file} if file else {}), **settings}


LCM = lora("latent-consistency/lcm-lora-sdv1-5")
LIGHTNING = "sdxl_lightning_{}step_lora.safetensors"
HYPER = "Hyper-{}-lora.safetensors"


def lightning(steps):
    return lora("ByteDance/SDXL-Lightning", LIGHTNING.format(steps))


def hyper(name, **settings):
    return lora("ByteDance/Hyper-SD", HYPER.format(name), **settings)


def drawn(config, **changes):
    """Return a generator's settings as jobs get them."""
    config["generators"]["tiny_canny"] |= changes
    return checked(config)["generators"]["tiny_canny"]


def refused(config, **changes):
    config["generators"]["tiny_canny"] |= changes
    with pytest.raises(UserError) as error:
        checked(config)
    lines = str(error.value).splitlines()[1:-1]
    assert len(lines) == 1, lines
    return lines[0].removeprefix("  - generators.tiny_canny.")


def chosen(settings):
    return settings["scheduler"], settings["steps"], settings["guidance_scale"]


def test_other_models_keep_the_usual_defaults(config):
    settings = drawn(config)
    assert chosen(settings) == (None, 20, 7.5)
    assert find_recipe(settings) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"few_steps": "lcm", "lora": [LCM]}, ("LCMScheduler", 4, 1.0)),
        ({"few_steps": "lcm", "lora": [lora("my/style")]}, ("LCMScheduler", 4, 1.0)),
        ({"few_steps": "lcm", "model": "latent-consistency/lcm-sdxl"}, ("LCMScheduler", 4, 8.0)),
        ({"few_steps": "turbo", "model": "stabilityai/sdxl-turbo"}, (None, 4, 1.0)),
        (
            {"few_steps": "lightning", "lora": [lightning(2)]},
            ("EulerDiscreteScheduler", 2, 1.0),
        ),
        (
            {"few_steps": "lightning", "model": "me/my-merged"},
            ("EulerDiscreteScheduler", 4, 1.0),
        ),
        ({"few_steps": "hyper_sd", "lora": [hyper("SD15-4steps")]}, ("DDIMScheduler", 4, 1.0)),
        ({"few_steps": "hyper_sd", "lora": [hyper("SDXL-8steps-CFG")]}, ("DDIMScheduler", 8, 5.0)),
        ({"few_steps": "hyper_sd", "lora": [hyper("SDXL-1step")]}, ("TCDScheduler", 1, 1.0)),
        (
            {"few_steps": "hyper_sd", "lora": [hyper("SD3-8steps-CFG", weight=0.125)]},
            (None, 8, 5.0),
        ),
        (
            {"few_steps": "hyper_sd", "lora": [hyper("FLUX.1-dev-16steps", weight=0.125)]},
            (None, 16, 3.5),
        ),
        ({"few_steps": "hyper_sd", "model": "me/one-step-unet"}, ("LCMScheduler", 1, 1.0)),
    ],
)
def test_a_kind_chooses_scheduler_steps_and_guidance(config, changes, expected):
    settings = drawn(config, **changes)
    assert chosen(settings) == expected
    config["generators"]["tiny_canny"] = settings
    assert chosen(drawn(config)) == expected, "what was chosen is taken when it is written"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"few_steps": "turbo"}, ({"timestep_spacing": "trailing"}, {})),
        ({"few_steps": "lightning"}, ({"timestep_spacing": "trailing"}, {})),
        ({"few_steps": "lcm"}, ({}, {})),
        ({"few_steps": "hyper_sd"}, ({}, {"timesteps": [800]})),
        ({"few_steps": "hyper_sd", "lora": [hyper("SDXL-1step")]}, ({}, {"eta": 1.0})),
        (
            {"few_steps": "hyper_sd", "lora": [hyper("SD15-12steps-CFG")]},
            ({"timestep_spacing": "trailing"}, {}),
        ),
    ],
)
def test_a_kind_changes_the_scheduler_and_the_call(config, changes, expected):
    recipe = find_recipe(drawn(config, **changes))
    assert (recipe.scheduler_config, recipe.call) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"few_steps": "lcm", "lora": [LCM], "steps": 8, "guidance_scale": 2},
        {"few_steps": "lcm", "lora": [LCM], "guidance_scale": 0},
        {"few_steps": "turbo", "steps": 1, "scheduler": "EulerAncestralDiscreteScheduler"},
        {"few_steps": "hyper_sd", "lora": [hyper("SDXL-1step")], "steps": 8},
        {"few_steps": "hyper_sd", "lora": [hyper("SD15-8steps-CFG")], "guidance_scale": 8},
        {"few_steps": "hyper_sd", "lora": [hyper("SD3-8steps-CFG", weight=0.125)], "steps": 6},
        {"few_steps": "hyper_sd", "lora": [lora("my/style"), hyper("SD15-2steps")], "steps": 2},
    ],
)
def test_what_a_kind_was_made_for_may_be_written(config, changes):
    written = {key: changes[key] for key in ("steps", "guidance_scale") if key in changes}
    assert written.items() <= drawn(config, **changes).items()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"few_steps": "lcm", "lora": [LCM], "steps": 20},
            "steps: 20 does not fit an LCM-LoRA, which is made for 1 to 8 steps",
        ),
        (
            {"few_steps": "lcm", "lora": [LCM], "guidance_scale": 7.5},
            "guidance_scale: 7.5 does not fit an LCM-LoRA; 1 to 2 does",
        ),
        (
            {"few_steps": "lcm", "lora": [LCM], "scheduler": "UniPCMultistepScheduler"},
            "scheduler: UniPCMultistepScheduler does not fit an LCM-LoRA; LCMScheduler does",
        ),
        (
            {"few_steps": "turbo", "guidance_scale": 3},
            "guidance_scale: 3 does not fit a Turbo model; 1 (no guidance) does",
        ),
        (
            {"few_steps": "turbo", "steps": 20},
            "steps: 20 does not fit a Turbo model, which is made for 1 to 4 steps",
        ),
        (
            {"few_steps": "lightning", "lora": [lightning(4)], "steps": 8},
            "steps: 8 does not fit sdxl_lightning_4step_lora, which is made for steps: 4",
        ),
        (
            {"few_steps": "lightning", "steps": 1},
            "steps: 1 does not fit SDXL-Lightning, which is made for 2, 4 or 8 steps",
        ),
        (
            {"few_steps": "hyper_sd", "lora": [hyper("SD15-4steps")], "steps": 2},
            "steps: 2 does not fit Hyper-SD15-4steps-lora, which is made for steps: 4",
        ),
        (
            {"few_steps": "hyper_sd", "lora": [hyper("SDXL-8steps-CFG")], "guidance_scale": 1},
            "guidance_scale: 1 does not fit Hyper-SDXL-8steps-CFG-lora; 5 to 8 does",
        ),
        (
            {"few_steps": "hyper_sd", "lora": [hyper("FLUX.1-dev-8steps")]},
            "lora.0.weight: 1 does not fit Hyper-FLUX.1-dev-8steps-lora; 0.125 does",
        ),
        (
            {"few_steps": "hyper_sd", "lora": [hyper("SD3-4steps-CFG", weight=0.125)], "steps": 3},
            "steps: 3 does not fit Hyper-SD3-4steps-CFG-lora, which is made for steps: 4",
        ),
        (
            {"few_steps": "hyper_sd", "lora": [lora("me/renamed")]},
            "few_steps: which of Hyper-SD's LoRAs it is, and so its steps and scheduler, stands "
            "in the name of its file: set `file` to, say, Hyper-SD15-4steps-lora.safetensors, or "
            "keep that name for a file of your own",
        ),
    ],
)
def test_a_setting_that_contradicts_a_kind_is_an_error_that_says_what_fits(
    config, changes, message
):
    assert refused(config, **changes) == message


@pytest.mark.parametrize(
    ("changes", "what", "kind"),
    [
        ({"lora": [LCM]}, "the LoRA lcm-lora-sdv1-5", "lcm"),
        ({"model": "stabilityai/sd-turbo"}, "the model sd-turbo", "turbo"),
        ({"model": "black-forest-labs/FLUX.1-schnell"}, "the model FLUX.1-schnell", "turbo"),
        ({"model": "/models/sdxl-turbo"}, "the model sdxl-turbo", "turbo"),
        ({"lora": [lightning(8)]}, "SDXL-Lightning sdxl_lightning_8step_lora", "lightning"),
        ({"lora": [lora("/x/Hyper-SD15-4steps-lora.safetensors")]}, "the LoRA Hyper", "hyper_sd"),
        ({"few_steps": "lcm", "lora": [lightning(4)]}, "lcm does not fit the LoRA", "lightning"),
    ],
)
def test_a_well_known_model_of_another_kind_is_an_error_that_names_its_own(
    config, changes, what, kind
):
    message = refused(config, **changes)
    assert message.startswith("few_steps: ") and what in message
    assert f"set `few_steps: {kind}`" in message


def test_negative_prompts_without_guidance_are_told(config):
    config["prompts"]["recolored"]["negative"] = "a photo"
    config["generators"]["tiny_canny"] |= {"few_steps": "turbo"}
    (told,) = unguided_negatives(checked(config))
    assert "generators.tiny_canny: the negative prompt of prompts.recolored has no effect" in told
    config["generators"]["tiny_canny"] |= {"few_steps": None, "guidance_scale": 1.5}
    assert not list(unguided_negatives(checked(config)))


def test_a_full_lcm_takes_guidance_as_an_input_and_negative_prompts_are_told_too(config):
    config["prompts"]["recolored"]["negative"] = "a photo"
    config["generators"]["tiny_canny"] |= {"model": "me/my-lcm", "few_steps": "lcm"}
    told = [line for line in unguided_negatives(checked(config)) if "tiny_canny" in line]
    assert told and "takes guidance as an input" in told[0]


def test_two_kinds_in_one_generator_do_not_go_together(config):
    told = refused(config, model="stabilityai/sdxl-turbo", lora=[LCM], few_steps="lcm")
    assert "the model sdxl-turbo and the LoRA lcm-lora-sdv1-5 don't go together" in told


def test_the_entries_of_the_docs_are_ready_to_use(config):
    text = (ROOT / "docs/gpu.md").read_text().partition("## Few-step models")[2]
    block = text.partition("    generators:\n")[2].partition("\n\n")[0]
    entries = yaml.safe_load(textwrap.dedent(block))
    assert {entry["few_steps"] for entry in entries.values()} == set(KINDS)
    for entry in entries.values():
        assert drawn(deepcopy(config), **entry)["steps"] <= 8


def test_an_unknown_kind_and_a_lora_without_a_model_are_named(config):
    assert "few_steps: 'lcn' is none of" in refused(config, few_steps="lcn")
    config["generators"]["tiny_canny"]["few_steps"] = None
    assert "lora.0: 'model' is a required property" in refused(config, lora=[{"weight": 1}])


def test_the_same_lora_reads_the_same_however_it_is_written(config):
    """Snakemake reruns a rule when the text of its settings changes."""
    written = {"weight": 1, "model": "me/lora"}, {"model": "me/lora", "weight": 1.0, "file": None}
    texts = {repr(drawn(config, lora=[dict(one)])["lora"]) for one in written}
    assert len(texts) == 1
