"""Condition maps: what a ControlNet is shown of a picture.

To add an extractor, write a dataclass like those in this package and enter it in `EXTRACTORS`. Its
fields are the settings that config may give, with their defaults. It has

- `nothing`: what to say of a picture in which it found nothing;
- `compare`: how alike two of its maps are, one of `cia.conditions.likeness`;
- `resampling`: how its maps are warped: `lines` (white, one pixel wide, on black), `linear` (a
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

from cia.conditions.canny import Canny
from cia.conditions.mediapipe_face import MediapipeFace
from cia.conditions.openpose import Openpose
from cia.conditions.segmentation import Segmentation
from cia.conditions.yolo_segmentation import YoloSegmentation
from cia.errors import UserError, suggest


class Extractor(Protocol):
    """What `EXTRACTORS` makes."""

    nothing: ClassVar[str]
    compare: ClassVar[Callable[[np.ndarray, np.ndarray], float]]
    resampling: ClassVar[str]

    def extract(
        self, pictures: list[np.ndarray], sizes: list[tuple[int, int]]
    ) -> list[tuple[np.ndarray, int]]: ...

    def weights(self) -> list[Path]: ...


EXTRACTORS = {
    "canny": Canny,
    "openpose": Openpose,
    "segmentation": Segmentation,
    "yolo_segmentation": YoloSegmentation,
    "mediapipe_face": MediapipeFace,
}
"""Every extractor by its name in config."""


def make_extractor(name: str, settings: Mapping[str, Any]) -> Extractor:
    """Make the extractor of that name.

    Raises
    ------
    UserError
        If there is none, or it does not know a setting, or a setting's value makes no sense.
    """
    if name not in EXTRACTORS:
        raise UserError(f"extractor: {name!r} is none of {', '.join(EXTRACTORS)}")
    known = [field.name for field in fields(EXTRACTORS[name]) if field.init]
    for key in settings:
        if key not in known:
            raise UserError(f"extractor {name}: unknown setting {key!r}{suggest(key, known)}")
    return EXTRACTORS[name](**settings)
