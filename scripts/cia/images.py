"""Pictures in and out: RGB uint8 HWC inside, any common file outside."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cia.files import atomic_path

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
"""Suffixes (lower case) of the files that count as pictures."""


def load_image(path: str | Path) -> np.ndarray:
    """Load a picture as RGB, upright.

    The EXIF orientation is applied; gray, palette, CMYK and 16-bit become 8-bit RGB; what is
    transparent is laid on white.

    Returns
    -------
    numpy.ndarray
        uint8, shape (height, width, 3).

    Raises
    ------
    OSError
        If the file can't be read as a picture, truncated files included.
    """
    with Image.open(path) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        return np.asarray(to_rgb(upright), dtype=np.uint8)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a PIL image of any mode as 8-bit RGB.

    16-bit gray is scaled from its full range to 8 bits (PIL itself clips it), 32-bit integer and
    float images from their own range.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_uint8(np.asarray(image), image.mode)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def save_png(path: str | Path, image: np.ndarray | Image.Image, text: dict | None = None) -> None:
    """Save a picture as PNG, whole or not at all.

    Parameters
    ----------
    image : numpy.ndarray or PIL.Image.Image
        uint8 RGB, shape (height, width, 3), or a PIL image.
    text : dict, optional
        Text chunks to store in the file, keyword to text.
    """
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    for keyword, value in (text or {}).items():
        chunks.add_itxt(keyword, value) if not value.isascii() else chunks.add_text(keyword, value)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    with atomic_path(path) as partial:
        picture.save(partial, format="PNG", pnginfo=chunks)


def _to_uint8(values: np.ndarray, mode: str) -> np.ndarray:
    values = values.astype(np.float64)
    if mode.startswith("I;16") or (
        mode == "I" and 255 < values.max() <= 65535 and values.min() >= 0
    ):
        return np.round(values / 257.0).clip(0, 255).astype(np.uint8)
    low, high = float(values.min()), float(values.max())
    if 0 <= low and 1 < high <= 255:
        return np.round(values).astype(np.uint8)
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.round((values - low) * scale).clip(0, 255).astype(np.uint8)
