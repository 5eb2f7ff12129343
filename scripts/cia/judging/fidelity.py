"""Condition fidelity: does the synthetic image show the map that it was made from?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cia.conditions.extractors import make_extractor
from cia.images import load_image
from cia.judging.cases import Case
from cia.progress import Progress


def judge(case: Case, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Extract the condition from each synthetic image, and compare it with the map asked for.

    The same extractor and settings that made the maps; by kind of map the comparison is edge F1,
    mean IoU of classes, or closeness of keypoints (see `cia.conditions.likeness`).

    Parameters
    ----------
    case : Case
    settings : mapping
        `condition`: an entry of the config's `conditions`.
    """
    own = {key: value for key, value in settings["condition"].items() if key not in _NOT_OWN}
    extractor = make_extractor(settings["condition"]["extractor"], own)
    progress = Progress(len(case.images), "images judged")
    found = []
    for row in case.images.itertuples():
        image, size = load_image(row.image), (row.width, row.height)
        shown, _ = extractor.extract([image], [size])[0]
        found.append(extractor.compare(load_image(row.condition), shown))
        progress.add(1)
    return {"condition_fidelity": np.array(found)}


_NOT_OWN = {"extractor", "size", "empty"}
"""Settings of a condition that are not the extractor's."""
