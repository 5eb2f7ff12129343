"""Train the embedded feature network on scans of digits, on a CPU, in two minutes.

Usage: train_tiny_features.py [--output FOLDER] [--pictures N] [--epochs N]

Half of its pictures hold one digit and half one to three (`cia.digits`), in handwriting from the
pool `generator` alone: no scan of a demo dataset is among them. It learns to name the digits, and,
through two more heads that are not saved, inks and paper: so its pooled features see colors, too.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import OneCycleLR

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from cia.digits import CLASSES, INKS, PAPERS, SIDE, draw_scene, pool, scene_rng  # noqa: E402
from cia.files import atomic_path, write_text  # noqa: E402

CONFIG = {
    "architecture": "resnet10t",
    "kwargs": {"channels": [32, 48, 64, 96], "stem_width": 24},
    "num_classes": len(CLASSES),
    "num_features": 96,
    "input_size": [3, SIDE, SIDE],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "class_names": list(CLASSES),
}
"""All that is needed to build the network and to feed it."""

logger = logging.getLogger("train_tiny_features")


def main() -> None:
    options = parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    data = draw_pictures("generator", options.pictures)
    logger.info("%d pictures", options.pictures)
    network = timm.create_model(
        CONFIG["architecture"], num_classes=CONFIG["num_classes"], **CONFIG["kwargs"]
    )
    train(network, data, options.epochs)
    for most in (1, 3):
        score = accuracy(network, draw_pictures("val", 500, most))
        logger.info("up to %d digits a picture: %.3f named right", most, score)
    save(network, options.output)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "resources" / "tiny-features")
    parser.add_argument("--pictures", type=int, default=10000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def draw_pictures(name: str, count: int, most: int | None = None) -> tuple[torch.Tensor, ...]:
    """Draw pictures of a pool's handwriting and say what is in them.

    Returns
    -------
    tuple of torch.Tensor
        Normalized pixels float32 (N, 3, 64, 64); the share of each class among the picture's
        digits, float32 (N, 10); whether it holds each ink, float32 (N, 6); paper, int64 (N,).
    """
    scans, inks, papers = pool(name), list(INKS), list(PAPERS)
    pixels = np.empty((count, SIDE, SIDE, 3), np.uint8)
    digits = torch.zeros(count, len(CLASSES))
    colors = torch.zeros(count, len(inks))
    paper = torch.empty(count, dtype=torch.int64)
    for number in range(count):
        limit = most or (1, 3)[number % 2]
        scene = draw_scene(scene_rng("tiny-features", name, limit, number), scans, limit)
        pixels[number] = scene.image
        for digit, ink in zip(scene.digits, scene.inks, strict=True):
            digits[number, digit] += 1 / len(scene.digits)
            colors[number, inks.index(ink)] = 1
        paper[number] = papers.index(scene.paper)
    return normalize(pixels), digits, colors, paper


def normalize(pixels: np.ndarray) -> torch.Tensor:
    """Return uint8 (N, H, W, 3) as the network's input, float32 (N, 3, H, W)."""
    mean, std = (torch.tensor(CONFIG[key])[:, None, None] for key in ("mean", "std"))
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std


def train(network, data: tuple[torch.Tensor, ...], epochs: int, size: int = 64) -> None:
    """Train the network, with heads for inks and paper on its pooled features beside its own."""
    pixels, digits, colors, paper = data
    heads = torch.nn.Linear(network.num_features, colors.shape[1] + len(PAPERS))
    weights = [*network.parameters(), *heads.parameters()]
    steps = epochs * (len(pixels) // size)
    optimizer = torch.optim.AdamW(weights, lr=3e-3, weight_decay=0.05)
    schedule = OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.2)
    network.train().to(memory_format=torch.channels_last)
    for epoch in range(epochs):
        order = torch.randperm(len(pixels))
        for first in range(0, len(order) - size + 1, size):
            chosen = order[first : first + size]
            pooled = network.forward_head(
                network.forward_features(pixels[chosen].to(memory_format=torch.channels_last)),
                pre_logits=True,
            )
            others = heads(pooled)
            loss = F.cross_entropy(network.get_classifier()(pooled), digits[chosen])
            loss = loss + F.binary_cross_entropy_with_logits(
                others[:, : colors.shape[1]], colors[chosen]
            )
            loss = loss + F.cross_entropy(others[:, colors.shape[1] :], paper[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        logger.info("epoch %d of %d: loss %.3f", epoch + 1, epochs, loss.item())
    network.eval()


@torch.inference_mode()
def accuracy(network, data: tuple[torch.Tensor, ...]) -> float:
    """Return the share of digits (of each picture, as many as it holds) among its top classes."""
    pixels, digits = data[:2]
    probabilities = torch.cat([network(part).softmax(1) for part in pixels.split(100)])
    right = []
    for row, wanted in zip(probabilities, digits > 0, strict=True):
        top = row.topk(int(wanted.sum())).indices
        right.append(wanted[top].float().mean().item())
    return float(np.mean(right))


def save(network, folder: Path) -> None:
    from safetensors.torch import save_file

    network.to(memory_format=torch.contiguous_format)
    with atomic_path(folder / "model.safetensors") as partial:
        save_file(
            {name: tensor.contiguous() for name, tensor in network.state_dict().items()}, partial
        )
    write_text(folder / "config.json", json.dumps(CONFIG, indent=2) + "\n")
    size = (folder / "model.safetensors").stat().st_size
    logger.info("%s: %.1f MB", folder, size / 1e6)


if __name__ == "__main__":
    main()
