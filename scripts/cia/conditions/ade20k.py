"""ADE20K's 150 classes and their colors, the language of ControlNet's segmentation models.

Colors are those of controlnet_aux, which are the benchmark's own (Zhou et al., Scene Parsing
through ADE20K Dataset, CVPR 2017). Models of other classes speak it through `ALIASES`.
"""

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np

from cia.errors import UserError, suggest

CLASSES = tuple(
    name.strip()
    for name in """
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk,
    person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf,
    house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub,
    railing, cushion, base, box, column, signboard, chest of drawers, counter, sand, sink,
    skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow,
    screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill,
    bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar,
    arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth,
    television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman,
    bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
    swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food,
    step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket,
    sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate,
    monitor, bulletin board, shower, radiator, glass, clock, flag
    """.split(",")
)
"""Class names by index."""

ALIASES = {
    "animal": "bird cat dog horse sheep cow elephant bear zebra giraffe",
    "bag": "backpack handbag suitcase",
    "food": "banana apple sandwich orange broccoli carrot hot_dog pizza donut cake fruit",
    "plaything": "frisbee kite teddy_bear toy",
    "minibike": "motorcycle motorbike",
    "person": "rider pedestrian",
    "glass": "wine_glass cup",
    "signboard": "stop_sign traffic_sign",
    "television receiver": "tv tvmonitor television",
    "table": "dining_table diningtable",
    "plant": "potted_plant pottedplant",
    "airplane": "aeroplane",
    "apparel": "tie",
    "ball": "sports_ball",
    "computer": "laptop",
    "sofa": "couch",
    "tree": "vegetation",
    "grass": "terrain",
    "windowpane": "window",
    "refrigerator": "fridge",
}
"""Classes of COCO, Pascal VOC and Cityscapes by their ADE20K counterpart, where there is one.

Of COCO's 80 classes these have none and stay black: train, fire hydrant, parking meter, umbrella,
skis, snowboard, baseball bat, baseball glove, skateboard, surfboard, tennis racket, fork, knife,
spoon, bowl, mouse, remote, keyboard, cell phone, toaster, scissors, hair drier, toothbrush.
"""

_INDEX = {name: index for index, name in enumerate(CLASSES)}
_COUNTERPART = _INDEX | {
    alias.replace("_", " "): _INDEX[name]
    for name, text in ALIASES.items()
    for alias in text.split()
}


@cache
def palette() -> np.ndarray:
    """Return the colors of the 150 classes, uint8 RGB, shape (150, 3)."""
    from controlnet_aux.util import ade_palette

    return np.array(ade_palette(), dtype=np.uint8)


def indices_of(names: Iterable[str], overrides: Mapping[str, str]) -> np.ndarray:
    """Return the ADE20K class of each of a model's classes.

    Parameters
    ----------
    names : iterable of str
        The model's class names in index order.
    overrides : mapping
        A model's class name to an ADE20K class name, from config; goes before `ALIASES`.

    Returns
    -------
    numpy.ndarray
        int64, shape (number of names,); -1 where there is no counterpart.

    Raises
    ------
    UserError
        If an override names no class of the model or of ADE20K.
    """
    names = [_plain(name) for name in names]
    table = dict(_COUNTERPART)
    for name, target in overrides.items():
        if _plain(name) not in names:
            raise UserError(
                f"classes: the model has no class {name!r}{suggest(_plain(name), names)}"
            )
        if _plain(target) not in _INDEX:
            raise UserError(
                f"classes: ADE20K has no class {target!r}{suggest(_plain(target), CLASSES)}"
            )
        table[_plain(name)] = _INDEX[_plain(target)]
    return np.array([table.get(name, -1) for name in names], dtype=np.int64)


def paint(classes: np.ndarray) -> np.ndarray:
    """Return a map of class indices, shape (height, width), as an RGB map; -1 is black."""
    colors = np.vstack([palette(), np.zeros((1, 3), np.uint8)])
    return colors[classes]


def _plain(name: str) -> str:
    return " ".join(str(name).lower().replace("_", " ").replace("-", " ").split())
