"""The embedded network, for the demo's digits alone."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cia.catalog import FEATURES
from cia.features.extraction import FeatureModel
from cia.features.timm_models import forward

FOLDER = Path(__file__).resolve().parents[3] / FEATURES["tiny"].embedded


def load(settings: dict, device: torch.device, variant: str) -> FeatureModel:
    """Load a timm network from a folder with config.json and model.safetensors."""
    import timm
    from safetensors.torch import load_file

    folder = Path(settings.get("weights") or FOLDER)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = timm.create_model(
        config["architecture"], num_classes=config["num_classes"], **config.get("kwargs", {})
    )
    model.load_state_dict(load_file(folder / "model.safetensors"))
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    size = tuple(config["input_size"][:0:-1])

    def preprocess(image: np.ndarray) -> torch.Tensor:
        resized = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
        return (torch.from_numpy(np.array(resized)).permute(2, 0, 1) / 255 - mean) / std

    return FeatureModel(preprocess, partial(forward, model.eval().to(device)))
