"""Pictures in and out: RGB uint8 HWC inside, any common file outside."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from cia.files import atomic_path

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
"""Suffixes (lower case) of the files that count as pictures."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""The bytes that a PNG file begins with."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
"""The decoders that may open them, whatever the suffix says."""

_ON_ITS_SIDE = (5, 6, 7, 8)
"""EXIF orientations of pictures that are stored with width and height exchanged."""

_DECODER_ERRORS = (
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise on damaged files, besides OSError."""


def load_image(path: str | Path | BinaryIO) -> np.ndarray:
    """Load a picture, from its path or an open file, as RGB, upright.

    The EXIF orientation is applied; gray, palette, CMYK and 16-bit become 8-bit RGB; what is
    transparent is laid on white. Of an animation or a stack, the first frame counts.

    Returns
    -------
    numpy.ndarray
        uint8, shape (height, width, 3).

    Raises
    ------
    OSError
        If the file can't be read as a picture, truncated files included, or has more than twice
        `PIL.Image.MAX_IMAGE_PIXELS` pixels.
    """
    return _upright(path)


def load_reduced(path: str | Path, side: int) -> np.ndarray:
    """Load a picture as `load_image` does, for a small view of it: a JPEG may come smaller.

    Its decoder leaves out what only larger views show, which takes a fraction of the time.

    Parameters
    ----------
    side : int
        Pixels that width and height have at least, where the picture has as many.

    Returns
    -------
    numpy.ndarray
        uint8, shape (height, width, 3).

    Raises
    ------
    OSError
        As `load_image`; damage that does not show in the small view is not seen.
    """
    return _upright(path, side)


def _upright(path: str | Path | BinaryIO, side: int | None = None) -> np.ndarray:
    with _decoded(path, side) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(to_rgb(image), dtype=np.uint8)


def check_image(path: str | Path | BinaryIO) -> tuple[int, int]:
    """Decode a picture as `load_image` does, but make no array of it.

    Returns
    -------
    tuple of int
        Width and height, upright.

    Raises
    ------
    OSError
        As `load_image`.
    """
    with _decoded(path) as image:
        if image.mode != "RGB":
            to_rgb(image)
        return image.size[::-1] if orientation(image) in _ON_ITS_SIDE else image.size


def check_header(path: str | Path) -> tuple[int, int, int]:
    """Read a picture's header; the picture is decoded only if a PNG's text may hold EXIF or XMP.

    Returns
    -------
    tuple of int
        Width and height as stored, and the EXIF orientation, 1 to 8.

    Raises
    ------
    OSError
        If the file is missing or no picture.
    """
    try:
        with open(path, "rb") as file:
            if size := _plain_png(file):  # Pillow would decode it to see what stands at its end
                return *size, 1
            with Image.open(file, formats=_FORMATS) as image:
                turned = orientation(image)
                return *image.size, turned if turned in range(1, 9) else 1
    except _DECODER_ERRORS as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def _plain_png(file: BinaryIO) -> tuple[int, int] | None:
    """Return width and height of a PNG that holds neither EXIF nor text; else None."""
    start = file.read(len(PNG_SIGNATURE) + 16)
    if not start.startswith(PNG_SIGNATURE) or start[12:16] != b"IHDR":
        file.seek(0)
        return None
    width, height = struct.unpack(">II", start[16:24])
    at = len(PNG_SIGNATURE)
    while True:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"IEND":
            return width, height
        if kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):
            file.seek(0)
            return None
        at += 12 + length


def orientation(image: Image.Image) -> int:
    """Return the orientation that a PIL image's EXIF tells, or else its XMP, or else 1."""
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def check_png(content: bytes) -> None:
    """Check the chunks of a PNG file: Pillow shows what other readers take for damaged.

    Raises
    ------
    OSError
        If a chunk's checksum is wrong, or the file ends before its end mark.
    """
    view, at = memoryview(content), len(PNG_SIGNATURE)
    while (start := at + 8) + 4 <= len(view):
        end = start + int.from_bytes(view[at : at + 4], "big")
        if end + 4 > len(view):
            break
        kind = bytes(view[at + 4 : start])
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            name = kind.decode("ascii", "backslashreplace")
            raise OSError(f"a corrupt PNG (the checksum of its {name} chunk is wrong)")
        if kind == b"IEND":
            return
        at = end + 4
    raise OSError("a truncated PNG (its end, IEND, is missing)")


@contextmanager
def _decoded(path: str | Path | BinaryIO, side: int | None = None) -> Iterator[Image.Image]:
    try:
        # Opened here: of a path, Pillow maps some TIFFs into memory and forgets to turn them.
        with (
            open(path, "rb") if isinstance(path, str | Path) else nullcontext(path) as file,
            Image.open(file, formats=_FORMATS) as image,
        ):
            if side:
                image.draft(None, (side, side))
            image.load()
            yield image
    except _DECODER_ERRORS as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


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
    return image if image.mode == "RGB" else image.convert("RGB")


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a picture with an antialiased Lanczos filter.

    Not for maps whose colors are classes: a filter would mix them.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 RGB, shape (height, width, 3).
    size : tuple of int
        Width and height in pixels.

    Returns
    -------
    numpy.ndarray
        uint8, shape (size[1], size[0], 3).
    """
    if image.shape[1::-1] == tuple(size):
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def save_png(path: str | Path, image: np.ndarray | Image.Image, text: dict | None = None) -> None:
    """Save a picture as PNG, whole or not at all.

    Parameters
    ----------
    image : numpy.ndarray or PIL.Image.Image
        uint8 RGB, shape (height, width, 3), or a PIL image.
    text : dict, optional
        Text chunks to store in the file, keyword to text.
    """
    with atomic_path(path) as partial:
        write_png(partial, image, text)


def write_png(
    file: Path | BinaryIO, image: np.ndarray | Image.Image, text: dict | None = None
) -> None:
    """Write a picture as PNG into a file that is open, or at a path; else as `save_png`."""
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    for keyword, value in (text or {}).items():
        chunks.add_itxt(keyword, value) if not value.isascii() else chunks.add_text(keyword, value)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(file, format="PNG", pnginfo=chunks)


def read_png_text(path: str | Path) -> dict[str, str]:
    """Return the text chunks of a PNG file, {} if it can't be read whole.

    The picture is decoded, since a damaged file is worth nothing whatever its text says.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            image.load()
            return dict(image.text)
    except (OSError, *_DECODER_ERRORS):
        return {}


def _to_uint8(values: np.ndarray, mode: str) -> np.ndarray:
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if mode.startswith("I;16") or (
        mode == "I" and 255 < values.max() <= 65535 and values.min() >= 0
    ):
        return np.round(values / 257.0).clip(0, 255).astype(np.uint8)
    low, high = float(values.min()), float(values.max())
    if 0 <= low and 1 < high <= 255:
        return np.round(values).astype(np.uint8)
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.round((values - low) * scale).clip(0, 255).astype(np.uint8)
