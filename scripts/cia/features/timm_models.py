"""Any timm model, by its name after `timm:`."""

from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from cia.features.extraction import FeatureModel


def load(settings: dict, device: torch.device, variant: str) -> FeatureModel:
    """Load any timm model by name, with its own preprocessing (`timm.data`)."""
    import timm
    from timm.data import create_transform, resolve_model_data_config

    weights = settings.get("weights")
    overlay = {"file": weights} if weights else None
    model = timm.create_model(variant, pretrained=True, pretrained_cfg_overlay=overlay)
    transform = create_transform(**resolve_model_data_config(model), is_training=False)

    def preprocess(image: np.ndarray) -> torch.Tensor:
        return transform(Image.fromarray(image))

    return FeatureModel(preprocess, partial(forward, model.eval().to(device)))


def forward(model: Any, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features and class probabilities of a timm network, which has 0 or more classes."""
    maps = model.forward_features(inputs)
    features = model.forward_head(maps, pre_logits=True)
    if not getattr(model, "num_classes", 0):
        return features, features.new_zeros((len(features), 0))
    return features, model.forward_head(maps).softmax(dim=1)
