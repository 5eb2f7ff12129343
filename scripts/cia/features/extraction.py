"""Features: each picture as a row of numbers, from a network that has seen many others."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from cia.catalog import FEATURES, code, feature_of
from cia.errors import UserError
from cia.feature_files import require_finite
from cia.images import load_image
from cia.progress import Progress


@dataclass(frozen=True)
class FeatureModel:
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
    model = load_model(settings, device)
    features, probabilities = [], []
    progress = Progress(len(paths), "pictures")
    with torch.inference_mode():
        for inputs in _batches(paths, boxes, model.preprocess, batch_size, threads):
            # the layout that convolutions are fastest in
            inputs = inputs.to(device, memory_format=torch.channels_last)
            found, classes = model.network(inputs)
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


def load_model(settings: dict, device: torch.device) -> FeatureModel:
    """Load the network that the settings name, one of the `FEATURES` of `cia.catalog`.

    Raises
    ------
    UserError
        If there is no such model, or its files can't be had.
    """
    name, variant = feature_of(settings["model"])
    if name not in FEATURES:
        known = ", ".join(sorted(FEATURES))
        raise UserError(f"model {settings['model']!r} is none of {known}")
    try:
        return code(FEATURES[name])(settings, device, variant)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(
            f"the model {settings['model']!r} can't be loaded "
            f"(weights: {settings.get('weights') or 'its default'}): {error}. Without network, "
            "download it first and set `weights` to the local file or folder."
        ) from error


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
