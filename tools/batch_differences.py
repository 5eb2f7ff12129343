"""Measure by how much pixels differ with another number of images per call, threads or order.

Usage: batch_differences.py MODEL [--controlnet FOLDER] [--images 64] [--steps 10]
                            [--batches 1 8 32] [--threads 1 2] [--size 64]

MODEL is a folder or hub id of a diffusers model; without --controlnet its subfolder `controlnet`
is used. The maps are random rectangles' outlines. Loading and one warming batch are not counted.
Pixels are compared with those of the first line, and `moved` says how many images change when each
takes the next one's place in its batch.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from cia.generation.rounding import steady_rounding

steady_rounding()  # before torch is loaded, as the workflow's jobs do

from cia.files import digest_file  # noqa: E402
from cia.generation.drawing import Painter, paint_all  # noqa: E402
from cia.generation.pipelines import find_controlnet, find_model, load_pipeline  # noqa: E402
from cia.images import save_png  # noqa: E402


def make_rows(folder: Path, count: int, size: int) -> pd.DataFrame:
    """Return rows of a plan, all different, with their condition maps saved in the folder."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(count):
        pixels = np.zeros((size, size, 3), np.uint8)
        left, top = rng.integers(0, size // 2, 2)
        right, bottom = left + size // 3, top + size // 3
        pixels[top : bottom + 1, [left, right]] = 255
        pixels[[top, bottom], left : right + 1] = 255
        path = folder / f"{index}.png"
        save_png(path, pixels)
        rows.append(
            {
                "id": str(index),
                "seed": index,
                "prompt": f"a red {'one two six nine'.split()[index % 4]} on yellow paper",
                "negative_prompt": "",
                "width": size,
                "height": size,
                "condition": str(path),
                "condition_sha256": digest_file(path),
            }
        )
    return pd.DataFrame(rows)


def paint(painter: Painter, rows: pd.DataFrame, batch: int) -> np.ndarray:
    """Return the rows' images, in their order."""
    return np.concatenate([part for _, part in paint_all(painter, rows, batch)])


def moved(painter: Painter, rows: pd.DataFrame, batch: int, images: np.ndarray) -> str:
    """Say how many images change, and by how much, if each has another place in its batch."""
    order = np.roll(np.arange(len(rows)), 1)
    others = paint(painter, rows.iloc[order], batch)
    changed = (others != images[order]).any(axis=(1, 2, 3)).sum()
    return f"moved {changed} of {len(rows)} images {difference(others, images[order])}"


def rate(painter: Painter, rows: pd.DataFrame, batch: int) -> tuple[float, float, np.ndarray]:
    """Return images/s, processor seconds per image (fair on a busy machine) and the images."""
    for _ in paint_all(painter, rows[:batch], batch):
        pass
    start, busy = time.perf_counter(), time.process_time()
    images = paint(painter, rows, batch)
    count = len(images)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return count / seconds, busy / count, images


def difference(images: np.ndarray, reference: np.ndarray) -> str:
    """Say how many levels values differ at most, and how many values differ."""
    levels = np.abs(images.astype(int) - reference)
    return f"differs by {levels.max()} at most, in {(levels > 0).mean():.1e} of the values"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--controlnet")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()

    import torch

    settings = {
        "model": options.model,
        "controlnet": options.controlnet or options.model,
        "controlnet_subfolder": None if options.controlnet else "controlnet",
        "scheduler": "UniPCMultistepScheduler",
        "steps": options.steps,
        "guidance_scale": 3.0,
        "conditioning_scale": 1.0,
        "control_guidance_start": 0.0,
        "control_guidance_end": 1.0,
    }
    device = "cuda" if torch.cuda.is_available() else "cpu"
    models = find_model(settings, "bench"), find_controlnet(settings, "bench")
    painter = Painter(load_pipeline(*models, settings, "bench", device), settings, "bench")
    print(f"{device}, {options.steps} steps, {options.size}x{options.size}")
    with tempfile.TemporaryDirectory() as folder:
        rows = make_rows(Path(folder), options.images, options.size)
        reference = None
        for threads in options.threads:
            torch.set_num_threads(threads)
            for batch in options.batches:
                speed, busy, images = rate(painter, rows, batch)
                reference = images if reference is None else reference
                print(
                    f"threads {threads}  batch {batch:3d}  {speed:7.2f} images/s  "
                    f"{busy:.3f} processor s an image  {difference(images, reference)}  "
                    + moved(painter, rows, batch, images),
                    flush=True,
                )


if __name__ == "__main__":
    main()
