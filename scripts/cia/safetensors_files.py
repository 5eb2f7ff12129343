"""What a .safetensors file holds, by its first bytes; no weight is read.

The format (https://huggingface.co/docs/safetensors): eight bytes with the length of a JSON header
(little-endian), the header (tensor to dtype, shape and data_offsets), the tensors. Light on
purpose: dry runs read such headers.
"""

import json
from pathlib import Path

from cia.errors import UserError

_LONGEST = 100_000_000
"""Bytes that a header has at most, as in the safetensors library."""

_POINTER = b"version https://git-lfs"
"""How a file begins that Git LFS has yet to replace by the real one."""

_KINDS = {
    "conditioner.embedders.1.": "StableDiffusionXLPipeline",
    "model.diffusion_model.joint_blocks.": "StableDiffusion3Pipeline",
    "joint_blocks.": "StableDiffusion3Pipeline",
    "model.diffusion_model.double_blocks.": "FluxPipeline",
    "double_blocks.": "FluxPipeline",
    "control_model.": "ControlNetModel",
    "controlnet_cond_embedding.": "ControlNetModel",
}
"""How the name of a weight begins, and what of diffusers reads a single file with such a one."""


def read_header(path: Path) -> dict:
    """Return tensor to dtype, shape and data_offsets.

    Raises
    ------
    UserError
        If the file is no safetensors file, or has been cut off.
    """
    with open(path, "rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        text = file.read(min(length, _LONGEST))
    if (start + text)[: len(_POINTER)] == _POINTER:
        raise UserError(
            f"{path} is a Git LFS pointer, not the file itself; run `git lfs pull` in its "
            "folder, or download it by `hf download`"
        )
    try:
        header = json.loads(text)
        end = max((tensor["data_offsets"][1] for tensor in _tensors(header)), default=0)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{path} is not a safetensors file; download it again") from None
    size = path.stat().st_size
    if size < 8 + length + end:
        raise UserError(
            f"{path} is truncated: {size} of {8 + length + end} bytes; download it again"
        )
    return header


def _tensors(header: dict) -> list[dict]:
    return [tensor for name, tensor in header.items() if name != "__metadata__"]


def convert_command(path: Path) -> str:
    """Return a shell line that makes a folder in diffusers' layout of a single file's model."""
    names = read_header(path)
    kinds = [
        kind for start, kind in _KINDS.items() if any(name.startswith(start) for name in names)
    ]
    kind = kinds[0] if kinds else "StableDiffusionPipeline"
    folder = str(path.with_suffix(""))
    return (
        f'python -c "from diffusers import {kind} as Model; '
        f'Model.from_single_file({str(path)!r}).save_pretrained({folder!r})"'
    )
