"""Judge the embedded generator on scenes of handwriting that it never saw.

Usage: check_model.py [--model FOLDER] [--lora FOLDER] [--scenes N] [--sheet FILE]

Takes the caption and the canny map of each held-out scene, paints a picture from them, and compares
it with the scene: in 10 steps with guidance, and in 4 without, with the LoRA. Prints one line per
measure, and ends with status 1 if a target is missed:

digits  share of digits read right, as a share of those read right on the scenes themselves; the
        reader is a support vector machine trained on the handwriting of the demo's train split
paper   share of pictures whose paper has the color that the caption names
ink     share of digits whose ink has the color that the caption names
edges   F1 score of the picture's own edges against the canny map, within 2 pixels
seconds per image, in batches

The autoencoder is given the scenes as they are, and the same in colors that training did not see;
what it returns may differ by 5 levels of 255 on average.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from train_tiny_sd import UNSEEN, draw_edges, to_pixels  # noqa: E402

from cia.digits import INKS, PAPERS, SIDE, Scene, draw_scene, pool, scene_rng  # noqa: E402
from cia.generation.pipelines import tune_pipeline  # noqa: E402

TARGETS = {"digits": 0.99, "paper": 0.99, "ink": 0.97, "edges": 0.95}
"""At least these."""

MOST_LEVELS = 5.0
"""Mean absolute difference that the autoencoder may leave, in levels of 255."""


@dataclass(frozen=True)
class Way:
    """A way to paint: denoising steps, guidance, and the most seconds an image."""

    steps: int
    guidance: float
    seconds: float


GUIDED, FEW_STEPS = Way(10, 3.0, 0.15), Way(4, 1.0, 0.05)

READER_SCENES = 1500
READER_SIDE = 16


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    scenes = [draw_scene(scene_rng("check", number), pool("test")) for number in range(options.n)]
    pipeline = load_pipeline(options.model)
    missed = report_colors(pipeline.vae, scenes)
    reader = train_reader()
    real = judge(reader, scenes, [scene.image for scene in scenes])
    print(
        f"on the scenes themselves: digits read right {real['digits']:.3f}, colors named right: "
        f"paper {real['paper']:.3f}, ink {real['ink']:.3f}"
    )
    ways = [GUIDED] + [FEW_STEPS] * options.lora.is_dir()
    sheets = []
    for way in ways:
        if way == FEW_STEPS:
            add_lora(pipeline, options.lora)
        images, seconds = paint_scenes(pipeline, scenes, way, options.batch)
        missed += report(way, real, judge(reader, scenes, images), seconds)
        sheets.append(images)
    if options.sheet:
        save_sheet(options.sheet, scenes, sheets)
    sys.exit(missed > 0)


def parse_options() -> argparse.Namespace:
    folder = ROOT / "resources" / "tiny-sd"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=folder)
    parser.add_argument("--lora", type=Path, default=folder / "lcm-lora")
    parser.add_argument("--scenes", type=int, default=500, dest="n")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--sheet", type=Path, help="write pictures of the first scenes here")
    return parser.parse_args()


def load_pipeline(folder: Path):
    """Load the pipeline as anyone would, with UniPC as its sampler, and tune it as ours is."""
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    control = ControlNetModel.from_pretrained(folder, subfolder="controlnet")
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(folder, controlnet=control)
    pipeline.set_progress_bar_config(disable=True)
    tune_pipeline(pipeline, "cpu")
    return pipeline


def add_lora(pipeline, folder: Path) -> None:
    """Make the pipeline one of few steps."""
    from diffusers import LCMScheduler

    pipeline.load_lora_weights(folder)
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config)


@torch.inference_mode()
def autoencoder_error(vae, scenes: list[Scene]) -> float:
    """Return the mean absolute difference of what the autoencoder returns, in levels of 255."""
    errors = []
    for first in range(0, len(scenes), 32):
        images = np.stack([scene.image for scene in scenes[first : first + 32]])
        decoded = vae.decode(vae.encode(to_pixels(images)).latent_dist.mode()).sample
        levels = ((decoded.clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()
        errors.append(np.abs(levels - images).mean(axis=(1, 2, 3)))
    return float(np.concatenate(errors).mean())


def report_colors(vae, scenes: list[Scene]) -> int:
    """Print how well the autoencoder returns known and unseen colors; count the targets missed."""
    sets = {"the named colors": scenes}
    for name, (paper, ink) in UNSEEN.items():
        colors = {"papers": {name: paper}, "inks": {name: ink}}
        sets[name] = [
            draw_scene(scene_rng("check", name, number), pool("test"), **colors)
            for number in range(len(scenes))
        ]
    missed = 0
    for name, shown in sets.items():
        error = autoencoder_error(vae, shown)
        missed += error > MOST_LEVELS
        verdict = "ok" if error <= MOST_LEVELS else "MISSED"
        print(f"autoencoder, {name}: {error:.2f} levels off  target {MOST_LEVELS:g}  {verdict}")
    return missed


def paint_scenes(
    pipeline, scenes: list[Scene], way: Way, size: int
) -> tuple[list[np.ndarray], float]:
    """Paint a picture for each scene from its caption and edges.

    Returns
    -------
    list of numpy.ndarray
        uint8 RGB, shape (64, 64, 3) each.
    float
        Seconds per image, the first batch not counted if there are others.
    """
    from PIL import Image

    images: list[np.ndarray] = []
    pace = []
    for first in range(0, len(scenes), size):
        batch = scenes[first : first + size]
        start = time.perf_counter()
        made = pipeline(
            [scene.caption for scene in batch],
            image=[Image.fromarray(draw_edges(scene.image)).convert("RGB") for scene in batch],
            num_inference_steps=way.steps,
            guidance_scale=way.guidance,
            generator=[
                torch.Generator().manual_seed(first + number) for number in range(len(batch))
            ],
            height=SIDE,
            width=SIDE,
        ).images
        pace.append((time.perf_counter() - start) / len(batch))
        images += [np.asarray(image) for image in made]
    return images, float(np.mean(pace[1:] or pace))


def train_reader():
    """Fit a classifier of digits to scenes drawn from the demo's real train handwriting."""
    from sklearn.svm import SVC

    crops, digits = [], []
    for number in range(READER_SCENES):
        scene = draw_scene(scene_rng("reader", number), pool("train"))
        crops += read_crops(scene.image, scene.boxes)
        digits += scene.digits
    return SVC(C=10, gamma="scale").fit(np.stack(crops), digits)


def read_crops(image: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
    """Return each boxed digit as a flat map of its distance from the paper's color, in [0, 1]."""
    from PIL import Image

    distance = np.linalg.norm(image - paper_color(image, boxes), axis=2)
    crops = []
    for rows, columns in box_slices(boxes):
        crop = distance[rows, columns]
        crop = np.clip(crop / max(np.percentile(crop, 95), 1.0), 0, 1).astype(np.float32)
        square = np.zeros((max(crop.shape),) * 2, np.float32)
        top, left = ((len(square) - side) // 2 for side in crop.shape)
        square[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
        small = Image.fromarray(square).resize((READER_SIDE,) * 2, Image.Resampling.BOX)
        crops.append(np.asarray(small).ravel())
    return crops


def box_slices(boxes: np.ndarray) -> list[tuple[slice, slice]]:
    """Return rows and columns of each box (cx, cy, w, h as shares of the side)."""
    corners = np.round(
        np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2]) * SIDE
    )
    return [
        (slice(int(top), int(bottom)), slice(int(left), int(right)))
        for left, top, right, bottom in corners
    ]


def paper_color(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the median color outside all boxes (2 pixels more on each side), float (3,)."""
    outside = np.ones(image.shape[:2], bool)
    for rows, columns in box_slices(boxes):
        outside[
            max(rows.start - 2, 0) : rows.stop + 2, max(columns.start - 2, 0) : columns.stop + 2
        ] = 0
    return np.median(image[outside], axis=0)


def ink_colors(image: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
    """Return the median color of what differs most from the paper in each box, float (3,)."""
    distance = np.linalg.norm(image - paper_color(image, boxes), axis=2)
    colors = []
    for rows, columns in box_slices(boxes):
        crop = distance[rows, columns]
        colors.append(
            np.median(image[rows, columns][crop >= 0.8 * np.percentile(crop, 95)], axis=0)
        )
    return colors


def nearest_name(color: np.ndarray, names: dict[str, tuple[int, int, int]]) -> str:
    return min(names, key=lambda name: np.linalg.norm(color - np.array(names[name])))


def edge_f1(edges: np.ndarray, wanted: np.ndarray, reach: int = 2) -> float:
    """Return the F1 score of edge pixels, each right if the other map has one within `reach`."""
    from scipy.ndimage import distance_transform_edt

    edges, wanted = edges > 0, wanted > 0
    if not edges.any() or not wanted.any():
        return float(edges.any() == wanted.any())
    precision = np.mean(distance_transform_edt(~wanted)[edges] <= reach)
    recall = np.mean(distance_transform_edt(~edges)[wanted] <= reach)
    return 2 * precision * recall / max(precision + recall, 1e-9)


def judge(reader, scenes: list[Scene], images: list[np.ndarray]) -> dict[str, float]:
    """Return the mean of each measure of pictures that should look like the scenes."""
    marks: dict[str, list] = {"digits": [], "paper": [], "ink": [], "edges": []}
    for scene, image in zip(scenes, images, strict=True):
        read = reader.predict(np.stack(read_crops(image, scene.boxes)))
        marks["digits"] += (read == np.array(scene.digits)).tolist()
        marks["paper"].append(nearest_name(paper_color(image, scene.boxes), PAPERS) == scene.paper)
        colors = ink_colors(image, scene.boxes)
        named = [nearest_name(color, INKS) for color in colors]
        marks["ink"] += [name == ink for name, ink in zip(named, scene.inks, strict=True)]
        marks["edges"].append(edge_f1(draw_edges(image), draw_edges(scene.image)))
    return {name: float(np.mean(values)) for name, values in marks.items()}


def report(way: Way, real: dict[str, float], made: dict[str, float], seconds: float) -> int:
    """Print measures and targets; return how many are missed."""
    print(f"{way.steps} steps, guidance {way.guidance:g}: digits read right {made['digits']:.3f}")
    scores = {**made, "digits": made["digits"] / real["digits"]}
    missed = 0
    for name, target in TARGETS.items():
        missed += scores[name] < target
        verdict = "ok" if scores[name] >= target else "MISSED"
        print(f"  {name:8} {scores[name]:.3f}  target {target:.2f}  {verdict}")
    verdict = "ok" if seconds <= way.seconds else "MISSED"
    print(f"  seconds  {seconds:.3f}  target {way.seconds:.2f}  {verdict}")
    return missed + (seconds > way.seconds)


def save_sheet(path: Path, scenes: list[Scene], ways: list, count: int = 36) -> None:
    """Save scene, map and the pictures of each way below each other, twelve scenes to a row."""
    from cia.images import save_png

    columns = [
        np.vstack([scene.image, np.repeat(draw_edges(scene.image)[..., None], 3, 2), *pictures])
        for scene, *pictures in zip(scenes[:count], *(way[:count] for way in ways), strict=True)
    ]
    rows = [np.hstack(columns[first : first + 12]) for first in range(0, len(columns), 12)]
    save_png(path, np.vstack([row for row in rows if row.shape == rows[0].shape]))


if __name__ == "__main__":
    main()
