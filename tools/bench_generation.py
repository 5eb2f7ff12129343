"""Measure generation at true size: against diffusers' own loop, and against one image at a time.

Usage: bench_generation.py [--families sd15 sdxl] [--batches 1 8 32] [--steps 20x7.5 4x1]
           [--networks eager compiled] [--dtypes float16] [--sides ours plain offloaded]
           [--rounds N] [--seconds S] [--minutes M] [--threads N] [--small]
           [--models FOLDER] [--results FILE] [--write PAGE]

The models have random weights (tools/random_model.py; speed and memory do not depend on them), and
are written to --models first if they are not there. Three sides are compared:

ours        `generate_shard`, with its PNGs and tables
plain       the loop that diffusers' documentation shows, in the same batches; images in memory
offloaded   as ciagen draws: one image at a time with `enable_model_cpu_offload`, saved as PNG

On a GPU all sides of a case run in turn in one process: one batch to warm up (and to compile), then
--rounds rounds of about --seconds each, of which the median counts. On a CPU each side is a process
of its own, which draws one batch once; there is no offloading, so that one image at a time is the
plain loop with batches of 1.

Without options the cases are those that the device can do: on a GPU both families in batches of 1
to 32, in 20 steps with guidance and 4 without, eager and compiled; on a CPU sd15 in bfloat16 and
float32, in batches of 1 and 2, in 2 steps (16 GB of memory). After --minutes (15 on a CPU) no case
is begun, and one at work is stopped; the same command goes on with what is not in --results yet.
--write puts the tables into a page between the marks of the device's kind.
"""

import argparse
import gc
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from statistics import median
from threading import Lock
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from bench import status  # noqa: E402
from random_model import FAMILIES, read_family, save_random_model  # noqa: E402

from cia.files import digest_file  # noqa: E402
from cia.generation.rounding import steady_rounding  # noqa: E402
from cia.images import save_png  # noqa: E402
from cia.tables import write_table  # noqa: E402

DEFAULTS = {
    "cuda": {
        "families": ["sd15", "sdxl"],
        "dtypes": ["float16"],
        "batches": [1, 2, 4, 8, 16, 32],
        "steps": ["20x7.5", "4x1"],
        "networks": ["eager", "compiled"],
        "sides": ["ours", "plain", "offloaded"],
        "rounds": 3,
        "minutes": float("inf"),
    },
    "cpu": {
        "families": ["sd15"],
        "dtypes": ["bfloat16", "float32"],
        "batches": [1, 2],
        "steps": ["2x7.5"],
        "networks": ["eager"],
        "sides": ["ours", "plain"],
        "rounds": 1,
        "minutes": 15,
    },
}
"""What is measured without options, by kind of device."""

MOST_CALLS = 16
"""Batches in a round at most."""

SMALL_SIDE = 64
MAPS = 8
PLACES = ["in a street", "in a park", "in an office", "at the beach", "in a kitchen"]
LIGHTS = ["at noon", "at dusk", "in the rain", "on a cloudy day"]
NEGATIVE = "cartoon, drawing, low quality, blurry, deformed"

STAGES = ("text", "denoising", "decoding", "png", "rest")
MARK = "<!-- bench-generation on {} -->", "<!-- end of bench-generation on {} -->"


def main() -> None:
    options = read_options()
    if options.child:
        case = json.loads(options.child)
        print(json.dumps(measure(case) if case else find_device()))
        return
    # by a child: a process that has looked at a GPU keeps some of its memory
    kind, machine = run_child({}, float("inf"))
    for name, value in DEFAULTS[kind].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    cases = list(list_cases(options))
    for family in options.families:
        make_model(options, family)
    found, failed = run_cases(cases, options, kind, machine)
    tables = f"{speed_table(found)}\n\n{stage_table(found)}"
    print(f"\n{tables}")
    if options.write:
        write(options.write, kind, tables, machine)
    if failed:
        sys.exit(f"{failed} cases failed, see above")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=FAMILIES)
    parser.add_argument("--batches", nargs="+", type=int)
    parser.add_argument("--steps", nargs="+", help="number of steps x guidance scale: 20x7.5")
    parser.add_argument("--networks", nargs="+", choices=["eager", "compiled"])
    parser.add_argument("--dtypes", nargs="+", choices=["float16", "bfloat16", "float32"])
    parser.add_argument("--sides", nargs="+", choices=list(SIDES))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a round on a GPU")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--threads", type=int, help="of torch; by default as many as it takes")
    parser.add_argument("--small", action="store_true", help="models in miniature")
    parser.add_argument("--models", type=Path, default=ROOT / "runs" / "models")
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "bench_generation.json")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def find_device() -> tuple[str, str]:
    """Return the kind of device, and what is measured on, in words."""
    import torch

    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    if torch.cuda.is_available():
        return "cuda", f"{torch.cuda.get_device_name()}, {versions}"
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return "cpu", f"{os.cpu_count()} cores of {next(names, platform.machine())}, {versions}"


def list_cases(options: argparse.Namespace) -> Iterator[dict]:
    """Yield what is to be measured, the fastest family and the smallest batch first."""
    parts = options.families, options.dtypes, options.networks, options.steps, options.batches
    for family, dtype, networks, steps, batch in itertools.product(*parts):
        count, guidance = steps.split("x")
        sides = [name for name in options.sides if networks == "eager" or name != "offloaded"]
        yield {
            "family": family,
            "dtype": dtype,
            "networks": networks,
            "steps": int(count),
            "guidance": float(guidance),
            "batch": batch,
            "side": SMALL_SIDE if options.small else read_family(family)["side"],
            "model": str(model_folder(options, family)),
            "sides": sides,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "threads": options.threads,
        }


def model_folder(options: argparse.Namespace, family: str) -> Path:
    return options.models / (f"{family}-small" if options.small else family)


def make_model(options: argparse.Namespace, family: str) -> None:
    folder = model_folder(options, family)
    if not (folder / "model_index.json").exists():  # what is written last
        print(f"writing {folder}", flush=True)
        save_random_model(family, folder, options.small)


def case_name(case: dict) -> str:
    names = (
        "family",
        "side",
        "dtype",
        "networks",
        "steps",
        "guidance",
        "batch",
        "threads",
        "sides",
    )
    return " ".join(f"{name}={case[name]}" for name in names)


def run_cases(
    cases: list[dict], options: argparse.Namespace, kind: str, machine: str
) -> tuple[list[dict], int]:
    """Measure the cases that are not in the file of results yet.

    Returns
    -------
    found : list of dict
        Cases with what was measured of them, now or before.
    failed : int
        How many ended with an error.
    """
    deadline = time.monotonic() + 60 * options.minutes
    known = json.loads(options.results.read_text()) if options.results.exists() else {}
    there, failed = known.setdefault(machine, {}), 0
    for case in cases:
        name = case_name(case)
        left = deadline - time.monotonic()
        if name in there or left <= 0:
            continue
        try:
            result = run_case(case, kind, left)
        except subprocess.TimeoutExpired:
            print(f"{name}: stopped, the time is over", flush=True)
            continue
        except subprocess.CalledProcessError as error:
            killed = "killed, probably for lack of memory" if error.returncode == -9 else ""
            print(f"{name}: {killed or error.stderr[-3000:]}", flush=True)
            failed += 1
            continue
        there[name] = {**case, **result}
        print(f"{name}: {json.dumps(result)}", flush=True)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps(known, indent=1) + "\n")
    found = [there[case_name(case)] for case in cases if case_name(case) in there]
    if len(found) < len(cases):
        print(f"{len(found)} of {len(cases)} cases are done; the same command does the others")
    return found, failed


def run_case(case: dict, kind: str, limit: float) -> dict:
    """Measure one case, on a CPU each of its sides in a process of its own."""
    groups = [case["sides"]] if kind == "cuda" else [[side] for side in case["sides"]]
    whole: dict[str, Any] = {"seconds": {}, "gigabytes": {}, "stages": {}, "out_of_memory": []}
    end = time.monotonic() + limit
    for sides in groups:
        result = run_child({**case, "sides": sides}, end - time.monotonic())
        for name in ("seconds", "gigabytes", "stages"):
            whole[name].update(result[name])
        whole["out_of_memory"] += result["out_of_memory"]
    return whole


def run_child(case: dict, limit: float) -> Any:
    """Run this file on a case in a process of its own; without a case it looks at the device."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(case)],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=True,
        timeout=None if limit == float("inf") else max(limit, 1),
    )
    return json.loads(done.stdout.splitlines()[-1])


# What follows runs in a child.


def measure(case: dict) -> dict:
    """Measure the sides of a case in this process.

    Returns
    -------
    dict
        seconds (side to seconds of an image), gigabytes (side to peak memory), stages (of ours, to
        seconds of an image), out_of_memory (sides that did not fit, which are nowhere else).
    """
    if "ours" in case["sides"]:
        steady_rounding()  # before torch is loaded, as the workflow's jobs do
    import torch

    if case["threads"]:
        torch.set_num_threads(case["threads"])
    sides, weights = {}, {}
    for name in case["sides"]:
        before = allocated()
        sides[name] = SIDES[name](case)
        weights[name] = allocated() - before
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(case, sides, weights, Path(folder))
        return bench.on_gpu() if torch.cuda.is_available() else bench.on_cpu()


def allocated() -> int:
    """Return the bytes that tensors take on the GPU."""
    import torch

    return torch.cuda.memory_allocated() if torch.cuda.is_available() else 0


def synchronize() -> None:
    """Wait until the GPU has done what it was given: it runs behind the program."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Bench:
    """The sides of one case, loaded.

    Parameters
    ----------
    weights : dict
        Side to the bytes that its weights take on the GPU all the time.
    folder : Path
        For maps and images.
    """

    def __init__(self, case: dict, sides: dict, weights: dict, folder: Path):
        self.case, self.sides, self.weights, self.folder = case, sides, weights, folder
        self._peaks: dict[str, int] = {}
        self._runs = 0
        (folder / "maps").mkdir()
        self._maps = make_maps(folder / "maps", case["side"])

    def on_cpu(self) -> dict:
        """Draw one batch once: a second one at true size would take minutes again."""
        batch, (name,) = self.case["batch"], self.sides
        watched = Stages()
        with watched.watch(self.sides[name].pipe) if name == "ours" else nullcontext():
            seconds = self._try(name, batch)
        if seconds is None:
            return result(out_of_memory=[name])
        # from the process's start: what a machine must have
        memory = {name: 1024 * status("VmHWM")}
        stages = watched.seconds(seconds, batch) if name == "ours" else {}
        return result({name: seconds}, memory, stages)

    def on_gpu(self) -> dict:
        """Warm up, then run the sides in turn; the stages of ours in a run of their own."""
        counts = {name: self._warm_up(name) for name in self.sides}
        too_large = [name for name, count in counts.items() if not count]
        counts = {name: count for name, count in counts.items() if count}
        pair = [counts[name] for name in ("ours", "plain") if name in counts]
        counts.update((name, min(pair)) for name in ("ours", "plain") if name in counts)
        self._peaks.clear()  # those of compiling and choosing kernels
        times: dict[str, list[float]] = {name: [] for name in counts}
        for turn in range(self.case["rounds"]):
            for name in list(counts)[:: -1 if turn % 2 else 1]:
                times[name].append(self._time(name, counts[name]))
        medians = {name: median(seconds) for name, seconds in times.items()}
        memory, stages = dict(self._peaks), {}
        if "ours" in counts:
            watched = Stages()
            with watched.watch(self.sides["ours"].pipe):
                seconds = self._time("ours", counts["ours"])
            stages = watched.seconds(seconds, counts["ours"])
        return result(medians, memory, stages, too_large)

    def _warm_up(self, name: str) -> int:
        """Compile and choose kernels; return the number of images of a round, 0 if none fit."""
        each_call = 1 if name == "offloaded" else self.case["batch"]
        if self._try(name, each_call) is None:
            return 0
        seconds = self._time(name, each_call) * each_call
        return each_call * min(max(round(self.case["seconds"] / seconds), 2), MOST_CALLS)

    def _try(self, name: str, images: int) -> float | None:
        """Time a run; None if memory does not suffice."""
        import torch

        try:
            return self._time(name, images)
        except (torch.OutOfMemoryError, MemoryError):
            pass
        gc.collect()  # outside of the handler, whose traceback holds tensors
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def _time(self, name: str, images: int) -> float:
        """Run a side; return seconds of an image, and keep its highest peak of GPU memory."""
        import torch

        self._runs += 1
        folder = self.folder / str(self._runs)
        folder.mkdir()
        rows = make_rows(self._maps, images, self.case["side"])
        # process-wide: loading our pipeline sets it, diffusers leaves torch's default
        torch.backends.cudnn.deterministic = name == "ours"
        others = sum(weights for side, weights in self.weights.items() if side != name)
        synchronize()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        self.sides[name].run(rows, folder)
        synchronize()
        seconds = time.perf_counter() - start
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() - others
            self._peaks[name] = max(self._peaks.get(name, 0), peak)
        return seconds / images


def result(
    seconds: dict | None = None,
    memory: dict | None = None,
    stages: dict | None = None,
    out_of_memory: list[str] | None = None,
) -> dict:
    """Return what `measure` does."""
    return {
        "seconds": seconds or {},
        "gigabytes": {name: peak / 1e9 for name, peak in (memory or {}).items()},
        "stages": stages or {},
        "out_of_memory": out_of_memory or [],
    }


def make_maps(folder: Path, side: int) -> list[tuple[str, str]]:
    """Save condition maps, outlines of random rectangles; return paths and digests."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(MAPS):
        pixels = np.zeros((side, side, 3), np.uint8)
        for _ in range(20):
            left, top = rng.integers(0, side // 2, 2)
            right, bottom = left + rng.integers(1, side // 2), top + rng.integers(1, side // 2)
            pixels[top : bottom + 1, [left, right]] = 255
            pixels[[top, bottom], left : right + 1] = 255
        path = folder / f"{index}.png"
        save_png(path, pixels)
        found.append((str(path), digest_file(path)))
    return found


def make_rows(maps: list[tuple[str, str]], count: int, side: int) -> pd.DataFrame:
    """Return rows of a plan: all seeds differ, and the prompts are those of an example's words."""
    prompts = [f"a photo of people {place}, {light}" for place in PLACES for light in LIGHTS]
    rows = [
        {
            "id": f"{index:04d}",
            "source": f"{index:04d}",
            "variant": 0,
            "seed": index,
            "prompt": prompts[index % len(prompts)],
            "negative_prompt": NEGATIVE,
            "width": side,
            "height": side,
            "condition": maps[index % len(maps)][0],
            "condition_sha256": maps[index % len(maps)][1],
        }
        for index in range(count)
    ]
    return pd.DataFrame(rows)


class Ours:
    """`generate_shard`, with PNGs and tables, of a pipeline that is loaded already."""

    def __init__(self, case: dict):
        from cia.generation import drawing, pipelines

        self.case, self.settings = case, settings_of(case)
        self.models = drawing.find_models(self.settings, "generators.bench")
        device = "cuda" if is_gpu() else "cpu"
        model, controlnet = self.models.model, self.models.controlnet
        self.pipe = pipelines.load_pipeline(
            model, controlnet, self.settings, "generators.bench", device
        )
        if case["networks"] == "compiled":
            pipelines.compile_networks(self.pipe)

    def run(self, rows: pd.DataFrame, folder: Path) -> None:
        from cia.generation import drawing

        batch = self.case["batch"]
        changes = {
            "load_pipeline": lambda *_: self.pipe,
            "cpu_batch": lambda *_: batch,
            "_smaller": refuse_smaller,
        }
        with patch.multiple(drawing, **changes):
            table = drawing.generate_shard(
                rows, 0, 1, self.settings, folder / "images", batch, models=self.models
            )
        write_table(folder / "shard.csv", table, "shard")


def refuse_smaller(painter: Any, batch: list, size: int) -> int:
    """End the measurement: a smaller batch would pass for this one."""
    import torch

    raise torch.OutOfMemoryError(f"a batch of {size} does not fit")


class Plain:
    """The loop of diffusers' documentation, in the same batches, with the images in memory."""

    def __init__(self, case: dict):
        self.case, self.pipe = case, load_by_diffusers(case)
        self.pipe.to("cuda" if is_gpu() else "cpu")

    def run(self, rows: pd.DataFrame, folder: Path) -> None:
        images = []
        for start in range(0, len(rows), self.case["batch"]):
            part = rows.iloc[start : start + self.case["batch"]]
            images += draw(self.pipe, self.case, part)


class Offloaded:
    """As ciagen draws: one image at a time, the networks taking turns on the GPU, saved as PNG."""

    def __init__(self, case: dict):
        self.case, self.pipe = case, load_by_diffusers(case)
        self.pipe.enable_model_cpu_offload()

    def run(self, rows: pd.DataFrame, folder: Path) -> None:
        for index in range(len(rows)):
            image = draw(self.pipe, self.case, rows.iloc[[index]])[0]
            image.save(folder / f"{index}.png")


SIDES: dict[str, Callable[[dict], Any]] = {"ours": Ours, "plain": Plain, "offloaded": Offloaded}


def is_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def settings_of(case: dict) -> dict:
    """Return the case as an entry of the config's `generators`."""
    return {
        "model": case["model"],
        "controlnet": case["model"],
        "controlnet_subfolder": "controlnet",
        "scheduler": scheduler_of(case),
        "steps": case["steps"],
        "guidance_scale": case["guidance"],
        "conditioning_scale": 1.0,
        "control_guidance_start": 0.0,
        "control_guidance_end": 1.0,
        "dtype": case["dtype"],
    }


def scheduler_of(case: dict) -> str | None:
    """Return the scheduler of the examples; flow-matching models keep their own."""
    return "UniPCMultistepScheduler" if case["family"] in ("sd15", "sdxl") else None


def load_by_diffusers(case: dict) -> Any:
    """Load a pipeline as diffusers' documentation does."""
    import diffusers
    import torch

    dtype = getattr(torch, case["dtype"])
    config = json.loads(Path(case["model"], "controlnet", "config.json").read_text())
    controlnet = getattr(diffusers, config["_class_name"]).from_pretrained(
        case["model"], subfolder="controlnet", dtype=dtype
    )
    pipe = diffusers.AutoPipelineForText2Image.from_pretrained(
        case["model"], controlnet=controlnet, dtype=dtype
    )
    if name := scheduler_of(case):
        pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: Any, case: dict, rows: pd.DataFrame) -> list:
    """Call a pipeline once, for all rows."""
    import torch
    from PIL import Image

    map_name = "image" if case["family"] in ("sd15", "sdxl") else "control_image"
    maps = [Image.open(path).convert("RGB") for path in rows["condition"]]
    return pipe(
        prompt=rows["prompt"].tolist(),
        negative_prompt=rows["negative_prompt"].tolist(),
        **{map_name: maps},
        width=case["side"],
        height=case["side"],
        num_inference_steps=case["steps"],
        guidance_scale=case["guidance"],
        generator=[torch.Generator("cpu").manual_seed(int(seed)) for seed in rows["seed"]],
    ).images


class Stages:
    """Where the time of ours goes; watching makes the GPU wait at each border."""

    def __init__(self):
        self._lock = Lock()
        self._spent = dict.fromkeys(("text", "decoding", "png", "painting"), 0.0)

    @contextmanager
    def watch(self, pipe: Any) -> Iterator[None]:
        """Time the stages of everything that is drawn in here."""
        from cia.generation import drawing

        places = {
            "text": (pipe, "encode_prompt"),
            "decoding": (pipe.vae, "decode"),
            "painting": (drawing.Painter, "paint"),
            "png": (drawing._Files, "save"),
        }
        with ExitStack() as stack:
            for stage, (owner, name) in places.items():
                timed = self._timed(getattr(owner, name), stage)
                stack.enter_context(patch.object(owner, name, timed))
            yield

    def seconds(self, total: float, images: int) -> dict[str, float]:
        """Return seconds of an image by stage.

        Images are saved beside the drawing of the next batch, so `png` is part of the whole only as
        far as it is in `rest`: what drawing leaves of the total, with keys, maps and tables.
        """
        spent = {stage: seconds / images for stage, seconds in self._spent.items()}
        painting = spent.pop("painting")
        spent["denoising"] = painting - spent["text"] - spent["decoding"]
        return {**spent, "rest": total - painting}

    def _timed(self, function: Callable, stage: str) -> Callable:
        wait = nullcontext if stage == "png" else synchronize  # images are saved in other threads

        @wraps(function)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            wait()
            start = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                wait()
                with self._lock:  # images are saved in several threads
                    self._spent[stage] += time.perf_counter() - start

        return timed


def speed_table(found: list[dict]) -> str:
    """Return images/s of the sides, how many times faster ours is, and memory."""
    lines = [
        "| model | numbers | steps, guidance | batch | networks of ours | ours, images/s "
        "| plain loop | times faster | one at a time | times faster | peak memory, ours | plain |",
        "|---|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case in found:
        seconds = {**one_at_a_time(case, found), **case["seconds"]}
        ours = seconds.get("ours")
        cells = [*label(case), case["networks"], rate(case, seconds, "ours")]
        for side in ("plain", "offloaded"):
            theirs = seconds.get(side)
            cells.append(rate(case, seconds, side))
            cells.append(f"{theirs / ours:.2f}" if theirs and ours else "")
        for side in ("ours", "plain"):
            memory = case["gigabytes"].get(side)
            cells.append(f"{memory:.1f} GB" if memory else "")
        lines.append(row(cells))
    return "\n".join(lines)


def rate(case: dict, seconds: dict, side: str) -> str:
    """Return images/s of a side, in words where there are none."""
    if side in case["out_of_memory"]:
        return "out of memory"
    return f"{1 / seconds[side]:.3g}" if side in seconds else ""


def one_at_a_time(case: dict, found: list[dict]) -> dict:
    """Where nothing can be offloaded, one at a time is the plain loop with batches of 1."""
    if "offloaded" in case["sides"] or case["networks"] == "compiled":
        return {}
    same = ("family", "side", "dtype", "steps", "guidance", "networks")
    alone = (one for one in found if one["batch"] == 1 and all(one[k] == case[k] for k in same))
    plain = next((one["seconds"].get("plain") for one in alone), None)
    return {"offloaded": plain} if plain else {}


def stage_table(found: list[dict]) -> str:
    """Return where the time of ours goes."""
    lines = [
        "| model | numbers | steps, guidance | batch | networks | seconds a step "
        "| text, s an image | denoising | decoding | PNG, beside the drawing | what is left |",
        "|---|---|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for case in found:
        if stages := case["stages"]:
            step = stages["denoising"] * case["batch"] / case["steps"]
            times = [f"{value:.3g}" for value in (step, *(stages[name] for name in STAGES))]
            lines.append(row([*label(case), case["networks"], *times]))
    return "\n".join(lines)


def label(case: dict) -> list[str]:
    guidance = f"{case['guidance']:g}" if case["guidance"] > 1 else "none"
    size = f"{case['family']}, {case['side']}x{case['side']}"
    return [size, case["dtype"], f"{case['steps']}, {guidance}", str(case["batch"])]


def row(cells: list[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def write(path: Path, kind: str, tables: str, machine: str) -> None:
    """Put the tables between the page's marks for this kind of device."""
    text = path.read_text(encoding="utf-8")
    start, end = (mark.format("a GPU" if kind == "cuda" else "a CPU") for mark in MARK)
    head, rest = text.split(start)
    _, tail = rest.split(end)
    path.write_text(
        f"{head}{start}\n{tables}\n\nMeasured on {machine}.\n{end}{tail}", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
