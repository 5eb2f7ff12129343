"""Condition maps: what a ControlNet is shown of a picture.

An extractor is a dataclass like those in this package. Its fields are the settings that config may
give, with their defaults. It has

- `nothing`: what to say of a picture in which it found nothing;
- `compare`: how alike two of its maps are, one of `cia.conditions.likeness`;
- `interpolation`: how its maps are warped: `lines` (white, one pixel wide, on black), `linear` (a
  drawing on black) or `nearest` (flat colors that are classes);
- `extract(pictures, sizes)`: for RGB pictures, uint8 (H, W, 3), and the sizes (width, height) of
  their maps, a list of maps, uint8 RGB (height, width, 3), each with the number of things found.
  A map depends on its own picture and size alone, not on the others of the list;
- `weights()`: the files of its model where these are local, [] otherwise.

Models are loaded on the first call of `extract`; libraries are imported only then.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from cia.catalog import CONDITIONS, code
from cia.errors import UserError, suggest


class Extractor(Protocol):
    """An extractor, made from one of the classes that `CONDITIONS` of `cia.catalog` names."""

    nothing: ClassVar[str]
    compare: ClassVar[Callable[[np.ndarray, np.ndarray], float]]
    interpolation: ClassVar[str]

    def extract(
        self, pictures: list[np.ndarray], sizes: list[tuple[int, int]]
    ) -> list[tuple[np.ndarray, int]]: ...

    def weights(self) -> list[Path]: ...


def make_extractor(name: str, settings: Mapping[str, Any]) -> Extractor:
    """Make the extractor of that name.

    Raises
    ------
    UserError
        If there is none, or it does not know a setting.
    """
    if name not in CONDITIONS:
        raise UserError(f"extractor: {name!r} is none of {', '.join(CONDITIONS)}")
    kind = code(CONDITIONS[name])
    known = [field.name for field in fields(kind) if field.init]
    for key in settings:
        if key not in known:
            raise UserError(f"extractor {name}: unknown setting {key!r}{suggest(key, known)}")
    return kind(**settings)
