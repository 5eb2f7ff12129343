"""Draws: bytes, numbers and orders that a hash of a purpose and a key decides, and nothing else.

So what is drawn for one image is the same whatever other images there are, in any order of rows and
on any machine. The hash is BLAKE2b (RFC 7693); its personalization is the purpose, which keeps
draws of different purposes independent although their keys are the same.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal


def digest(purpose: str, *key: Any, size: int = 16, block: int = 0) -> bytes:
    """Return random bytes.

    Parameters
    ----------
    purpose : str
        What is drawn, at most 16 bytes.
    *key
        What the draw depends on, say seed and id. Hashed as text, joined by NUL.
    size : int
        How many bytes, 1 to 64.
    block : int
        For more than 64 bytes: which block of them, from 0.
    """
    text = "\0".join(map(str, key)).encode("utf-8", "surrogateescape")
    salt = block.to_bytes(8, "big")
    return hashlib.blake2b(text, digest_size=size, person=purpose.encode(), salt=salt).digest()


def number(
    purpose: str, *key: Any, size: int = 16, byteorder: Literal["big", "little"] = "big"
) -> int:
    """Return a random integer, 0 to 256**size - 1; for the arguments see `digest`."""
    return int.from_bytes(digest(purpose, *key, size=size), byteorder)


def order(purpose: str, keys: Iterable[tuple]) -> list[int]:
    """Return the indices of keys in random order; one more key moves no two others past another."""
    drawn = [digest(purpose, *key) for key in keys]
    return sorted(range(len(drawn)), key=drawn.__getitem__)
