"""Generation with tiny random models of the real architectures."""

import inspect
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from cia.errors import UserError
from cia.files import digest_file
from cia.images import load_image, save_png
from conftest import ROOT
from drawing_inputs import generator_settings

torch = pytest.importorskip("torch")

from cia.generation import batches, drawing, pipelines  # noqa: E402


@pytest.fixture(scope="module")
def sd(small_model):
    return generator_settings(small_model("sd15"))


@pytest.fixture(scope="module")
def sdxl(small_model):
    return generator_settings(small_model("sdxl"))


@pytest.fixture(scope="module", params=["sd35-medium", "flux"])
def transformer(request, small_model):
    """A model whose denoising network is a transformer, with its own scheduler."""
    return generator_settings(small_model(request.param), scheduler=None)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Seven images of two sizes; two of them have the same prompt."""
    folder = tmp_path_factory.mktemp("maps")
    rng = np.random.default_rng(0)
    rows = []
    for index in range(7):
        width, height = (48, 32) if index in (2, 5) else (32, 32)
        edges = np.where(rng.random((height, width, 1)) > 0.8, 255, 0).astype(np.uint8)
        path = folder / f"map {index}.png"
        save_png(path, edges.repeat(3, axis=2))
        rows.append(
            {
                "id": f"ünï. {index}_v000",
                "source": f"ünï. {index}",
                "variant": 0,
                "seed": 2**32 - 1 - index,
                "prompt": f"a red {index // 2}",
                "negative_prompt": "",
                "width": width,
                "height": height,
                "condition": path.as_posix(),
                "condition_sha256": digest_file(path),
            }
        )
    return pd.DataFrame(rows)


def generate(plan, settings, folder, shard=0, shards=1, batch_size=4):
    return drawing.generate_shard(plan, shard, shards, settings, folder, batch_size, "generators.x")


def pixels(table):
    return {row.id: load_image(row.image).astype(int) for row in table.itertuples()}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def made(plan, sd, tmp_path_factory):
    return generate(plan, sd, tmp_path_factory.mktemp("made"))


def load_by_diffusers(settings, pipeline, controlnet):
    """Load a model as diffusers' documentation says, in the number format of the job."""
    network = controlnet.from_pretrained(
        settings["model"], subfolder="controlnet", dtype=torch.float32
    )
    return pipeline.from_pretrained(settings["model"], controlnet=network, dtype=torch.float32)


def test_every_row_becomes_its_own_picture(plan, made):
    assert made["id"].tolist() == sorted(plan["id"])
    assert list(made.columns) == ["id", "image", "width", "height", "sha256"]
    for row in made.merge(plan[["id", "width", "height"]], on="id").itertuples():
        assert Image.open(row.image).size == (row.width_y, row.height_y)
        assert digest_file(row.image) == row.sha256
    assert made["sha256"].is_unique


def test_images_that_are_there_need_no_libraries_that_draw(plan, sd, made, monkeypatch):
    """Importing them takes seconds."""
    for name in ("diffusers", "huggingface_hub", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of it is an error
    folder = Path(made["image"].iloc[0]).parent
    assert generate(plan, sd, folder).equals(made)


def test_equal_to_the_pipeline_called_for_one_image(plan, sd, made):
    """The reference is diffusers itself, given text, one image, one generator."""
    from diffusers import (
        ControlNetModel,
        StableDiffusionControlNetPipeline,
        UniPCMultistepScheduler,
    )

    pipe = load_by_diffusers(sd, StableDiffusionControlNetPipeline, ControlNetModel)
    pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config)
    for row in plan.iloc[[0, 2]].itertuples():
        reference = pipe(
            row.prompt,
            image=Image.open(row.condition),
            num_inference_steps=2,
            guidance_scale=3.0,
            generator=torch.Generator("cpu").manual_seed(row.seed),
        ).images[0]
        difference = np.abs(np.asarray(reference, int) - pixels(made)[row.id])
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01


def test_shards_and_neighbors_change_no_byte(plan, sd, made, tmp_path):
    parts = [generate(plan[::-1], sd, tmp_path, shard, 3) for shard in range(3)]
    joined = pd.concat(parts).sort_values("id", ignore_index=True)
    assert len(joined) == len(made)
    assert joined["sha256"].tolist() == made["sha256"].tolist()


def test_nor_do_they_on_a_processor_without_avx_512():
    """The test above once more, with libraries that are told to do with AVX2."""
    less = {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    test = f"{__file__}::test_shards_and_neighbors_change_no_byte"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        env={name: value for name, value in os.environ.items() if name != "MKL_CBWR"} | less,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes the batch size as it is")
@pytest.mark.parametrize("batch_size", [1, 3])
def test_batch_size_changes_no_byte(plan, sd, made, tmp_path, batch_size):
    other = generate(plan, sd, tmp_path, batch_size=batch_size)
    assert other["sha256"].tolist() == made["sha256"].tolist()


def test_the_log_says_what_is_cut_from_a_long_prompt(plan, sd, tmp_path, caplog):
    long = plan.iloc[[0]].assign(prompt="red zebra " * 100 + "sharp")
    generate(long, sd, tmp_path)
    told = [record for record in caplog.records if "truncated" in record.getMessage()]
    assert told and "sharp" in told[0].getMessage()


@pytest.mark.parametrize("calls", [1, 3])
def test_images_per_call_change_at_most_a_rounding(plan, sd, made, tmp_path, monkeypatch, calls):
    monkeypatch.setattr(batches, "CPU_BATCH", calls)
    other = pixels(generate(plan, sd, tmp_path, batch_size=calls))
    for id_, image in pixels(made).items():
        difference = np.abs(image - other[id_])
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01


def test_prompt_seed_and_map_each_change_the_picture(plan, sd, made, tmp_path):
    first = plan.iloc[[0]]
    reference = pixels(made)[first["id"].iloc[0]]
    changes = [
        {"prompt": "blue zebra 9"},
        {"seed": 7},
        {"negative_prompt": "dark water"},
        plan.iloc[1][["condition", "condition_sha256"]].to_dict(),
    ]
    for number, change in enumerate(changes):
        other = generate(first.assign(**change), sd, tmp_path / str(number), batch_size=1)
        image = next(iter(pixels(other).values()))
        assert np.abs(reference - image).mean() > 0.1, change


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 3},
        {"guidance_scale": 1.0},
        {"conditioning_scale": 0.2},
        {"control_guidance_start": 0.6},
        {"control_guidance_end": 0.4},
        {"scheduler": "DDIMScheduler"},
        {"scheduler": "EulerAncestralDiscreteScheduler"},
    ],
)
def test_each_setting_reaches_the_pipeline(plan, sd, made, tmp_path, change):
    other = generate(plan[:1], {**sd, **change}, tmp_path, batch_size=1)
    reference = pixels(made)[plan["id"].iloc[0]]
    assert np.abs(reference - next(iter(pixels(other).values()))).mean() > 0.01
    again = generate(plan[:1], {**sd, **change}, tmp_path / "again", batch_size=1)
    assert other["sha256"].tolist() == again["sha256"].tolist()


def test_sdxl_through_the_same_code(plan, sdxl, tmp_path):
    from diffusers import (
        ControlNetModel,
        StableDiffusionXLControlNetPipeline,
        UniPCMultistepScheduler,
    )

    made = pixels(generate(plan[:2], sdxl, tmp_path, batch_size=2))
    pipe = load_by_diffusers(sdxl, StableDiffusionXLControlNetPipeline, ControlNetModel)
    pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config)
    row = next(plan.itertuples())
    reference = pipe(
        row.prompt,
        image=Image.open(row.condition),
        num_inference_steps=2,
        guidance_scale=3.0,
        generator=torch.Generator("cpu").manual_seed(row.seed),
    ).images[0]
    assert np.abs(np.asarray(reference, int) - made[row.id]).max() <= 1


def test_transformers_through_the_same_code(plan, transformer, tmp_path, monkeypatch):
    """The reference is diffusers itself; it draws noise for SD3's map that no seed decides."""
    import diffusers
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution as Latents

    made = pixels(generate(plan[:2], transformer, tmp_path / "made", batch_size=2))
    index = json.loads(Path(transformer["model"], "model_index.json").read_text())
    family = index["_class_name"].removesuffix("Pipeline")
    kind = getattr(diffusers, f"{family}ControlNetPipeline")
    network = getattr(diffusers, f"{family.replace('StableDiffusion', 'SD')}ControlNetModel")
    if family == "StableDiffusion3":
        monkeypatch.setattr(Latents, "sample", lambda latents, generator=None: latents.mode())
    row = next(plan.itertuples())
    reference = load_by_diffusers(transformer, kind, network)(
        row.prompt,
        control_image=Image.open(row.condition),
        width=row.width,
        height=row.height,
        num_inference_steps=2,
        guidance_scale=3.0,
        generator=torch.Generator("cpu").manual_seed(row.seed),
    ).images[0]
    assert np.abs(np.asarray(reference, int) - made[row.id]).max() <= 1


def test_their_pictures_depend_on_their_row_alone(plan, transformer, tmp_path):
    first = plan.iloc[[0]]
    made = generate(plan[::-1], transformer, tmp_path / "all")
    alone = generate(first, transformer, tmp_path / "alone")
    assert alone["sha256"].iloc[0] == made.set_index("id")["sha256"][first["id"].iloc[0]]
    reference = pixels(made)[first["id"].iloc[0]]
    changes = [
        {"prompt": "blue zebra 9"},
        {"seed": 7},
        plan.iloc[1][["condition", "condition_sha256"]].to_dict(),
    ]
    for number, change in enumerate(changes):
        other = generate(first.assign(**change), transformer, tmp_path / str(number))
        image = next(iter(pixels(other).values()))
        assert np.abs(reference - image).mean() > 0.1, change


def test_the_png_says_how_it_was_made(made, plan, sd, tmp_path):
    row = plan.iloc[[0]].assign(negative_prompt="blurry")
    image = Image.open(generate(row, sd, tmp_path, batch_size=1)["image"].iloc[0])
    prompt, negative, settings = image.text["parameters"].split("\n")
    assert (prompt, negative) == ("a red 0", "Negative prompt: blurry")
    assert settings.startswith(
        "Steps: 2, Sampler: UniPC, CFG scale: 3, Seed: 4294967295, Size: 32x32, Model: "
    )
    assert 'ControlNet 0: "Model: ' in settings
    without = Image.open(made["image"].iloc[0]).text["parameters"]
    assert len(without.split("\n")) == 2


def test_a_resumed_shard_makes_only_what_is_missing_and_the_same(
    plan, sd, made, tmp_path, monkeypatch
):
    folder = tmp_path / "images"
    shutil.copytree(Path(made["image"].iloc[0]).parent, folder)
    whole = contents(folder)
    names = sorted(whole)
    (folder / names[0]).unlink()
    (folder / names[1]).write_bytes(whole[names[1]][:-200])
    save_png(folder / names[3], np.zeros((32, 32, 3), np.uint8))
    calls = count_calls(monkeypatch)
    again = generate(plan, sd, folder)
    assert contents(folder) == whole
    assert again["sha256"].tolist() == made["sha256"].tolist()
    assert sum(len(batch) for batch in calls) == 3


def test_a_killed_shard_resumes_to_the_same_bytes(plan, sd, made, tmp_path):
    """SIGKILL as soon as the first picture is there, then the rest."""
    folder = tmp_path / "images"
    plan.to_pickle(tmp_path / "plan.pickle")
    code = (
        "import json, sys, pandas as pd; from pathlib import Path; import torch;"
        "torch.set_num_threads(1); from cia.generation.drawing import generate_shard;"
        "generate_shard(pd.read_pickle(sys.argv[1]), 0, 1, json.loads(sys.argv[2]),"
        " Path(sys.argv[3]), 1)"
    )
    arguments = [str(tmp_path / "plan.pickle"), json.dumps(sd), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    worker = subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment)
    while not list(folder.glob("[!.]*.png")) and worker.poll() is None:
        time.sleep(0.01)
    worker.send_signal(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    kept = contents(folder)
    resumed = generate(plan, sd, folder, batch_size=1)
    assert {name: content for name, content in contents(folder).items() if name in kept} == kept
    fresh = generate(plan, sd, tmp_path / "fresh", batch_size=1)
    assert resumed["sha256"].tolist() == fresh["sha256"].tolist()


def test_a_finished_shard_loads_no_model(plan, sd, made, monkeypatch):
    monkeypatch.setattr(drawing, "load_pipeline", None)
    again = generate(plan, sd, Path(made["image"].iloc[0]).parent)
    pd.testing.assert_frame_equal(again, made)


def test_what_the_key_depends_on(plan, sd, tmp_path):
    def keys(settings, rows=plan):
        models = drawing.Models(
            pipelines.find_model(settings, "x"), pipelines.find_controlnet(settings, "x")
        )
        return list(drawing.image_keys(rows, settings, models, "cpu").values())

    base = keys(sd)
    assert len(set(base)) == len(plan)
    for change in ({"steps": 3}, {"dtype": "bfloat16"}, {"conditioning_scale": 0.5}):
        assert not set(keys({**sd, **change})) & set(base), change
    for column in ("prompt", "negative_prompt", "condition_sha256"):
        assert not set(keys(sd, plan.assign(**{column: "other"}))) & set(base), column
    moved = tmp_path / "moved"
    shutil.copytree(sd["model"], moved)
    (moved / "README.md").write_text("a card")
    assert keys(generator_settings(moved)) == base
    for part in ("unet/diffusion_pytorch_model.safetensors", "controlnet/config.json"):
        changed = tmp_path / part.split("/")[0]
        shutil.copytree(moved, changed)
        with open(changed / part, "ab") as file:
            file.write(b" ")
        assert not set(keys(generator_settings(changed))) & set(base), part


def test_compiled_networks_make_images_of_their_own(plan, sd, made, tmp_path, monkeypatch):
    """They round otherwise; pruning knows both, and keys of other images say nothing of it."""
    monkeypatch.setattr(drawing, "compile_networks", lambda pipe: None)  # takes minutes
    folder, key = tmp_path / "images", "generators.x"
    shutil.copytree(Path(made["image"].iloc[0]).parent, folder)
    plain, models = contents(folder), drawing.find_models(sd, key)
    drawing.generate_shard(plan, 0, 1, sd, folder, 4, key, compiled=True)
    compiled = contents(folder)
    assert all(compiled[name] != plain[name] for name in plain), "an image is taken for another's"
    keys = drawing.image_keys(plan, sd, models, "cpu")
    assert keys == drawing.image_keys(plan, sd, models, "cpu", compiled=False)
    others = drawing.image_keys(plan, sd, models, "cpu", compiled=True)
    assert not set(keys.values()) & set(others.values())
    assert {*keys.values(), *others.values()} <= drawing.possible_keys(plan, sd, key)


def count_calls(monkeypatch, limit=None):
    """Record the ids of every batch; raise as torch does when a batch is larger than `limit`."""
    from diffusers import StableDiffusionControlNetPipeline as Pipeline

    batches, call = [], Pipeline.__call__
    paint_full = drawing._paint_full

    def limited(self, *args, generator=None, **kwargs):
        if limit is not None and len(generator) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return call(self, *args, generator=generator, **kwargs)

    limited.__signature__ = inspect.signature(call)

    def recorded(painter, batch, maps, size):
        images = paint_full(painter, batch, maps, size)
        if images is not None:
            batches.append([row.id for row in batch])
        return images

    monkeypatch.setattr(Pipeline, "__call__", limited)
    monkeypatch.setattr(drawing, "_paint_full", recorded)
    return batches


def test_out_of_memory_halves_the_batch_and_goes_on(plan, sd, tmp_path, monkeypatch, caplog):
    batches = count_calls(monkeypatch, limit=2)
    table = generate(plan, sd, tmp_path, batch_size=5)
    assert sorted(id_ for batch in batches for id_ in batch) == sorted(plan["id"])
    assert [len(batch) for batch in batches] == [2, 2, 1, 2]
    assert len(table) == 7 and "going on with 2" in caplog.text


def test_out_of_memory_with_one_image_is_an_error(plan, sd, tmp_path, monkeypatch):
    count_calls(monkeypatch, limit=0)
    with pytest.raises(UserError, match="one image of 32x32 does not fit"):
        generate(plan, sd, tmp_path, batch_size=2)
    assert not list(tmp_path.iterdir())


def test_other_errors_surface_with_the_images_named(plan, sd, tmp_path, monkeypatch):
    def broken(self, rows, maps):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(drawing.Painter, "paint", broken)
    with pytest.raises(RuntimeError, match="multiplied") as caught:
        generate(plan[:1], sd, tmp_path)
    assert "ünï. 0_v000" in caught.value.__notes__[0]


def test_an_error_while_saving_surfaces(plan, sd, tmp_path, monkeypatch):
    def broken(*args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(drawing, "write_bytes", broken)
    with pytest.raises(OSError, match="Input/output"):
        generate(plan[:1], sd, tmp_path, batch_size=1)


def test_nan_and_infinity_are_an_error(plan, sd, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "broken"
    shutil.copytree(sd["model"], folder)
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["decoder.conv_out.bias"][0] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(
        UserError, match=r"0_v000: .* NaN or infinity (.|\n)* set generators.x.dtype to bfloat16"
    ):
        generate(plan[:1], generator_settings(folder), tmp_path / "images", batch_size=2)
    assert not list((tmp_path / "images").iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "./nowhere"}, r"generators.x.model: there is no folder './nowhere'"),
        ({"controlnet": "/no/where"}, r"generators.x.controlnet: there is no folder"),
        ({"controlnet_subfolder": "unet"}, "holds a UNet2DConditionModel"),
        ({"controlnet_subfolder": "other"}, "config.json is missing"),
        ({"scheduler": "UniPC"}, "no scheduler 'UniPC'; there are .*UniPCMultistepScheduler"),
        ({"scheduler": "DPMSolverSDEScheduler"}, "generators.x.scheduler"),
    ],
)
def test_a_wrong_setting_is_named(plan, sd, tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        generate(plan[:1], {**sd, **change}, tmp_path)


def test_an_unreachable_hub_names_the_key(plan, sd, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for key in ("model", "controlnet"):
        with pytest.raises(UserError, match=rf"set generators.x.{key} to its folder"):
            generate(plan[:1], {**sd, key: "someone/no-such-model"}, tmp_path)


def test_model_and_controlnet_of_two_families_are_an_error(plan, sd, sdxl, tmp_path):
    mixed = {**sdxl, "controlnet": sd["controlnet"]}
    with pytest.raises((UserError, ValueError, RuntimeError)):
        generate(plan[:1], mixed, tmp_path, batch_size=1)
    assert not list(tmp_path.glob("*.png"))


def test_weights_that_would_be_unpickled_are_refused(plan, sd, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(sd["model"], folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match="safetensors"):
        generate(plan[:1], generator_settings(folder), tmp_path / "images")


def test_a_changed_or_missing_map_is_an_error(plan, sd, tmp_path):
    path = tmp_path / "map.png"
    shutil.copy(plan["condition"].iloc[0], path)
    rows = plan[:1].assign(condition=path.as_posix())
    save_png(path, np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(UserError, match="changed since the plan"):
        generate(rows, sd, tmp_path / "images")
    path.unlink()
    with pytest.raises(UserError, match="the condition map is gone"):
        generate(rows, sd, tmp_path / "images")


def test_sides_that_do_not_fit_the_model_are_an_error(plan, sd, tmp_path):
    with pytest.raises(UserError, match=r"multiples of 4.*30x32.*`size`"):
        generate(plan[:1].assign(width=30), sd, tmp_path)


def test_a_shard_without_images_is_empty(plan, sd, tmp_path):
    empty = [shard for shard in range(50) if not (drawing.shard_of(plan["id"], 50) == shard).any()]
    assert generate(plan, sd, tmp_path, shard=empty[0], shards=50).empty


def test_prompts_are_encoded_once(plan, sd, tmp_path, monkeypatch):
    from diffusers import StableDiffusionControlNetPipeline as Pipeline

    texts, encode = [], Pipeline.encode_prompt

    def recorded(self, prompt=None, *args, **kwargs):
        texts.append(prompt)
        return encode(self, prompt, *args, **kwargs)

    monkeypatch.setattr(Pipeline, "encode_prompt", recorded)
    generate(plan, sd, tmp_path)
    assert sorted(text for text in texts if text) == sorted(set(plan["prompt"]))


def test_script(plan, sd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan_file, out, models = (tmp_path / name for name in ("plan.csv", "0.csv", "models.yaml"))
    plan.to_csv(plan_file, index=False)
    job = SimpleNamespace(
        input=SimpleNamespace(plan=plan_file),
        output=SimpleNamespace(shard=out, models=models),
        params=SimpleNamespace(folder=str(tmp_path / "set"), shards=1, settings=sd),
        wildcards=SimpleNamespace(shard="0", generator="x"),
        resources=Resources(batch_size=4),
    )
    runpy.run_path(str(ROOT / "scripts" / "generate.py"))["main"](job)
    table = pd.read_csv(out, dtype=str)
    assert len(table) == 7
    assert table["image"].iloc[0].startswith(str(tmp_path / "set" / "images"))
    assert yaml.safe_load(models.read_text())["controlnet"]["identity"]


class Resources(SimpleNamespace):
    """As Snakemake's: attributes, and `get` with a default."""

    def get(self, name, default=None):
        return getattr(self, name, default)
