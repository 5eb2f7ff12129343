"""The Inception of FID and Inception Score as published, through clean-fid."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cia.config.model_names import INCEPTION_FILE
from cia.errors import UserError
from cia.features.extraction import FeatureModel


def load(settings: dict, device: torch.device, variant: str) -> FeatureModel:
    """Load the Inception of FID and its antialiased resize, both through clean-fid.

    The network is the original one as TorchScript (Karras et al., StyleGAN2-ADA); Parmar et al.,
    "On Aliased Resizing" (2022) for the resize. A TorchScript file holds code, like a pickle, but
    runs only in TorchScript's own interpreter.
    """
    from cleanfid.inception_torchscript import InceptionV3W
    from cleanfid.resize import build_resizer

    base = InceptionV3W(str(_folder(settings)), download=False).base.eval().to(device)
    layers = torch.jit.freeze(base.layers)  # normalization folded into convolutions
    resize = build_resizer("clean")
    classify = _classifier(base, layers, device)

    def preprocess(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(resize(image)).permute(2, 0, 1)

    def network(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = layers((inputs - 128) / 128).view(len(inputs), -1)
        return features, classify(features, inputs)

    return FeatureModel(preprocess, network)


def _classifier(base: Any, layers: Any, device: torch.device) -> Callable:
    """Return a function of features and inputs that gives class probabilities.

    From the features, by the network's last layer, if that is seen to give what the whole network
    does; by the whole network otherwise, which costs as much again.
    """

    def from_features(features: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return base.output(features).softmax(dim=1)

    def from_inputs(features: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return base(inputs)

    probe = torch.arange(3 * 299 * 299, device=device).remainder(251).float().view(1, 3, 299, 299)
    with torch.inference_mode():
        features = layers((probe - 128) / 128).view(1, -1)
        try:
            direct = from_features(features, probe)
        except (AttributeError, RuntimeError, NotImplementedError):
            return from_inputs
        same = torch.allclose(direct, base(probe), rtol=1e-4, atol=1e-6)
    return from_features if same else from_inputs


def _folder(settings: dict) -> Path:
    if weights := settings.get("weights"):
        path = Path(weights)
        if path.name != INCEPTION_FILE or not path.is_file():
            raise UserError(f"`weights` {path} is not an existing file {INCEPTION_FILE}")
        return path.parent
    from cleanfid.downloads_helper import check_download_inception

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    check_download_inception(fpath=str(folder))
    return folder
