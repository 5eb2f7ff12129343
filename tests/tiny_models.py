"""Tiny random diffusion models, saved to a folder as real ones are: the loading code is the same.

Two families: the pipeline of Stable Diffusion 1.5 and that of SDXL, each with its ControlNet. The
weights are random, so their pictures are noise, but noise that depends on prompt, seed and map.
"""

import json
from pathlib import Path

MAP_SIZE = 64
"""Pixels a side of the pictures that the tiny models are made for."""


def save_tiny_sd(folder: Path, width: int = 16, seed: int = 0) -> Path:
    """Save a random `StableDiffusionControlNetPipeline`, its ControlNet in `controlnet/`.

    Parameters
    ----------
    folder : Path
        Where to save; made if need be.
    width : int
        Channels of the first UNet block; 64 has the size of the model that the workflow ships.
    """
    import torch
    from diffusers import StableDiffusionControlNetPipeline, UniPCMultistepScheduler

    torch.manual_seed(seed)
    vae = _vae(width)
    pipeline = StableDiffusionControlNetPipeline(
        vae=vae,
        unet=_unet(width, cross_attention=width),
        controlnet=_controlnet(width, cross_attention=width),
        text_encoder=_text_encoder(width, projection=False),
        tokenizer=_tokenizer(folder),
        scheduler=UniPCMultistepScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def save_tiny_sdxl(folder: Path, width: int = 16, seed: int = 0) -> Path:
    """Save a random `StableDiffusionXLPipeline`, and a ControlNet for it in `controlnet/`.

    As on the hub, the model's index names the pipeline without ControlNet.
    """
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    torch.manual_seed(seed)
    size = {"cross_attention": 2 * width, "pooled": width}
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(width),
        unet=_unet(width, **size),
        text_encoder=_text_encoder(width, projection=False),
        text_encoder_2=_text_encoder(width, projection=True),
        tokenizer=_tokenizer(folder),
        tokenizer_2=_tokenizer(folder),
        scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    _controlnet(width, **size).save_pretrained(folder / "controlnet")
    return folder


def _vae(width: int):
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(width // 2, width, width),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=MAP_SIZE,
    ).eval()


def _blocks(width: int, cross_attention: int, pooled: int | None) -> dict:
    extra = {}
    if pooled:
        times = 8
        extra = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": times,
            "projection_class_embeddings_input_dim": pooled + 6 * times,
            "use_linear_projection": True,
        }
    return {
        "block_out_channels": (width, 2 * width),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "layers_per_block": 2,
        "cross_attention_dim": cross_attention,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
        "in_channels": 4,
        **extra,
    }


def _unet(width: int, cross_attention: int, pooled: int | None = None):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=MAP_SIZE // 4,
        out_channels=4,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **_blocks(width, cross_attention, pooled),
    ).eval()


def _controlnet(width: int, cross_attention: int, pooled: int | None = None):
    import torch
    from diffusers import ControlNetModel

    controlnet = ControlNetModel(
        conditioning_embedding_out_channels=(8, 16, 32),
        **_blocks(width, cross_attention, pooled),
    ).eval()
    with torch.no_grad():  # a new ControlNet's last layers are zeros: the map would change nothing
        for layer in [*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block]:
            layer.weight.normal_(std=0.5)
        controlnet.controlnet_cond_embedding.conv_out.weight.normal_(std=0.5)
    return controlnet


def _text_encoder(width: int, projection: bool):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def _vocabulary() -> dict[str, int]:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,"
    tokens = [
        "<|startoftext|>",
        "<|endoftext|>",
        *letters,
        *(f"{letter}</w>" for letter in letters),
    ]
    return {token: index for index, token in enumerate(tokens)}


def _tokenizer(folder: Path):
    from transformers import CLIPTokenizer

    source = folder / "vocabulary"
    source.mkdir(parents=True, exist_ok=True)
    (source / "vocab.json").write_text(json.dumps(_vocabulary()), encoding="utf-8")
    (source / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return CLIPTokenizer.from_pretrained(source, model_max_length=77)
