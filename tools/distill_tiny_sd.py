"""Distil the embedded generator into a LoRA with which it paints in 4 steps without guidance.

Usage: distill_tiny_sd.py [--work FOLDER] [--output FOLDER] [--steps N]

Latent consistency distillation (Luo et al., arXiv 2310.04378) of a LoRA (LCM-LoRA, arXiv
2311.05556). The teacher is the generator with its guidance: one step of DDIM takes a noisy latent
to a slightly less noisy one, and the student learns to see the same picture in both. ControlNet,
text encoder and autoencoder stay as they are. Its scenes are those that the generator was trained
on. Interrupted, it goes on from its last checkpoint in the work folder.
"""

import argparse
import logging
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch.optim.lr_scheduler import OneCycleLR
from train_tiny_sd import (
    ROOT,
    draw_batch,
    encode,
    make_scenes,
    resume,
    save_checkpoint,
    take_step,
    tokenize,
)

GUIDANCE = 3.0
"""Of the teacher; the student has learned it and takes none."""

GRID = 50
"""Steps of the teacher's solver, and `original_inference_steps` of diffusers' LCMScheduler."""

HUBER = 0.001

LAYERS = [
    *("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"),
    *("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv"),
    "time_emb_proj",
]
"""Those of LCM-LoRA, in diffusers' train_lcm_distill_lora_sd_wds.py."""

logger = logging.getLogger("distill_tiny_sd")


def main() -> None:
    options = parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.work.mkdir(parents=True, exist_ok=True)
    pipeline = load(options.model)
    images, edges, captions = make_scenes(options.work, options.scenes)
    latents = encode(pipeline.vae, images, options)
    texts = encode_texts(pipeline, captions)
    student = add_lora(pipeline.unet, options.rank)
    train(pipeline, student, latents, edges, texts, options)
    save(pipeline, options.output)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "resources" / "tiny-sd")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "tiny-sd-lcm")
    parser.add_argument("--output", type=Path, default=ROOT / "resources" / "tiny-sd" / "lcm-lora")
    parser.add_argument("--scenes", type=int, default=20000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def load(folder: Path):
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    pipeline = StableDiffusionControlNetPipeline.from_pretrained(
        folder, controlnet=ControlNetModel.from_pretrained(folder, subfolder="controlnet")
    )
    for name in ("vae", "text_encoder", "unet", "controlnet"):
        getattr(pipeline, name).requires_grad_(False)
    for name in ("unet", "controlnet"):
        getattr(pipeline, name).to(memory_format=torch.channels_last)
    return pipeline


@torch.inference_mode()
def encode_texts(pipeline, captions: list[str]) -> torch.Tensor:
    """Return what the text encoder makes of each caption, and last of none: (N + 1, T, C)."""
    ids = tokenize(pipeline.tokenizer, [*captions, ""])
    parts = [pipeline.text_encoder(part)[0] for part in ids.split(500)]
    return torch.cat(parts)


def add_lora(unet, rank: int) -> list[torch.nn.Parameter]:
    """Add a LoRA to the UNet, and return its weights."""
    from peft import LoraConfig

    unet.add_adapter(
        LoraConfig(r=rank, lora_alpha=rank, target_modules=LAYERS, init_lora_weights=True)
    )
    weights = [tensor for tensor in unet.parameters() if tensor.requires_grad]
    logger.info("LoRA: %.2f million parameters", sum(one.numel() for one in weights) / 1e6)
    return weights


def train(pipeline, weights, latents, edges, texts, options) -> None:
    """Train the LoRA's weights.

    Parameters
    ----------
    latents : torch.Tensor
        As from `train_tiny_sd.encode`.
    edges : numpy.ndarray
        uint8, shape (N, 64, 64).
    texts : torch.Tensor
        As from `encode_texts`.
    """
    student = torch.nn.ParameterList(weights)
    optimizer = torch.optim.AdamW(weights, lr=options.rate, weight_decay=0)
    schedule = OneCycleLR(optimizer, options.rate, total_steps=options.steps, pct_start=0.05)
    state = {"lora": student, "opt": optimizer, "sched": schedule}
    first = resume(state, options.work / "checkpoint.pt")
    rng = np.random.default_rng(first)
    scale = pipeline.vae.config.scaling_factor
    start, smooth = time.time(), None
    for step in range(first, options.steps):
        sample, maps, chosen = draw_batch(latents, edges, options.batch, rng)
        text, empty = texts[chosen], texts[-1:].expand(options.batch, -1, -1)
        loss = consistency_loss(pipeline, sample * scale, maps, text, empty)
        take_step(optimizer, schedule, loss, weights)
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if (step + 1) % 100 == 0:
            pace = (time.time() - start) / (step + 1 - first)
            logger.info("LoRA %d: loss %.4f, %.2f s/step", step + 1, smooth, pace)
        if (step + 1) % 250 == 0 or step + 1 == options.steps:
            save_checkpoint(state, step + 1, options.work / "checkpoint.pt")


def consistency_loss(pipeline, sample, maps, text, empty) -> torch.Tensor:
    """Return how far apart the student's pictures are at both ends of a step of the teacher.

    Pseudo-Huber distance, as in diffusers' train_lcm_distill_lora_sd_wds.py.

    Parameters
    ----------
    sample : torch.Tensor
        Scaled latents (B, 4, 16, 16).
    maps : torch.Tensor
        Canny maps (B, 3, 64, 64) in [0, 1].
    text, empty : torch.Tensor
        Encoded captions and empty prompts (B, T, C).
    """
    unet = pipeline.unet
    index = torch.randint(0, GRID, (len(sample),))
    times, earlier = grid_time(index), grid_time(index - 1)
    with torch.no_grad():
        kept, lost = shares(pipeline, times)
        noisy = kept * sample + lost * torch.randn_like(sample)
        control = see_map(pipeline, noisy, times, text, maps)
        unet.disable_adapters()
        with_text = predict(unet, noisy, times, text, control)
        without = predict(unet, noisy, times, empty, see_map(pipeline, noisy, times, empty, maps))
        unet.enable_adapters()
        velocity = without + GUIDANCE * (with_text - without)
        less_noisy = solver_step(pipeline, noisy, velocity, times, earlier)
        control_there = see_map(pipeline, less_noisy, earlier, text, maps)
        seen = predict(unet, less_noisy, earlier, text, control_there)
        target = consistent_picture(pipeline, less_noisy, seen, earlier)
    velocity = predict(unet, noisy, times, text, control)
    difference = consistent_picture(pipeline, noisy, velocity, times) - target
    return ((difference.square() + HUBER**2).sqrt() - HUBER).mean()


def grid_time(index: torch.Tensor) -> torch.Tensor:
    """Return the time (0 to 999) of a step of the solver; 0 for the one before the first."""
    return ((index + 1) * (1000 // GRID) - 1).clamp(min=0)


def shares(pipeline, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is left of the picture and how much noise there is, (B, 1, 1, 1) each."""
    kept = pipeline.scheduler.alphas_cumprod[times][:, None, None, None]
    return kept.sqrt(), (1 - kept).sqrt()


def see_map(pipeline, noisy, times, text, maps) -> dict:
    """Return what the ControlNet adds to the UNet."""
    down, middle = pipeline.controlnet(
        noisy, times, encoder_hidden_states=text, controlnet_cond=maps, return_dict=False
    )
    return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}


def predict(unet, noisy, times, text, control: dict) -> torch.Tensor:
    """Return the velocity, as the generator was trained to predict it."""
    return unet(noisy, times, encoder_hidden_states=text, **control, return_dict=False)[0]


def solver_step(pipeline, noisy, velocity, times, earlier) -> torch.Tensor:
    """Take one step of DDIM (Song et al. 2021) from a time to an earlier one."""
    kept, lost = shares(pipeline, times)
    kept_there, lost_there = shares(pipeline, earlier)
    picture, noise = kept * noisy - lost * velocity, kept * velocity + lost * noisy
    return kept_there * picture + lost_there * noise


def consistent_picture(pipeline, noisy, velocity, times) -> torch.Tensor:
    """Return the picture that is seen, and at time 0 what is given, as LCMScheduler weighs them."""
    kept, lost = shares(pipeline, times)
    scaled = 10.0 * times[:, None, None, None]
    given = 0.25 / (scaled**2 + 0.25)
    found = scaled / (scaled**2 + 0.25).sqrt()
    return given * noisy + found * (kept * noisy - lost * velocity)


def save(pipeline, folder: Path) -> None:
    """Save the LoRA in half precision, as LCM-LoRA is on the hub."""
    from peft import get_peft_model_state_dict

    layers = {
        name: tensor.detach().half().contiguous()
        for name, tensor in get_peft_model_state_dict(pipeline.unet).items()
    }
    pipeline.save_lora_weights(folder, unet_lora_layers=layers)
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    logger.info("%s: %.2f MB", folder, size / 1e6)


if __name__ == "__main__":
    main()
