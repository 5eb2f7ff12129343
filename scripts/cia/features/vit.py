"""A vision transformer, through transformers."""

import numpy as np
import torch
from PIL import Image

from cia.features.extraction import FeatureModel

MODEL = "google/vit-base-patch16-224-in21k"


def load(settings: dict, device: torch.device, variant: str) -> FeatureModel:
    """Load a vision transformer through transformers; the features are its [CLS] token's."""
    from transformers import AutoImageProcessor, AutoModel

    source, revision = settings.get("weights") or MODEL, settings.get("revision")
    processor = AutoImageProcessor.from_pretrained(source, revision=revision)
    model = AutoModel.from_pretrained(source, revision=revision, use_safetensors=True)
    model = model.eval().to(device)

    def preprocess(image: np.ndarray) -> torch.Tensor:
        # The processor gets the picture itself: a scaled one would be scaled once more.
        return processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"][0]

    def network(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = model(pixel_values=inputs).last_hidden_state[:, 0]
        return features, features.new_zeros((len(features), 0))

    return FeatureModel(preprocess, network)
