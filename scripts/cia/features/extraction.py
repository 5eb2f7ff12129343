"""Features: each picture as a row of numbers, from a network that has seen many others.

`EXTRACTORS` maps the config's `model` to a function that loads a network; adding one is a function
and an entry. An extractor is a pair: how a picture becomes the network's input, and the network.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cia.config.model_names import INCEPTION_FILE
from cia.errors import UserError
from cia.feature_files import require_finite
from cia.images import load_image
from cia.progress import Progress

logger = logging.getLogger("cia")

TINY_FOLDER = Path(__file__).resolve().parents[3] / "resources" / "tiny-features"
VIT_MODEL = "google/vit-base-patch16-224-in21k"


@dataclass(frozen=True)
class Extractor:
    """A network and its preprocessing.

    Attributes
    ----------
    preprocess : callable
        Takes a picture, uint8 RGB (height, width, 3), and returns the network's input as a
        float32 tensor (3, h, w), the same h and w for all pictures.
    network : torch.nn.Module or callable
        Takes inputs (n, 3, h, w) and returns features (n, d) and class probabilities (n, k),
        k = 0 where the model has no classes.
    """

    preprocess: Callable[[np.ndarray], torch.Tensor]
    network: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def extract_features(
    paths: Sequence[str],
    settings: dict,
    batch_size: int,
    threads: int = 1,
    boxes: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the features of pictures, or of boxes in them.

    Parameters
    ----------
    paths : sequence of str
        The pictures.
    settings : dict
        One entry of the config's `features`.
    batch_size : int
        Pictures per call of the network.
    threads : int
        Pictures that are decoded and resized at once, while the network works.
    boxes : numpy.ndarray, optional
        For each picture the part to look at: cx, cy, w, h, normalized, shape (n, 4).

    Returns
    -------
    features : numpy.ndarray
        float32, shape (n, d), rows as in `paths`.
    probabilities : numpy.ndarray
        float32, shape (n, k); k = 0 where the model has no classes.

    Raises
    ------
    UserError
        If the model can't be loaded, or a feature is not finite; the message names the picture.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    extractor = load_extractor(settings, device)
    features, probabilities = [], []
    progress = Progress(len(paths), "pictures")
    with torch.inference_mode():
        for inputs in _batches(paths, boxes, extractor.preprocess, batch_size, threads):
            # the layout that convolutions are fastest in
            inputs = inputs.to(device, memory_format=torch.channels_last)
            found, classes = extractor.network(inputs)
            features.append(found.float().cpu().numpy())
            probabilities.append(classes.float().cpu().numpy())
            progress.add(len(inputs))
    if not features:
        return np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32)
    joined = np.concatenate(features)
    require_finite(joined, list(paths), settings["model"])
    return joined, np.concatenate(probabilities)


def crop_box(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the part of a picture in a box (cx, cy, w, h, normalized), at least one pixel."""
    height, width = image.shape[:2]
    center, half = box[:2] * (width, height), box[2:] * (width, height) / 2
    low = np.clip(np.floor(center - half), 0, (width - 1, height - 1)).astype(int)
    high = np.maximum(np.ceil(center + half).astype(int), low + 1)
    return np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])


def load_extractor(settings: dict, device: torch.device) -> Extractor:
    """Load the network that the settings name.

    Raises
    ------
    UserError
        If there is no such model, or its files can't be had.
    """
    name, _, variant = settings["model"].partition(":")
    if name not in EXTRACTORS:
        known = ", ".join(sorted(EXTRACTORS))
        raise UserError(f"model {settings['model']!r} is none of {known}")
    loader = partial(EXTRACTORS[name], variant) if variant else EXTRACTORS[name]
    try:
        return loader(settings, device)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(
            f"the model {settings['model']!r} can't be loaded "
            f"(weights: {settings.get('weights') or 'its default'}): {error}. Without network, "
            "download it first and set `weights` to the local file or folder."
        ) from error


def load_tiny(settings: dict, device: torch.device) -> Extractor:
    """Load a timm network from a folder with config.json and model.safetensors."""
    import timm
    from safetensors.torch import load_file

    folder = Path(settings.get("weights") or TINY_FOLDER)
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

    return Extractor(preprocess, partial(_timm_forward, model.eval().to(device)))


def load_timm(name: str, settings: dict, device: torch.device) -> Extractor:
    """Load any timm model by name, with its own preprocessing (`timm.data`)."""
    import timm
    from timm.data import create_transform, resolve_model_data_config

    weights = settings.get("weights")
    overlay = {"file": weights} if weights else None
    model = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    transform = create_transform(**resolve_model_data_config(model), is_training=False)

    def preprocess(image: np.ndarray) -> torch.Tensor:
        return transform(Image.fromarray(image))

    return Extractor(preprocess, partial(_timm_forward, model.eval().to(device)))


def load_vit(settings: dict, device: torch.device) -> Extractor:
    """Load a vision transformer through transformers; the features are its [CLS] token's."""
    from transformers import AutoImageProcessor, AutoModel

    source, revision = settings.get("weights") or VIT_MODEL, settings.get("revision")
    processor = AutoImageProcessor.from_pretrained(source, revision=revision)
    model = AutoModel.from_pretrained(source, revision=revision, use_safetensors=True)
    model = model.eval().to(device)

    def preprocess(image: np.ndarray) -> torch.Tensor:
        # The processor gets the picture itself: a scaled one would be scaled once more.
        return processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"][0]

    def network(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = model(pixel_values=inputs).last_hidden_state[:, 0]
        return features, features.new_zeros((len(features), 0))

    return Extractor(preprocess, network)


def load_inception(settings: dict, device: torch.device) -> Extractor:
    """Load the Inception of FID and its antialiased resize, both through clean-fid.

    The network is the original one as TorchScript (Karras et al., StyleGAN2-ADA); Parmar et al.,
    "On Aliased Resizing" (2022) for the resize. A TorchScript file holds code, like a pickle, but
    runs only in TorchScript's own interpreter.
    """
    from cleanfid.inception_torchscript import InceptionV3W
    from cleanfid.resize import build_resizer

    base = InceptionV3W(str(_inception_folder(settings)), download=False).base.eval().to(device)
    layers = torch.jit.freeze(base.layers)  # normalization folded into convolutions
    resize = build_resizer("clean")
    classify = _classifier(base, layers, device)

    def preprocess(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(resize(image)).permute(2, 0, 1)

    def network(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = layers((inputs - 128) / 128).view(len(inputs), -1)
        return features, classify(features, inputs)

    return Extractor(preprocess, network)


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


EXTRACTORS: dict[str, Callable[..., Extractor]] = {
    "tiny": load_tiny,
    "timm": load_timm,
    "vit": load_vit,
    "inception": load_inception,
}
"""How to load each model; `timm:NAME` hands NAME on as the first argument."""


def _timm_forward(model: Any, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    maps = model.forward_features(inputs)
    features = model.forward_head(maps, pre_logits=True)
    if not getattr(model, "num_classes", 0):
        return features, features.new_zeros((len(features), 0))
    return features, model.forward_head(maps).softmax(dim=1)


def _inception_folder(settings: dict) -> Path:
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


def _batches(
    paths: Sequence[str],
    boxes: np.ndarray | None,
    preprocess: Callable,
    batch_size: int,
    threads: int,
) -> Iterator[torch.Tensor]:
    """Yield inputs; threads decode and resize the next batch while the network has this one."""

    def load(row: int) -> torch.Tensor:
        image = load_image(paths[row])
        return preprocess(image if boxes is None else crop_box(image, boxes[row]))

    with ThreadPoolExecutor(threads) as pool:
        waiting = None
        for start in range(0, len(paths), batch_size):
            rows = range(start, min(start + batch_size, len(paths)))
            coming = [pool.submit(load, row) for row in rows]
            if waiting:
                yield torch.stack([future.result() for future in waiting])
            waiting = coming
        if waiting:
            yield torch.stack([future.result() for future in waiting])
