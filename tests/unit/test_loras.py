"""LoRAs: found, checked against the model, fused, in the key; guidance off halves the batch."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cia.config.model_names import missing_files
from cia.errors import UserError
from cia.images import load_image, read_png_text
from drawing_inputs import generator_settings, save_plan

torch = pytest.importorskip("torch")

safetensors = pytest.importorskip("safetensors.torch")

from cia.generation import drawing, loras, pipelines  # noqa: E402
from cia.generation.checking import check_generator  # noqa: E402
from cia.generation.store import Store  # noqa: E402

FILE = "pytorch_lora_weights.safetensors"
SIDE = 32


def entry(model, weight=1.0, file=None):
    return {"model": str(model), "file": file, "weight": weight, "revision": None}


def settings_for(folder, *entries, **changes):
    plain = {"scheduler": None, "dtype": "float32", "lora": list(entries)}
    return generator_settings(folder, **(plain | changes))


def load(settings):
    models = drawing.find_models(settings, "generators.x")
    return pipelines.load_pipeline(
        models.model, models.controlnet, settings, "generators.x", "cpu", models.loras
    )


def make_lora(pipe, folder, seed=0, alpha=4, rank=4):
    """Save a random LoRA of both networks, as diffusers does; return the UNet's layers by name."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    layers = {
        "unet": ["to_q", "to_k", "to_v", "to_out.0", "conv1", "time_emb_proj", "proj_in"],
        "text_encoder": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1"],
    }
    torch.manual_seed(seed)
    found = {}
    for part, targets in layers.items():
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets)
        network = getattr(pipe, part)
        network.add_adapter(config, adapter_name=f"made_{seed}")
        found[part] = get_peft_model_state_dict(network, adapter_name=f"made_{seed}")
        for tensor in found[part].values():
            tensor.normal_(std=0.2)
    type(pipe).save_lora_weights(
        folder,
        unet_lora_layers=found["unet"],
        text_encoder_lora_layers=found["text_encoder"],
    )
    return found["unet"]


@pytest.fixture(scope="module")
def sd(small_model):
    return small_model("sd15")


@pytest.fixture(scope="module")
def sdxl(small_model):
    return small_model("sdxl")


@pytest.fixture(scope="module")
def lora(sd, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    make_lora(load(settings_for(sd)), folder)
    return folder


@pytest.fixture
def weights(lora, tmp_path):
    """A copy of the LoRA's file, and what is in it, to change."""
    path = tmp_path / "mine.safetensors"
    shutil.copy(lora / FILE, path)
    return path, safetensors.load_file(path)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return save_plan(tmp_path_factory.mktemp("maps"), 5, SIDE)


def generate(plan, settings, folder, shard=0, shards=1, store=None):
    return drawing.generate_shard(
        plan, shard, shards, settings, folder, 4, "generators.x", store=store
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def draw(pipe, **options):
    image = Image.new("RGB", (SIDE, SIDE), "white")
    generator = torch.Generator().manual_seed(0)
    options = {"num_inference_steps": 2, "guidance_scale": 3.0, **options}
    done = pipe("a red 3", image=image, generator=generator, output_type="np", **options)
    return done.images[0]


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_fused_draws_as_diffusers_draws_unfused(family, request, tmp_path):
    """Two LoRAs at once, each with its weight, in UNet and text encoder."""
    folder = request.getfixturevalue(family)
    plain = load(settings_for(folder))
    for seed in (1, 2):
        make_lora(load(settings_for(folder)), tmp_path / str(seed), seed)
    fused = load(settings_for(folder, entry(tmp_path / "1", 0.5), entry(tmp_path / "2", -0.75)))
    reference = load(settings_for(folder))
    for seed in ("1", "2"):
        reference.load_lora_weights(tmp_path / seed, adapter_name=f"a{seed}")
    reference.set_adapters(["a1", "a2"], [0.5, -0.75])
    without = draw(plain)
    assert np.abs(draw(fused) - draw(reference)).max() < 1e-3
    assert np.abs(draw(fused) - without).max() > 0.05
    assert not any("lora" in name for name, _ in fused.unet.named_modules())


def test_the_text_encoder_s_part_counts(sd, weights, tmp_path):
    path, tensors = weights
    text = {k: v for k, v in tensors.items() if k.startswith("text_encoder.")}
    safetensors.save_file(text, path)
    changed, plain = load(settings_for(sd, entry(path))), load(settings_for(sd))
    same = {
        k: torch.equal(v, plain.unet.state_dict()[k]) for k, v in changed.unet.state_dict().items()
    }
    assert all(same.values())
    assert np.abs(draw(changed) - draw(plain)).max() > 0.001


def test_kohya_s_format_is_read_with_its_alpha(sd, lora, weights):
    """`lora_unet_...` with alpha 2 at rank 4 is half of the same in diffusers' format."""
    path, tensors = weights
    kohya = {}
    for name, tensor in tensors.items():
        part, _, rest = name.removesuffix(".weight").partition(".")
        layer, _, side = rest.rpartition(".")
        prefix = "lora_unet_" if part == "unet" else "lora_te_text_model_"
        stem = prefix + layer.replace(".", "_")
        kohya[f"{stem}.{'lora_down' if side == 'lora_A' else 'lora_up'}.weight"] = tensor
        kohya[f"{stem}.alpha"] = torch.tensor(2.0)
    safetensors.save_file(kohya, path)
    from_kohya = load(settings_for(sd, entry(path)))
    from_diffusers = load(settings_for(sd, entry(lora, 0.5)))
    for part in ("unet", "text_encoder"):
        ours, theirs = (getattr(p, part).state_dict() for p in (from_kohya, from_diffusers))
        assert all(torch.allclose(ours[k], theirs[k], atol=1e-6) for k in theirs), part


def test_a_lora_s_alpha_in_the_metadata_counts(sd, weights):
    """peft's rank and alpha, as diffusers saves them beside the weights."""
    path, tensors = weights
    unet = {k: v for k, v in tensors.items() if k.startswith("unet.")}
    names = sorted({k.removeprefix("unet.").partition(".lora_")[0] for k in unet})
    config = {"unet.r": 4, "unet.lora_alpha": 2, "unet.target_modules": names}
    safetensors.save_file(unet, path, metadata={"lora_adapter_metadata": json.dumps(config)})
    halved = load(settings_for(sd, entry(path))).unet.state_dict()
    safetensors.save_file(unet, path)
    expected = load(settings_for(sd, entry(path, 0.5))).unet.state_dict()
    assert all(torch.allclose(halved[k], expected[k], atol=1e-6) for k in expected)


def both_ways(folder, *entries):
    """What the check says without weights, and loading with them: the same error."""
    said = []
    for look in (lambda s: check_generator(s, [SIDE, SIDE], "generators.x"), load):
        with pytest.raises(UserError) as error:
            look(settings_for(folder, *entries))
        said.append(str(error.value))
    assert said[0] == said[1]
    return said[0]


def test_a_lora_of_another_family_is_named_with_what_does_not_fit(sdxl, lora):
    message = both_ways(sdxl, entry(lora))
    assert message.startswith(f"generators.x.lora.0: {str(lora)!r} was made for another model")
    assert "another shape of" in message and "SD 1.5 with SD 1.5" in message


def test_no_weight_is_dropped_in_silence(sd, weights):
    path, tensors = weights
    for extra in (
        "unet.down_blocks.9.attentions.0.to_q.lora_A.weight",
        "text_encoder_2.encoder.layers.0.self_attn.q_proj.lora_A.weight",
        "unet.mid_block.attentions.0.nowhere.lora_B.weight",
    ):
        safetensors.save_file({**tensors, extra: torch.zeros(4, 4)}, path)
        message = both_ways(sd, entry(path))
        assert "no layer for 1 of its" in message and extra in message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["unet.conv_in.weight"], "is no LoRA: none of its weights has `lora` in its name"),
        (["lora_unet_a.hada_w1_a"], "is a LoHa or LoKr"),
        (["lora_unet_a.lora_down.weight", "lora_unet_a.dora_scale"], "is a DoRA"),
        (["controlnet.a.lora_A.weight"], "is for a ControlNet"),
        (["lora_controlnet", "input_blocks.0.up"], "is for a ControlNet"),
    ],
)
def test_what_is_no_lora_for_a_model_is_named(sd, tmp_path, names, message):
    path = tmp_path / "other.safetensors"
    safetensors.save_file({name: torch.zeros(4, 4) for name in names}, path)
    assert message in both_ways(sd, entry(path))


def test_a_file_that_is_cut_off_is_named_by_the_check(sd, weights):
    path, _ = weights
    path.write_bytes(path.read_bytes()[:-1])
    assert "mine.safetensors is truncated" in both_ways(sd, entry(path))


def test_the_check_tells_the_loras_and_reads_no_weights(sd, lora, monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("weights are read")

    monkeypatch.setattr("safetensors.torch.load_file", refuse)
    found = check_generator(settings_for(sd, entry(lora)), [SIDE, SIDE], "generators.x")
    assert found["lora"] == [{"name": str(lora), "commit": None}]


def test_weights_that_overflow_are_an_error_that_says_so(sd, weights):
    path, tensors = weights
    large = {k: torch.full_like(v, 300.0) for k, v in tensors.items() if k.startswith("unet.")}
    safetensors.save_file(large, path)
    with pytest.raises(UserError, match=r"generators.x.lora: .*float16.*x.dtype to bfloat16"):
        load(settings_for(sd, entry(path), dtype="float16"))
    load(settings_for(sd, entry(path), dtype="bfloat16"))


def used(config_entry):
    tables = ("conditions", "judges", "features", "trainers")
    generator = {
        "model": "resources/tiny-sd",
        "controlnet": "resources/tiny-sd",
        "controlnet_subfolder": "controlnet",
        "lora": [config_entry],
    }
    return {**{name: {} for name in tables}, "generators": {"x": generator}}


def test_the_dry_run_names_files_that_are_not_there(lora, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    shutil.copy(lora / FILE, tmp_path / "a.safetensors")
    for model, file, message in (
        ("./nowhere", None, "there is no folder './nowhere'"),
        ("my.safetensors", None, "there is no file 'my.safetensors'"),
        ("my.bin", None, "may run code when it is loaded"),
        ("me/lora", "my.ckpt", "may run code when it is loaded"),
        (str(tmp_path), None, f"there is no {tmp_path / FILE}; set `file` to one of a.safetensors"),
        (str(tmp_path / "a.safetensors"), "a.safetensors", "is a file already; leave `file` out"),
        ("me/lora", "README.md", "is no .safetensors file"),
    ):
        (problem,) = missing_files(used(entry(model, file=file)))
        assert problem.startswith("generators.x.lora.0: ") and message in problem
    for model, file in (("me/lora", None), (lora, None), (tmp_path, "a.safetensors")):
        assert not list(missing_files(used(entry(model, file=file))))


def keys(plan, settings):
    models = drawing.find_models(settings, "generators.x")
    return list(drawing.image_keys(plan, settings, models, "cpu").values())


def test_the_key_holds_file_and_weight_and_nothing_of_the_name(plan, sd, lora, weights):
    path, tensors = weights
    base, plain = keys(plan, settings_for(sd, entry(lora))), keys(plan, settings_for(sd))
    assert keys(plan, settings_for(sd, entry(path))) == base, "the same file elsewhere"
    assert keys(plan, settings_for(sd, entry(lora, 1))) == base
    safetensors.save_file(dict(list(tensors.items())[:-2]), path)
    others = [
        plain,
        keys(plan, settings_for(sd, entry(lora, 0.5))),
        keys(plan, settings_for(sd, entry(path))),
        keys(plan, settings_for(sd, entry(lora), entry(path))),
    ]
    assert len({key for some in [base, *others] for key in some}) == 5 * len(plan)


def test_a_changed_file_makes_images_of_its_own(plan, sd, lora, weights, tmp_path):
    path, tensors = weights
    safetensors.save_file({name: 2 * tensor for name, tensor in tensors.items()}, path)
    store = Store(tmp_path / "store")
    for name, file in (("first", lora), ("changed", path)):
        settings = settings_for(sd, entry(file))
        generate(plan, settings, tmp_path / name, store=store)
    assert len(list(store.entries())) == 2 * len(plan)
    first, changed = contents(tmp_path / "first"), contents(tmp_path / "changed")
    assert all(first[name] != changed[name] for name in first)


def test_what_the_scheduler_is_told_is_in_the_key(plan, sd):
    trailing = settings_for(sd, few_steps="lightning", scheduler="EulerDiscreteScheduler")
    usual = settings_for(sd, scheduler="EulerDiscreteScheduler")
    assert not set(keys(plan, trailing)) & set(keys(plan, usual))
    lcm = settings_for(sd, few_steps="lcm", scheduler="LCMScheduler")
    assert keys(plan, lcm) == keys(plan, settings_for(sd, scheduler="LCMScheduler"))


def test_keys_of_other_generators_are_those_of_before(sd):
    """Written down before there were LoRAs: a store keeps its worth."""
    row = {
        "id": "a",
        "condition_sha256": "0" * 64,
        "prompt": "a red one",
        "negative_prompt": "",
        "seed": 7,
        "width": 64,
        "height": 64,
    }
    models = drawing.Models(
        pipelines.ModelFiles(Path("m"), "m", "me/m@1"),
        pipelines.ModelFiles(Path("c"), "c", "me/c@1/."),
    )
    settings = settings_for(sd, scheduler="UniPCMultistepScheduler", steps=10)
    found = drawing.image_keys(pd.DataFrame([row]), settings, models, "cpu")
    assert found == {"a": "dda7cb049548bcea81c48fdb050eeaaec67442913c82932168d2323d04ec6b11"}


def test_pruning_knows_the_keys(plan, sd, lora):
    settings = settings_for(sd, entry(lora))
    assert set(keys(plan, settings)) <= drawing.possible_keys(plan, settings, "generators.x")


LCM = {"few_steps": "lcm", "scheduler": "LCMScheduler", "steps": 4, "guidance_scale": 1.0}


def test_images_of_lcm_are_the_same_whatever_is_made_beside_them(plan, sd, lora, tmp_path):
    """Its scheduler draws noise at every step: from each image's own generator."""
    settings = settings_for(sd, entry(lora), **LCM)
    generate(plan, settings, tmp_path / "whole")
    for shard in range(2):
        generate(plan[::-1], settings, tmp_path / "parts", shard, 2)
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")


def test_an_image_with_lcm_equals_diffusers_own(plan, sd, lora, tmp_path):
    """As diffusers' guide to LCM-LoRA does it, one image at a time."""
    from diffusers import ControlNetModel, LCMScheduler, StableDiffusionControlNetPipeline

    table = generate(plan, settings_for(sd, entry(lora), **LCM), tmp_path)
    whole = {"dtype": torch.float32}
    control = ControlNetModel.from_pretrained(sd, subfolder="controlnet", **whole)
    pipe = StableDiffusionControlNetPipeline.from_pretrained(sd, controlnet=control, **whole)
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    pipe.load_lora_weights(lora)
    for row, path in zip(plan.itertuples(), table["image"], strict=True):
        reference = pipe(
            row.prompt,
            image=Image.open(row.condition),
            num_inference_steps=4,
            guidance_scale=1.0,
            generator=torch.Generator("cpu").manual_seed(row.seed),
        ).images[0]
        difference = np.abs(np.asarray(reference, int) - load_image(path).astype(int))
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01


@pytest.mark.parametrize(
    ("changes", "spacing", "timesteps"),
    [
        ({"few_steps": "lcm", "scheduler": "LCMScheduler", "steps": 4}, None, [999, 759, 499, 259]),
        (
            {"few_steps": "lightning", "scheduler": "EulerDiscreteScheduler", "steps": 4},
            "trailing",
            [999, 749, 499, 249],
        ),
        ({"few_steps": "turbo", "scheduler": None, "steps": 1}, "trailing", [999]),
        ({"few_steps": "hyper_sd", "scheduler": "LCMScheduler", "steps": 1}, None, [800]),
    ],
)
def test_each_kind_s_timesteps_reach_the_network(sd, changes, spacing, timesteps):
    settings = settings_for(sd, guidance_scale=1.0, **changes)
    pipe = load(settings)
    seen = watch(pipe.unet, lambda args, kwargs: int(args[1]))
    painter = drawing.Painter(pipe, settings, "generators.x")
    paint(painter, 1)
    assert seen == timesteps
    if spacing:
        assert pipe.scheduler.config.timestep_spacing == spacing


def watch(network, look):
    """Record something of each call of a network."""
    seen = []
    network.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(look(args, kwargs)), with_kwargs=True
    )
    return seen


def paint(painter, count, negative=""):
    row = pd.DataFrame(
        [{"id": "a", "prompt": "a red 3", "negative_prompt": negative, "seed": 1}]
    ).assign(width=SIDE, height=SIDE)
    rows = [*row.itertuples()] * count
    return painter.paint(rows, [Image.new("RGB", (SIDE, SIDE), "white")] * count)


@pytest.mark.parametrize("family", ["sd", "sdxl"])
@pytest.mark.parametrize(("guidance", "times"), [(0.0, 1), (1.0, 1), (1.5, 2)])
def test_guidance_of_1_skips_the_second_half_of_the_batch(family, guidance, times, request):
    folder = request.getfixturevalue(family)
    settings = settings_for(folder, guidance_scale=guidance, scheduler="DDIMScheduler")
    pipe = load(settings)
    networks = {name: watch(getattr(pipe, name), batch_of) for name in ("unet", "controlnet")}
    paint(drawing.Painter(pipe, settings, "generators.x"), 3, "blue")
    assert networks == {"unet": [3 * times] * 2, "controlnet": [3 * times] * 2}


def batch_of(args, kwargs):
    return len(args[0] if args else kwargs.get("sample", kwargs.get("hidden_states")))


@pytest.mark.parametrize(("guidance", "times"), [(1.0, 1), (1.5, 2)])
def test_so_it_does_in_stable_diffusion_3(guidance, times):
    pipe = tiny_sd3()
    seen = watch(pipe.transformer, batch_of)
    embedded = {name: torch.zeros(3, 8, 16) for name in ("prompt_embeds", "negative_prompt_embeds")}
    pooled = {
        name: torch.zeros(3, 16)
        for name in ("pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    }
    pipe(
        **embedded,
        **pooled,
        control_image=[Image.new("RGB", (SIDE, SIDE))] * 3,
        num_inference_steps=2,
        guidance_scale=guidance,
        width=SIDE,
        height=SIDE,
        output_type="latent",
    )
    assert seen == [3 * times] * 2


def tiny_sd3():
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        SD3ControlNetModel,
        SD3Transformer2DModel,
        StableDiffusion3ControlNetPipeline,
    )

    shared = {
        "sample_size": SIDE // 2,
        "patch_size": 1,
        "in_channels": 4,
        "num_layers": 1,
        "attention_head_dim": 8,
        "num_attention_heads": 2,
        "joint_attention_dim": 16,
        "caption_projection_dim": 16,
        "pooled_projection_dim": 16,
        "out_channels": 4,
    }
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        latent_channels=4,
        shift_factor=0.0,
    )
    return StableDiffusion3ControlNetPipeline(
        transformer=SD3Transformer2DModel(**shared),
        controlnet=SD3ControlNetModel(**shared),
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        **dict.fromkeys(
            ("text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer", "tokenizer_2")
        ),
        tokenizer_3=None,
    )


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_check_refuses_a_kind_that_the_model_can_t_be(sd, tmp_path):
    def check(folder, **changes):
        check_generator(settings_for(folder, **{**LCM, **changes}), [SIDE, SIDE], "generators.x")

    check(sd)
    with pytest.raises(UserError, match="guidance_scale: 8 does not fit .* 1 to 2 does"):
        check(sd, guidance_scale=8.0)
    full = shutil.copytree(sd, tmp_path / "lcm")
    edit_json(full / "unet" / "config.json", time_cond_proj_dim=32)
    check(full, guidance_scale=8.0)
    with pytest.raises(UserError, match="guidance_scale: 1 does not fit .* 3 to 15 does"):
        check(full)


def test_the_png_and_the_record_say_which_loras(plan, sd, lora, tmp_path):
    settings = settings_for(sd, entry(lora, 0.5), **LCM)
    table = generate(plan.iloc[:1], settings, tmp_path)
    text = read_png_text(table["image"].iloc[0])["parameters"]
    assert text.splitlines()[0] == f"a red 0 <lora:{lora.name}:0.5>"
    (found,) = loras.find_loras(settings, "generators.x")
    assert f'Lora hashes: "{lora.name}: {found.short_hash()}"' in text
    assert "Sampler: LCM" in text and "CFG scale: 1" in text
    other = replace(found, path=lora / "other.safetensors")
    assert other.short_name == "other"
