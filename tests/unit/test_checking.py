"""A generator's model and ControlNet are tried in seconds, before anything is made with them."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from cia.errors import UserError
from conftest import ROOT

torch = pytest.importorskip("torch")

from cia.generation.checking import check_generator  # noqa: E402

WEIGHTS = "diffusion_pytorch_model.safetensors"


def settings_for(model, controlnet=None, **changes):
    settings = {"model": str(model), "controlnet": str(controlnet or model)}
    return {**settings, "controlnet_subfolder": "controlnet", "scheduler": None, **changes}


def check(settings, size=(64, 64)):
    return check_generator(settings, size, "generators.mine")


@pytest.fixture(scope="module")
def sd(small_model):
    return small_model("sd15")


@pytest.fixture(scope="module")
def sdxl(small_model):
    return small_model("sdxl")


@pytest.fixture(scope="module")
def sd35(small_model):
    return small_model("sd35-medium")


@pytest.fixture(scope="module")
def flux(small_model):
    return small_model("flux")


@pytest.fixture
def copy(sd, tmp_path):
    return shutil.copytree(sd, tmp_path / "model")


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_fits_is_told_with_its_classes(sd, sdxl):
    tiny = check(settings_for(ROOT / "resources" / "tiny-sd"))
    assert tiny["model"]["class"] == "StableDiffusionControlNetPipeline"
    large = check(settings_for(sdxl, scheduler="UniPCMultistepScheduler"), {"resolution": 512})
    assert large["model"]["class"] == "StableDiffusionXLControlNetPipeline"
    assert large["controlnet"] == {"name": str(sdxl), "commit": None, "class": "ControlNetModel"}


def test_so_are_models_with_transformers(sd35, flux):
    for folder, family in ((sd35, "StableDiffusion3"), (flux, "Flux")):
        found = check(settings_for(folder))
        assert found["model"]["class"] == f"{family}ControlNetPipeline"
        assert (
            found["controlnet"]["class"]
            == f"{family.replace('StableDiffusion', 'SD')}ControlNetModel"
        )
        with pytest.raises(UserError, match=r"mine.model: .*multiples of 8.*`size`"):
            check(settings_for(folder), [68, 64])


def test_the_check_reads_no_weights(sd, monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("weights are read")

    monkeypatch.setattr("safetensors.torch.load_file", refuse)
    monkeypatch.setattr("torch.load", refuse)
    monkeypatch.setattr("torch.nn.Module.__init__", refuse)
    check(settings_for(sd))


def test_model_and_controlnet_of_two_families_are_an_error(sd, sdxl, sd35, flux):
    for model, controlnet in ((sd, sdxl), (sdxl, sd)):
        with pytest.raises(UserError, match=r"(?s)mine.controlnet: .*another model.*one family"):
            check(settings_for(model, controlnet))
    for model, controlnet in ((sd35, flux), (flux, sd35), (sd35, sd), (sdxl, flux)):
        with pytest.raises(UserError, match=r"mine.controlnet: .*takes a .*one family"):
            check(settings_for(model, controlnet))


def test_another_kind_of_controlnet_is_an_error(copy):
    edit_json(copy / "controlnet" / "config.json", _class_name="FluxControlNetModel")
    with pytest.raises(
        UserError, match=r"is a FluxControlNetModel, but .* takes a ControlNetModel"
    ):
        check(settings_for(copy))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("model_index.json", {"_class_name": "IFPipeline"}, "is a IFPipeline, with which diff"),
        ("unet/config.json", {"in_channels": 9}, "its in_channels is 4, the model's 9"),
        ("controlnet/config.json", {"conditioning_channels": 1}, "takes maps with 1 channels"),
        ("controlnet/config.json", {"_class_name": "UNet2DModel"}, "holds a UNet2DModel"),
    ],
)
def test_what_does_not_fit_is_named(copy, file, changes, message):
    edit_json(copy / file, **changes)
    with pytest.raises(UserError, match=rf"generators.mine.\w+: .*{message}"):
        check(settings_for(copy))


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "controlnet"])
def test_weights_that_are_missing_cut_off_or_pickled_are_named(copy, part):
    name = "model.safetensors" if part == "text_encoder" else WEIGHTS
    path = copy / part / name
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(UserError, match=rf"{part}/{name} is truncated"):
        check(settings_for(copy))
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n")
    with pytest.raises(UserError, match=rf"{part}/{name} is a Git LFS pointer"):
        check(settings_for(copy))
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(UserError, match=rf"has no {part}/{name}; weights must be safetensors"):
        check(settings_for(copy))


def test_a_folder_of_the_model_that_is_missing_is_named(copy):
    shutil.rmtree(copy / "vae")
    with pytest.raises(UserError, match="has no folder vae for its AutoencoderKL"):
        check(settings_for(copy))


def test_weights_in_parts_are_all_there_or_named(copy):
    folder = copy / "unet"
    (folder / WEIGHTS).rename(folder / "part-1.safetensors")
    index = {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="has no unet/part-2.safetensors"):
        check(settings_for(copy))
    shutil.copy(folder / "part-1.safetensors", folder / "part-2.safetensors")
    check(settings_for(copy))


def test_a_scheduler_that_can_t_be_and_a_size_that_does_not_fit_are_named(sd, copy):
    with pytest.raises(UserError, match=r"mine.scheduler: .*noise"):
        check(settings_for(sd, scheduler="DPMSolverSDEScheduler"))
    edit_json(
        copy / "scheduler" / "scheduler_config.json",
        _class_name="CosineDPMSolverMultistepScheduler",
    )
    with pytest.raises(UserError, match=r"mine.scheduler: .*noise"):
        check(settings_for(copy))
    with pytest.raises(UserError, match=r"mine.model: .*multiples of 4.*`size`"):
        check(settings_for(sd), [66, 64])


class Hub(http.server.SimpleHTTPRequestHandler):
    """As much of the hub as the check asks: files, their commit, and their list."""

    commit = "0123456789abcdef0123456789abcdef01234567"

    def answer(self, status, content=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_GET(self):
        model, _, rest = self.path.lstrip("/").partition("/resolve/")
        if rest:
            return self.file(model, *rest.split("/", 1))
        name = self.path.partition("?")[0].removeprefix("/api/models/").split("/")
        root = Path(self.directory, *name[:2])
        if not root.is_dir():
            return self.answer(404, X_Error_Code="RepoNotFound")
        files = [path for path in root.rglob("*") if path.is_file()]
        names = [path.relative_to(root).as_posix() for path in files]
        tree = [{"type": "file", "path": name, "size": 1, "oid": "0"} for name in names]
        siblings = [{"rfilename": name} for name in names]
        info = {"id": "/".join(name[:2]), "sha": self.commit, "siblings": siblings}
        content = json.dumps(tree if "tree" in name else info).encode()
        self.answer(200, content, Content_Type="application/json")

    do_HEAD = do_GET

    def file(self, model, revision, name):
        if not Path(self.directory, model).is_dir():
            return self.answer(404, X_Error_Code="RepoNotFound")
        if revision not in ("main", self.commit):
            return self.answer(404, X_Error_Code="RevisionNotFound")
        path = Path(self.directory, model, name)
        if not path.is_file():
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=self.commit)
        begin, end = re.findall(r"\d+", self.headers.get("range", "")) or (None, None)
        header = self.command == "HEAD" or end
        assert path.suffix == ".json" or header, f"{name} is fetched, weights and all"
        content = path.read_bytes()[slice(int(begin), int(end) + 1) if end else slice(None)]
        self.answer(200, content, X_Repo_Commit=self.commit, ETag=f'"{len(content)}{path.stem}"')

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(sd, tmp_path):
    """A hub that has the tiny model as `me/tiny`; what a process needs to ask it."""
    (tmp_path / "hub" / "me").mkdir(parents=True)
    (tmp_path / "hub" / "me" / "tiny").symlink_to(sd)
    handler = partial(Hub, directory=str(tmp_path / "hub"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "cache"),
        }
        server.shutdown()


LOOK_AT_LORA = """
import json, sys
sys.path.insert(0, "scripts")
from cia.errors import UserError
from cia.generation.loras import look_at_lora
for file, revision in json.loads(sys.argv[1]):
    try:
        entry = {"model": "me/tiny", "file": file, "revision": revision}
        found, header = look_at_lora(entry, "generators.mine.lora.0")
        shape = list(header["conv_in.weight"]["shape"])
        print("found", found["name"], found["commit"], shape)
    except UserError as error:
        print(str(error).replace(chr(10), " "))
"""

LOOK = """
import json, sys
sys.path.insert(0, "scripts")
from cia.errors import UserError
from cia.generation.repositories import find_repository
for name, revision in json.loads(sys.argv[1]):
    try:
        found = find_repository(name, revision, "model_index.json", "generators.mine.model")
        found.read_json("unet/config.json")
        found.require_weights("unet", "diffusion_pytorch_model")
        print("found", found.commit)
    except UserError as error:
        print(str(error).replace(chr(10), " "))
"""


def look(environment, *models, script=LOOK):
    command = [sys.executable, "-c", script, json.dumps(models)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_model_of_the_hub_is_looked_at_by_its_small_files(hub):
    models = [("me/tiny", None), ("me/tiny", Hub.commit), ("me/tiny", "v9"), ("me/other", None)]
    newest, pinned, revision, other = look(hub, *models)
    assert newest == pinned == f"found {Hub.commit}"
    assert "generators.mine.model: 'me/tiny' has no revision 'v9' on the hub" in revision
    assert (
        "generators.mine.model: 'me/other' is neither a folder here nor a public model on the hub"
        in other
    )


def test_without_network_the_hub_s_cache_is_looked_at(hub):
    look(hub, ("me/tiny", None))
    offline = hub | {"HF_HUB_OFFLINE": "1"}
    partial, unknown = look(offline, ("me/tiny", None), ("me/other", None))
    assert "has no unet/diffusion_pytorch_model.safetensors" in partial, "not fetched yet"
    assert "set generators.mine.model to its folder" in unknown
    cached = Path(hub["HF_HOME"], "hub/models--me--tiny/snapshots", Hub.commit, "unet")
    shutil.copy(Path(ROOT, "resources/tiny-sd/unet", WEIGHTS), cached)
    assert look(offline, ("me/tiny", None)) == [f"found {Hub.commit}"]


def test_a_lora_of_the_hub_is_looked_at_by_its_header(hub):
    """Any weights will do here: those of the tiny model's UNet."""
    file = f"unet/{WEIGHTS}"
    files = [
        (file, None),
        (file, Hub.commit),
        (file, "v9"),
        (None, None),
        ("vae/config.json", None),
    ]
    newest, pinned, revision, unnamed, other = look(hub, *files, script=LOOK_AT_LORA)
    assert newest == pinned == f"found me/tiny/{file} {Hub.commit} [16, 4, 3, 3]"
    where = "generators.mine.lora.0.model: 'me/tiny'"
    assert f"{where} has no revision 'v9' on the hub" in revision
    assert f"{where} has no pytorch_lora_weights.safetensors on the hub; set `file`" in unnamed
    assert "is not a safetensors file" in other


def test_without_network_the_hub_s_cache_is_looked_at_for_a_lora(hub, sd):
    look(hub, ("me/tiny", None))
    offline, file = hub | {"HF_HUB_OFFLINE": "1"}, f"unet/{WEIGHTS}"
    (said,) = look(offline, (file, None), script=LOOK_AT_LORA)
    assert "set generators.mine.lora.0.model to its folder" in said, "not fetched yet"
    cached = Path(hub["HF_HOME"], "hub/models--me--tiny/snapshots", Hub.commit, "unet")
    shutil.copy(sd / file, cached)
    (said,) = look(offline, (file, None), script=LOOK_AT_LORA)
    assert said == f"found me/tiny/{file} {Hub.commit} [16, 4, 3, 3]"
