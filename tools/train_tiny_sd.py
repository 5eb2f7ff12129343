"""Train the embedded generator, a small Stable Diffusion with a canny ControlNet, on two CPU cores.

Usage: train_tiny_sd.py [--work FOLDER] [--output FOLDER] [--scenes N] [--vae-steps N]
    [--decoder-steps N] [--steps N]

Its pictures are scenes of `cia.digits`, whose handwriting is from the pool `generator` alone: no
scan of a demo dataset is among them. Four steps: an autoencoder, which learns scenes in any
colors; the latents of all scenes in the named colors; the decoder, which goes on alone; then UNet,
text encoder and ControlNet together on those latents. Interrupted, it goes on from its last
checkpoint in the work folder. At the end it writes the pipeline, most of it in half precision, and
loads it again to see that it paints.
"""

import argparse
import copy
import json
import logging
import math
import os
import shutil
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import OneCycleLR

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from cia.digits import CLASSES, INKS, PAPERS, draw_scene, pool, scene_rng  # noqa: E402

LENGTH = 24
"""Tokens of a prompt, start and end included; longer prompts are cut."""

NOISE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
}
"""Noise schedule of Stable Diffusion; velocity as target (Salimans and Ho 2022)."""

OTHER_SCHEDULERS = {"clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True}
"""What schedulers made from the saved one's settings are to know, as in SD 1.5: DDIM clips latents
to [-1, 1] if it is not told otherwise."""

UNSEEN = {
    "chalk on a blackboard": ((38, 58, 48), (236, 236, 226)),
    "brown ink on parchment": ((226, 205, 160), (92, 58, 28)),
}
"""Colors of paper and ink (RGB) that no training picture has: check_model.py paints with them."""

UNSEEN_REACH = 24
"""Distance in RGB, in levels, that training keeps from the paper and from the ink of `UNSEEN`."""

logger = logging.getLogger("train_tiny_sd")


def main() -> None:
    options = parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    options.work.mkdir(parents=True, exist_ok=True)
    images, edges, captions = make_scenes(options.work, options.scenes)
    tokenizer = make_tokenizer()
    models = make_models(tokenizer)
    for name, model in models.items():
        millions = sum(weights.numel() for weights in model.parameters()) / 1e6
        logger.info("%s: %.2f million parameters", name, millions)
    colored = make_colored(options.work, options.scenes)
    train_autoencoder(models["vae"], images, colored, options)
    latents = encode(models["vae"], images, options)
    train_decoder(models["vae"], images, colored, options)
    ids = tokenize(tokenizer, captions)
    train_diffusion(models, latents, edges, ids, tokenize(tokenizer, [""])[0], options, rng)
    export(make_pipeline(models, tokenizer), options.output)
    check_reload(make_pipeline(models, tokenizer), options.output, edges[0], captions[0])


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "tiny-sd")
    parser.add_argument("--output", type=Path, default=ROOT / "resources" / "tiny-sd")
    parser.add_argument("--scenes", type=int, default=20000)
    parser.add_argument("--vae-steps", type=int, default=5000)
    parser.add_argument("--decoder-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=2700)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def draw_edges(image: np.ndarray) -> np.ndarray:
    """Return the canny map that the model is conditioned on.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 RGB, shape (H, W, 3).

    Returns
    -------
    numpy.ndarray
        uint8, shape (H, W), 255 on edges and 0 elsewhere.
    """
    return cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 100, 200)


def make_scenes(work: Path, count: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Draw the training scenes: images (N, 64, 64, 3), edges (N, 64, 64) and captions."""
    path = work / f"scenes-{count}.npz"
    if not path.exists():
        scans = pool("generator")
        scenes = [draw_scene(scene_rng("tiny-sd", number), scans) for number in range(count)]
        partial = path.with_suffix(".partial.npz")
        np.savez(
            partial,
            images=np.stack([scene.image for scene in scenes]),
            edges=np.stack([draw_edges(scene.image) for scene in scenes]),
            captions=np.array([scene.caption for scene in scenes]),
        )
        partial.replace(path)
    arrays = np.load(path)
    logger.info("%d scenes", count)
    return arrays["images"], arrays["edges"], arrays["captions"].tolist()


def make_colored(work: Path, count: int) -> np.ndarray:
    """Draw scenes in random colors, far from those of `UNSEEN`: uint8 (N, 64, 64, 3)."""
    path = work / f"colored-{count}.npy"
    if not path.exists():
        scans = pool("generator")
        images = np.stack([draw_colored(number, scans) for number in range(count)])
        partial = path.with_suffix(".partial.npy")
        np.save(partial, images)
        partial.replace(path)
    return np.load(path)


def draw_colored(number: int, scans: tuple[int, ...]) -> np.ndarray:
    """Draw one scene in a random paper and three random inks, uint8 (64, 64, 3)."""
    rng = scene_rng("tiny-sd-colored", number)
    papers, inks = zip(*UNSEEN.values(), strict=True)
    palette = {
        "papers": {"any": draw_color(rng, papers)},
        "inks": {str(index): draw_color(rng, inks) for index in range(3)},
    }
    return draw_scene(rng, scans, **palette).image


def draw_color(rng: np.random.Generator, avoided: tuple) -> tuple:
    """Draw an RGB color that is not within `UNSEEN_REACH` of those avoided.

    Half of them are tinted grays: with colors from the whole cube alone, light ink on dark paper is
    so rare that the autoencoder returned it at half its contrast.
    """
    while True:
        color = rng.uniform(0, 255, 3)
        if rng.random() < 0.5:
            color = np.clip(color[0] + rng.normal(0, 30, 3), 0, 255)
        if np.linalg.norm(np.array(avoided) - color, axis=1).min() > UNSEEN_REACH:
            return tuple(color)


def make_tokenizer():
    """Return a `CLIPTokenizer` in which each word of a caption is one token.

    Its byte-pair encoding starts from all bytes, as CLIP's does, so any text can be encoded.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    captions = [f"an {ink} {digit}, and a {ink} {digit} on" for ink in INKS for digit in CLASSES]
    captions += [f"on {paper} paper" for paper in PAPERS]
    words = sorted({word for text in captions for word in text.replace(",", " ").split()})
    trainer = trainers.BpeTrainer(
        vocab_size=4000, min_frequency=2, end_of_word_suffix="</w>", show_progress=False
    )
    learned = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    clip = CLIPTokenizer().backend_tokenizer
    learned.normalizer, learned.pre_tokenizer = clip.normalizer, clip.pre_tokenizer
    learned.train_from_iterator(words * 50, trainer)

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary: dict[str, int] = {}
    for token in [*alphabet, *(letter + "</w>" for letter in alphabet)]:
        vocabulary[token] = len(vocabulary)
    pairs = json.loads(learned.to_str())["model"]["merges"]
    merges = [tuple(pair if isinstance(pair, list) else pair.split(" ")) for pair in pairs]
    for first, second in merges:
        for token in (first, second, first + second):
            vocabulary.setdefault(token, len(vocabulary))
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[token] = len(vocabulary)
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)
    if any(len(tokenizer(word)["input_ids"]) != 3 for word in words):
        raise RuntimeError("a word of the captions is more than one token")
    return tokenizer


def tokenize(tokenizer, texts: list[str]) -> torch.Tensor:
    """Return token ids, int64 (N, LENGTH)."""
    return torch.tensor(
        tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True)["input_ids"]
    )


def make_models(tokenizer) -> torch.nn.ModuleDict:
    """Return the untrained models: vae, unet, text and control, in the layout of SD 1.5."""
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    vae = AutoencoderKL(
        block_out_channels=(32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=16,
        sample_size=64,
    )
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(64, 128),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=32,
    )
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        projection_dim=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    text = CLIPTextModel(config)
    layout = ControlNetModel.from_unet(unet, conditioning_channels=3).config
    control = ControlNetModel.from_config(
        {**layout, "conditioning_embedding_out_channels": (16, 32, 64)}
    )
    return torch.nn.ModuleDict({"vae": vae, "unet": unet, "text": text, "control": control})


def train_autoencoder(vae, images: np.ndarray, colored: np.ndarray, options) -> None:
    """Train the autoencoder on L1, MSE and a slight pull of the latents to a unit normal.

    Three pictures of four are in random colors, so that it is as general as Stable Diffusion's:
    one that knows the named colors alone returned chalk on a blackboard 101 levels off.
    """
    path = options.work / "vae.pt"
    if path.exists():
        vae.load_state_dict(torch.load(path, weights_only=True))
        return
    weights = list(vae.parameters())
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0)
    schedule = OneCycleLR(optimizer, 1.5e-3, total_steps=options.vae_steps, pct_start=0.1)
    state = {"vae": vae, "opt": optimizer, "sched": schedule}

    def take(pixels: torch.Tensor) -> torch.Tensor:
        distribution = vae.encode(pixels).latent_dist
        error = vae.decode(distribution.sample()).sample - pixels
        divergence = distribution.kl().mean() / pixels[0].numel()
        take_step(optimizer, schedule, distance(error) + 1e-3 * divergence, weights)
        return error

    checkpoint = options.work / "vae-checkpoint.pt"
    go_on(state, checkpoint, take, images, colored, ("autoencoder", options.vae_steps))
    save_whole(vae.state_dict(), path)


def train_decoder(vae, images: np.ndarray, colored: np.ndarray, options) -> None:
    """Train the decoder on, for latents that stay what they are.

    Stability's sd-vae-ft-mse was made from Stable Diffusion's autoencoder so. Here it is for light
    ink on dark paper, which the autoencoder returns worst.
    """
    path = options.work / "decoder.pt"
    if path.exists():
        vae.load_state_dict(torch.load(path, weights_only=True))
        return
    weights = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0)
    schedule = OneCycleLR(optimizer, 1e-3, total_steps=options.decoder_steps, pct_start=0.1)
    state = {"vae": vae, "opt": optimizer, "sched": schedule}

    def take(pixels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            latents = vae.encode(pixels).latent_dist.sample()
        error = vae.decode(latents).sample - pixels
        take_step(optimizer, schedule, distance(error), weights)
        return error

    checkpoint = options.work / "decoder-checkpoint.pt"
    go_on(state, checkpoint, take, images, colored, ("decoder", options.decoder_steps))
    save_whole(vae.state_dict(), path)


def distance(error: torch.Tensor) -> torch.Tensor:
    return error.abs().mean() + error.square().mean()


def go_on(state: dict, checkpoint: Path, take, images, colored, told: tuple[str, int]) -> None:
    """Take the steps that are left, each on 4 pictures in the named colors and 12 in any.

    Parameters
    ----------
    take : callable
        A function of pixels that takes one step, and returns the error of each pixel.
    told : tuple
        What is trained, for the log, and how many steps in all.
    """
    name, steps = told
    first = resume(state, checkpoint)
    state["vae"].to(memory_format=torch.channels_last)
    rng = np.random.default_rng(first)
    start = time.time()
    for step in range(first, steps):
        named = images[rng.integers(0, len(images), 4)]
        pixels = to_pixels(np.concatenate([named, colored[rng.integers(0, len(colored), 12)]]))
        error = take(pixels).detach()
        if (step + 1) % 100 == 0:
            off = error.abs().mean((1, 2, 3)) * 127.5
            psnr = -10 * math.log10(error.square().mean().item() / 4)
            pace = (time.time() - start) / (step + 1 - first)
            logger.info(
                "%s %d: PSNR %.1f, named colors %.1f levels off, others %.1f, %.2f s/step",
                *(name, step + 1, psnr, off[:4].mean(), off[4:].mean(), pace),
            )
        if (step + 1) % 500 == 0:
            save_checkpoint(state, step + 1, checkpoint)


def to_pixels(images: np.ndarray) -> torch.Tensor:
    """Return uint8 (N, H, W, 3) as float32 (N, 3, H, W) in [-1, 1]."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def take_step(optimizer, schedule, loss, weights: list) -> None:
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    schedule.step()


def save_whole(state: dict, path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


@torch.inference_mode()
def encode(vae, images: np.ndarray, options) -> torch.Tensor:
    """Return mean and deviation of every scene's latents, float32 (2, N, 4, 16, 16).

    Sets the autoencoder's scaling factor, so that scaled latents have deviation 1.
    """
    path = options.work / f"latents-{options.scenes}.pt"
    if path.exists():
        latents = torch.load(path, weights_only=True)
    else:
        parts = []
        for first in range(0, len(images), 100):
            distribution = vae.encode(to_pixels(images[first : first + 100])).latent_dist
            parts.append(torch.stack([distribution.mean, distribution.std]))
        latents = torch.cat(parts, 1)
        save_whole(latents, path)
    vae.register_to_config(scaling_factor=1.0 / latents[0].std().item())
    return latents


def train_diffusion(models, latents, edges, ids, empty, options, rng: np.random.Generator) -> None:
    """Train UNet, text encoder and ControlNet; leaves the moving average of their weights.

    Parameters
    ----------
    latents : torch.Tensor
        As from `encode`.
    edges : numpy.ndarray
        uint8, shape (N, 64, 64).
    ids, empty : torch.Tensor
        Token ids of the captions (N, LENGTH) and of the empty prompt (LENGTH,), which one caption
        in ten is replaced by, for classifier-free guidance (Ho and Salimans 2021).
    """
    parts = torch.nn.ModuleDict({name: models[name] for name in ("unet", "text", "control")})
    average = copy.deepcopy(parts).requires_grad_(False)
    weights = [tensor for tensor in parts.parameters() if tensor.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.01, betas=(0.9, 0.99))
    schedule = OneCycleLR(optimizer, 1e-3, total_steps=options.steps, pct_start=0.05)
    state = {"models": parts, "ema": average, "opt": optimizer, "sched": schedule}
    first = resume(state, options.work / "checkpoint.pt")
    for name in ("unet", "control"):
        parts[name].to(memory_format=torch.channels_last)
    start, smooth = time.time(), None
    for step in range(first, options.steps):
        sample, maps, chosen = draw_batch(latents, edges, options.batch, rng)
        dropped = torch.rand(options.batch, 1) < 0.1
        tokens = torch.where(dropped, empty[None], ids[chosen])
        scale = models["vae"].config.scaling_factor
        loss = diffusion_loss(parts, sample * scale, maps, tokens)
        take_step(optimizer, schedule, loss, weights)
        update_average(average, parts, min(0.999, (1 + step) / (10 + step)))
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if (step + 1) % 100 == 0:
            pace = (time.time() - start) / (step + 1 - first)
            logger.info("diffusion %d: loss %.4f, %.2f s/step", step + 1, smooth, pace)
        if (step + 1) % 500 == 0 or step + 1 == options.steps:
            save_checkpoint(state, step + 1, options.work / "checkpoint.pt")
    parts.load_state_dict(average.state_dict())


def save_checkpoint(state: dict, step: int, path: Path) -> None:
    save_whole({**{name: item.state_dict() for name, item in state.items()}, "step": step}, path)


def resume(state: dict, path: Path) -> int:
    """Load a checkpoint, if there is one, and return how many steps it has seen."""
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    for name, item in state.items():
        item.load_state_dict(saved[name])
    return saved["step"]


def draw_batch(latents, edges, size: int, rng: np.random.Generator) -> tuple:
    """Return unscaled latents (B, 4, 16, 16), maps (B, 3, 64, 64) in [0, 1] and scenes' numbers."""
    chosen = torch.from_numpy(rng.integers(0, latents.shape[1], size))
    mean, deviation = latents[0, chosen], latents[1, chosen]
    sample = (mean + deviation * torch.randn_like(mean)).contiguous(
        memory_format=torch.channels_last
    )
    maps = torch.from_numpy(edges[chosen.numpy()]).float()[:, None].div(255).expand(-1, 3, -1, -1)
    return sample, maps.contiguous(memory_format=torch.channels_last), chosen


def diffusion_loss(parts, sample, maps, tokens) -> torch.Tensor:
    """Return the mean squared error of the predicted velocity at random times."""
    from diffusers import DDPMScheduler

    schedule = DDPMScheduler(**NOISE)
    times = torch.randint(0, NOISE["num_train_timesteps"], (len(sample),))
    noise = torch.randn_like(sample)
    noisy = schedule.add_noise(sample, noise, times)
    text = parts["text"](tokens)[0]
    down, middle = parts["control"](
        noisy, times, encoder_hidden_states=text, controlnet_cond=maps, return_dict=False
    )
    predicted = parts["unet"](
        noisy,
        times,
        encoder_hidden_states=text,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        return_dict=False,
    )[0]
    return F.mse_loss(predicted, schedule.get_velocity(sample, noise, times))


@torch.no_grad()
def update_average(average, parts, decay: float) -> None:
    for slow, fast in zip(average.parameters(), parts.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def make_pipeline(models, tokenizer):
    """Put the models together as a `StableDiffusionControlNetPipeline`."""
    from diffusers import StableDiffusionControlNetPipeline, UniPCMultistepScheduler

    scheduler = UniPCMultistepScheduler(**NOISE, timestep_spacing="trailing")
    scheduler.register_to_config(**OTHER_SCHEDULERS)
    return StableDiffusionControlNetPipeline(
        vae=models["vae"],
        text_encoder=models["text"],
        tokenizer=tokenizer,
        unet=models["unet"],
        controlnet=models["control"],
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def export(pipeline, folder: Path) -> None:
    """Save a pipeline, with UNet, ControlNet and autoencoder in half precision.

    The text encoder is small and stays in single precision, since transformers loads a model in
    the precision of its file, and diffusers in single precision: a mix of the two fails.
    """
    halves = copy.copy(pipeline)
    for name in ("unet", "controlnet", "vae"):
        setattr(halves, name, copy.deepcopy(getattr(pipeline, name)).half())
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    halves.save_pretrained(partial, safe_serialization=True)
    for part in partial.iterdir():
        target = folder / part.name
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
    partial.rmdir()
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    logger.info("%s: %.1f MB of weights", folder, size / 1e6)


def check_reload(pipeline, folder: Path, edges: np.ndarray, caption: str) -> None:
    """Fail if the saved pipeline does not paint what the trained one does.

    Half precision moves a weight by at most 0.05 %, which must not show.
    """
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    loaded = StableDiffusionControlNetPipeline.from_pretrained(
        folder, controlnet=ControlNetModel.from_pretrained(folder, subfolder="controlnet")
    )
    pictures = [paint(pipe.to("cpu"), edges, caption) for pipe in (pipeline, loaded)]
    difference = np.abs(pictures[0] - pictures[1]).mean()
    logger.info("mean difference after reload: %.4f of 1", difference)
    if not difference < 0.01:
        raise RuntimeError(f"the pipeline saved in {folder} paints other pictures")


def paint(pipeline, edges: np.ndarray, caption: str) -> np.ndarray:
    """Return one picture, float (64, 64, 3) in [0, 1]."""
    from PIL import Image

    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        caption,
        image=Image.fromarray(edges).convert("RGB"),
        num_inference_steps=10,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images[0]


if __name__ == "__main__":
    main()
