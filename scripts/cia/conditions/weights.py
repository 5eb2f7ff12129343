"""Weights of the extractors: where they are, and errors that say what to do."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cia.errors import UserError


@contextmanager
def explained(model: str, what: str) -> Iterator[None]:
    """Turn a failure to load a model into an error that names the setting.

    Raises
    ------
    UserError
        If the block raises what hub and loaders raise when a model is not there or not readable.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        raise UserError(
            f"extractor {what}: can't load model {model!r}: its file holds more than weights "
            "(a pickle that would run code) or is corrupt; download it again, or set `model` to "
            "another one"
        ) from error
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError) as error:
        raise UserError(
            f"extractor {what}: can't load model {model!r}: {type(error).__name__}: {error}\n"
            "Set `model` of this condition to a hub id or to a local folder that holds the model; "
            "without network only a local folder or a model already in the hub's cache will do."
        ) from error


def find_file(model: str, filename: str, revision: str | None) -> Path:
    """Return the path of one file of a local folder or, downloaded once, of a hub repository."""
    if Path(model).is_dir():
        return Path(model) / filename
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(model, filename, revision=revision))


def local_files(model: str) -> list[Path]:
    """Return the files of a local model, sorted; [] for one on the hub."""
    path = Path(model)
    if path.is_file():
        return [path]
    return sorted(file for file in path.glob("*") if file.is_file()) if path.is_dir() else []


def device() -> str:
    """Return the device to run on."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
