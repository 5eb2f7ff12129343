"""The one registry of parts: sources, conditions, variations, features and so on, up to exports.

It says what there is to choose from. A new part is a module, an entry here, and where it has a name
in the config the schema of its own settings in config/schema/TABLE/NAME.yaml; docs/extending.md has
an example of each. `code` of an entry says where its code is:

- SOURCES: "module" with `describe(settings, task)`, `watch(settings)` and
  `read(settings, wanted)` (`cia.importing.pictures`);
- CONDITIONS: "module:class", a dataclass of its settings (`cia.conditions.extractors.Extractor`);
- VARIATIONS: "module:varier", a function (maps, objects, settings, interpolation) that returns a
  function of one map's row and a random generator (`cia.variations.varying.Varier`);
- FEATURES: "module:load", a function (settings, device, variant) that returns a `FeatureModel` of
  `cia.features.extraction`;
- METRICS: "module:measure", a function of a `Comparison` that returns an `Estimate` by the name of
  each number (`cia.metrics.comparing`);
- SCORES: "module:score", a function of `cia.scores.inputs.Inputs` that returns a column by name;
- JUDGES: "module:judge", a function (case, settings) of a `cia.judging.cases.Case` that returns a
  column by name;
- TRAINERS: "module" with `train(training)`, `test(training, weights)` and
  `predict(weights, settings, pictures)` (`cia.training.trainings`);
- EXPORTS: "module" with `picture_path(picture, name, classes)` and `write(folder, data, paths)`
  (`cia.exporting.pictures`).

Light on purpose: the Snakefile imports it for every dry run. The code itself is imported by `code`
alone, in the job that runs it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Number:
    """A number that says how good something is: its better end, and the ends it does not pass."""

    better: str
    least: float = -math.inf
    most: float = math.inf


LOWER, HIGHER = Number("lower"), Number("higher")


@dataclass(frozen=True)
class Source:
    """A form in which a dataset may lie; `tasks`: those whose labels it can hold."""

    code: str
    tasks: tuple[str, ...] = ("detection", "classification")


@dataclass(frozen=True)
class Condition:
    """A way to extract condition maps; `gpu`: by a torch network, which a GPU makes faster."""

    code: str
    gpu: bool = False


@dataclass(frozen=True)
class Variation:
    """A way to give condition maps another geometry.

    `tasks`: the only ones that it is for; all if there are none. `other_objects`: its maps hold
    other objects than their source does, so that the source's caption would be wrong.
    """

    code: str
    tasks: tuple[str, ...] = ()
    other_objects: bool = False


@dataclass(frozen=True)
class Feature:
    """A model whose features stand for an image.

    `variants`: the config names one of several after a colon (timm:NAME). `embedded`: the folder of
    the repository with its weights, where these ship with the workflow.
    """

    code: str
    variants: bool = False
    embedded: str | None = None
    gpu: bool = True


@dataclass(frozen=True)
class Metric:
    """A measure of a whole set; `gives` has the numbers that it may give, by name.

    `of_probabilities`: it looks at the synthetic images' class probabilities alone, so that what
    the real images come to is its floor.
    """

    code: str
    gives: Mapping[str, Number]
    of_probabilities: bool = False


@dataclass(frozen=True)
class Score:
    """A measure of each image by its features; `gives` has its columns, by name."""

    code: str
    gives: Mapping[str, Number]


@dataclass(frozen=True)
class Judge:
    """A score that looks at the images themselves; `gives` as of a `Score`.

    `needs` says what it gets beside images and prompts: "condition" (in its settings the entry of
    the config that the maps were made by, whose extractor it runs), "labels" (of the images), and
    "model" (in its settings the `weights` and the entry of the trainer that its settings `trainer`,
    `mix` and `seed` name). `gpu`: it runs a torch network of its own.
    """

    code: str
    gives: Mapping[str, Number]
    needs: tuple[str, ...] = ()
    gpu: bool = True


@dataclass(frozen=True)
class Trainer:
    """A downstream model to train; `tasks`: those of the datasets that it can learn."""

    code: str
    tasks: tuple[str, ...]
    gpu: bool = True


@dataclass(frozen=True)
class Export:
    """A format of other programs; `holds`: what labels it has, in words, and for which `tasks`."""

    code: str
    holds: str
    tasks: tuple[str, ...]


_EVERY_TASK = ("detection", "segmentation", "pose", "classification")

SOURCES = {
    "coco": Source("cia.importing.coco", _EVERY_TASK),
    "yolo": Source("cia.importing.yolo", ("detection", "segmentation", "pose")),
    "voc": Source("cia.importing.voc"),
    "imagefolder": Source("cia.importing.imagefolder", ("classification",)),
    "csv": Source("cia.importing.csv_tables"),
    "huggingface": Source("cia.importing.huggingface"),
}
"""`format` of a dataset's `source` in the config."""

CONDITIONS = {
    "canny": Condition("cia.conditions.canny:Canny"),
    "openpose": Condition("cia.conditions.openpose:Openpose", gpu=True),
    "segmentation": Condition("cia.conditions.segmentation:Segmentation", gpu=True),
    "yolo_segmentation": Condition("cia.conditions.yolo_segmentation:YoloSegmentation", gpu=True),
    "mediapipe_face": Condition("cia.conditions.mediapipe_face:MediapipeFace"),
}
"""`extractor` of the config's `conditions`."""

VARIATIONS = {
    "warp": Variation("cia.variations.warp:varier"),
    "recombine": Variation(
        "cia.variations.recombine:varier",
        tasks=("detection", "segmentation", "pose"),
        other_objects=True,
    ),
}
"""`kind` of the config's `variations`."""

FEATURES = {
    "tiny": Feature("cia.features.tiny:load", embedded="resources/tiny-features"),
    "inception": Feature("cia.features.inception:load"),
    "vit": Feature("cia.features.vit:load"),
    "timm": Feature("cia.features.timm_models:load", variants=True),
}
"""`model` of the config's `features`."""

METRICS = {
    "frechet": Metric(
        "cia.metrics.frechet:measure",
        {
            "fid": Number("lower", 0),
            "frechet_distance": Number("lower", 0),
            "frechet_infinity": LOWER,
        },
    ),
    "kernels": Metric("cia.metrics.kernels:measure", {"kid": LOWER, "mmd_rbf": LOWER}),
    "manifolds": Metric(
        "cia.metrics.manifolds:measure",
        {
            "precision": Number("higher", 0, 1),
            "recall": Number("higher", 0, 1),
            "density": Number("higher", 0),
            "coverage": Number("higher", 0, 1),
        },
    ),
    "inception_score": Metric(
        "cia.metrics.inception_score:measure",
        {"inception_score": Number("higher", 1)},
        of_probabilities=True,
    ),
}
"""Every metric of a whole set, in the order in which files hold them; all are always measured."""

SCORES = {
    "mahalanobis": Score(
        "cia.scores.mahalanobis:score",
        {"mahalanobis": LOWER, "mahalanobis_class": LOWER, "mld_pinv": LOWER},
    ),
    "neighbors": Score(
        "cia.scores.proximity:score",
        {"knn_distance": LOWER, "realism": HIGHER, "copy_real": HIGHER, "copy_synthetic": HIGHER},
    ),
}
"""Every score by features, in the order of columns; all are always given."""

JUDGES = {
    "condition_fidelity": Judge(
        "cia.judging.fidelity:judge",
        {"condition_fidelity": HIGHER},
        needs=("condition",),
        gpu=False,
    ),
    "label_survival": Judge(
        "cia.judging.survival:judge",
        {
            "label_recall": HIGHER,
            "label_iou": HIGHER,
            "label_confidence": HIGHER,
            "extra_objects": LOWER,
        },
        needs=("labels", "model"),
    ),
    "text_agreement": Judge("cia.judging.agreement:judge", {"text_agreement": HIGHER}),
}
"""`kind` of the config's `judges`."""

TRAINERS = {
    "yolo": Trainer("cia.training.yolo", ("detection", "segmentation", "pose")),
    "timm": Trainer("cia.training.classifier", ("classification",)),
}
"""`kind` of the config's `trainers`."""

MAIN_METRIC = {
    "detection": "mAP50-95",
    "segmentation": "mask_mAP50-95",
    "pose": "oks_mAP50-95",
    "classification": "accuracy",
}
"""The test metric by which models are compared, by task."""

EXPORTS = {
    "coco": Export(
        "cia.exporting.coco", "boxes, masks and keypoints", ("detection", "segmentation", "pose")
    ),
    "voc": Export("cia.exporting.voc", "boxes alone", ("detection",)),
    "yolo": Export(
        "cia.exporting.yolo", "boxes, masks and keypoints", ("detection", "segmentation", "pose")
    ),
    "imagefolder": Export(
        "cia.exporting.imagefolder", "one class for each picture", ("classification",)
    ),
    "csv": Export("cia.exporting.csv_tables", "boxes or classes", ("detection", "classification")),
    "huggingface": Export(
        "cia.exporting.huggingface",
        "boxes, masks, keypoints and classes",
        ("detection", "segmentation", "pose", "classification"),
    ),
}
"""The formats of `exports` in the config."""


@dataclass(frozen=True)
class Kind:
    """A table of the config in which entries name a part: by which key, and the parts there are."""

    key: str
    parts: Mapping[str, Any]

    @property
    def families(self) -> set[str]:
        """Return the parts of which an entry names a variant: timm, as timm:NAME."""
        return {name for name, part in self.parts.items() if getattr(part, "variants", False)}


KINDS = {
    "sources": Kind("format", SOURCES),
    "conditions": Kind("extractor", CONDITIONS),
    "variations": Kind("kind", VARIATIONS),
    "features": Kind("model", FEATURES),
    "judges": Kind("kind", JUDGES),
    "trainers": Kind("kind", TRAINERS),
}
"""The tables of the config, and datasets' `source`, whose schemas hold the parts' own settings."""


def code(entry: Any) -> Any:
    """Import and return what an entry's `code` says: a class, a function, or a trainer's module."""
    module, _, name = entry.code.partition(":")
    found = import_module(module)
    return getattr(found, name) if name else found


def feature_of(model: str) -> tuple[str, str]:
    """Return the name in `FEATURES` and the variant of a `model` in the config: timm:NAME."""
    name, _, variant = model.partition(":")
    return name, variant


def metric_numbers() -> dict[str, Number]:
    """Return every number of every metric, by name."""
    return _numbers(METRICS)


def score_numbers() -> dict[str, Number]:
    """Return every column of scores tables, by name: those by features, and the judges'."""
    return _numbers(SCORES) | _numbers(JUDGES)


def judge_of(column: str) -> str | None:
    """Return the kind of judge that gives this column of scores tables; None if no judge does."""
    return next((kind for kind, judge in JUDGES.items() if column in judge.gives), None)


def _numbers(parts: Mapping[str, Any]) -> dict[str, Number]:
    return {name: number for part in parts.values() for name, number in part.gives.items()}
