"""Semantic maps by any segmentation model of transformers, in ADE20K's colors."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cia.conditions.ade20k import CLASSES, indices_of, paint
from cia.conditions.likeness import mean_iou
from cia.conditions.weights import device, explained, local_files
from cia.errors import UserError

logger = logging.getLogger("cia")


@dataclass
class Segmentation:
    """The class of every pixel, as ControlNet's segmentation models expect it.

    A model with 150 classes is taken to be trained on ADE20K; the classes of another one are
    matched by name (`cia.conditions.ade20k`), and what has no counterpart stays black. The
    model's scores, not the classes, are interpolated to the map's size.

    Attributes
    ----------
    model : str
        Hub id or local folder of a model for semantic segmentation (SegFormer, UPerNet, BEiT, DPT,
        ...) or universal segmentation (Mask2Former, OneFormer, MaskFormer, EoMT, ...).
    revision : str or None
        Revision of the hub repository.
    classes : dict
        The model's class names to ADE20K class names, where names alone don't match.
    """

    model: str = "openmmlab/upernet-convnext-small"
    revision: str | None = None
    classes: dict[str, str] = field(default_factory=dict)

    nothing: ClassVar[str] = "no class with an ADE20K counterpart found"
    compare: ClassVar[Callable] = staticmethod(mean_iou)
    interpolation: ClassVar[str] = "nearest"

    def extract(
        self, pictures: list[np.ndarray], sizes: list[tuple[int, int]]
    ) -> list[tuple[np.ndarray, int]]:
        """Return semantic maps, with the number of distinct classes."""
        maps = []
        for classes in self._class_maps(pictures, sizes):
            found = np.unique(classes)
            maps.append((paint(classes), int((found >= 0).sum())))
        return maps

    def weights(self) -> list[Path]:
        return local_files(self.model)

    def _class_maps(
        self, pictures: list[np.ndarray], sizes: list[tuple[int, int]]
    ) -> list[np.ndarray]:
        """Return maps of ADE20K class indices, -1 for none."""
        import torch

        processor, network, indices = self._loaded
        tasks = {}
        if network.config.model_type == "oneformer":
            tasks = {"task_inputs": ["semantic"] * len(pictures)}
        inputs = processor(images=pictures, return_tensors="pt", **tasks).to(network.device)
        with torch.inference_mode():
            outputs = network(**inputs)
        maps = processor.post_process_semantic_segmentation(
            outputs, target_sizes=[(height, width) for width, height in sizes]
        )
        return [indices[one.cpu().numpy()] for one in maps]

    @cached_property
    def _loaded(self) -> tuple[Any, Any, np.ndarray]:
        with explained(self.model, "segmentation"):
            processor, network = _load(self.model, self.revision)
        names = [network.config.id2label[index] for index in range(network.config.num_labels)]
        if len(names) == len(CLASSES) and not self.classes:
            return processor, network.eval().to(device()), np.arange(len(CLASSES))
        indices = indices_of(names, self.classes)
        if (indices < 0).all():
            raise UserError(
                f"extractor segmentation: no class of model {self.model!r} "
                f"({', '.join(names[:5])}, ...) has a counterpart of the same name in ADE20K; "
                "map them with `classes`"
            )
        lost = [name for name, index in zip(names, indices, strict=True) if index < 0]
        if lost:
            logger.warning("classes without ADE20K counterpart stay black: %s", ", ".join(lost))
        return processor, network.eval().to(device()), indices


def _load(model: str, revision: str | None) -> tuple[Any, Any]:
    """Load a processor and a network; transformers reads safetensors, or pickles weights_only."""
    from transformers import (
        AutoConfig,
        AutoImageProcessor,
        AutoModelForSemanticSegmentation,
        AutoModelForUniversalSegmentation,
        AutoProcessor,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING as SEMANTIC,
    )

    config = AutoConfig.from_pretrained(model, revision=revision)
    semantic = type(config) in SEMANTIC
    kind = AutoModelForSemanticSegmentation if semantic else AutoModelForUniversalSegmentation
    # OneFormer's task is a text: its processor has a tokenizer too
    reader = AutoProcessor if config.model_type == "oneformer" else AutoImageProcessor
    processor = reader.from_pretrained(model, revision=revision)
    return processor, kind.from_pretrained(model, revision=revision)
