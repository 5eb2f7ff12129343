"""Repositories of models, in a local folder or on the hub: what is in them, without the weights."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from cia.errors import UserError
from cia.safetensors_files import read_header


@dataclass(frozen=True)
class Repository:
    """Files of a model, of which only small ones are fetched.

    Attributes
    ----------
    name : str
        Local folder or hub id, as the config has it.
    key : str
        Where in the config it is, for messages.
    folder : Path
        The local folder, or that of the hub's cache.
    commit : str or None
        None for a local folder.
    """

    name: str
    key: str
    folder: Path
    commit: str | None

    @cached_property
    def files(self) -> set[str]:
        """Paths of all files, relative, with /; without network those in the hub's cache."""
        if self.commit:
            from huggingface_hub import HfApi

            try:
                return set(HfApi().list_repo_files(self.name, revision=self.commit))
            except Exception:  # as `find_repository`; what is in the cache will do
                pass
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix() for path in paths}

    def read_json(self, file: str) -> dict:
        """Return what a JSON file says.

        Raises
        ------
        UserError
            If it is missing, or no JSON.
        """
        if file not in self.files:
            raise UserError(f"{self.key}: {self.name!r} has no {file}; a diffusers model has one")
        path = self.folder / file
        if self.commit:
            path = fetch(self.name, file, self.commit, self.key)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{self.key}: {path}: not valid JSON: {error}") from error

    def require_weights(self, folder: str, stem: str) -> None:
        """Raise a `UserError` unless there are safetensors weights, whole as far as can be seen.

        Parameters
        ----------
        folder : str
            Where in the repository; `.` for its root.
        stem : str
            What libraries call the file: `model` (transformers), `diffusion_pytorch_model`.
        """
        single = str(PurePosixPath(folder, f"{stem}.safetensors"))
        index = f"{single}.index.json"
        parts = {single}
        if single not in self.files and index in self.files:
            names = self.read_json(index).get("weight_map", {}).values()
            parts = {str(PurePosixPath(folder, name)) for name in names}
        if missing := sorted(parts - self.files):
            others = sorted(name for name in self.files if PurePosixPath(name).match(f"{folder}/*"))
            raise UserError(
                f"{self.key}: {self.name!r} has no {', '.join(missing[:3])}; weights must be "
                f"safetensors, which run no code (there: {', '.join(others[:8]) or 'nothing'})"
            )
        for path in (self.folder / name for name in sorted(parts)):
            if path.is_file():  # weights on the hub are fetched by the job that needs them
                read_header(path)


def find_repository(name: str, revision: str | None, file: str, key: str) -> Repository:
    """Find a model by one of its small files.

    Parameters
    ----------
    name : str
        Local folder or hub id.
    revision : str or None
        Branch, tag or commit on the hub.
    file : str
        A file that it has, such as `model_index.json`.
    key : str
        Where in the config it is, for messages: `generators.NAME.model`.

    Raises
    ------
    UserError
        If it can't be had; the message says why and what to do.
    """
    if Path(name).is_dir():
        return Repository(name, key, Path(name), None)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"{key}: there is no folder {name!r}")
    path = fetch(name, file, revision, key)
    folder = path.parents[len(PurePosixPath(file).parts) - 1]
    return Repository(name, key, folder, folder.name)


def fetch(
    name: str, file: str, revision: str | None, key: str, hint: str = "a diffusers model has one"
) -> Path:
    """Fetch a file of the hub, from its cache where the hub can't be reached.

    Parameters
    ----------
    name : str
        Hub id.
    file : str
        Its path in the repository.
    revision : str or None
        Branch, tag or commit.
    key : str
        Where in the config it is, for messages.
    hint : str
        What to say if there is no such file.

    Raises
    ------
    UserError
        If it can't be had; the message says why and what to do.
    """
    from huggingface_hub import hf_hub_download

    with explained(name, file, revision, key, hint):
        return Path(hf_hub_download(name, file, revision=revision))


def read_hub_header(
    name: str, file: str, revision: str | None, key: str, hint: str
) -> tuple[dict, str]:
    """Return the header of a .safetensors file of the hub, and its commit; no weight is fetched.

    Parameters
    ----------
    name, file, revision, key, hint
        As for `fetch`.

    Raises
    ------
    UserError
        If it can't be had, or is no safetensors file.
    """
    from huggingface_hub import (
        HfApi,
        errors,
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
    )

    with explained(name, file, revision, key, hint):
        try:
            commit = get_hf_file_metadata(hf_hub_url(name, file, revision=revision)).commit_hash
            found = HfApi().parse_safetensors_file_metadata(name, file, revision=commit)
            return {k: {"shape": info.shape} for k, info in found.tensors.items()}, str(commit)
        except errors.SafetensorsParsingError:
            raise UserError(f"{key}: {name}/{file} is not a safetensors file") from None
        except errors.HfHubHTTPError:
            raise
        except Exception:  # as `explained`; without network, what is in the cache will do
            path = Path(hf_hub_download(name, file, revision=revision, local_files_only=True))
            return read_header(path), path.parents[len(PurePosixPath(file).parts) - 1].name


@contextmanager
def explained(name: str, file: str, revision: str | None, key: str, hint: str) -> Iterator[None]:
    """Say what the hub refuses, and what to do: a `UserError` for what its client raises."""
    from huggingface_hub import errors

    at = f" at revision {revision!r}" if revision else ""
    try:
        yield
        return
    except UserError:
        raise
    except errors.GatedRepoError:
        advice = (
            "is given only to those who agree to its terms: do so on "
            f"https://huggingface.co/{name} and set HF_TOKEN to your token (or: hf auth login)"
        )
    except errors.RepositoryNotFoundError:
        advice = (
            "is neither a folder here nor a public model on the hub; a private one needs HF_TOKEN"
        )
    except errors.RevisionNotFoundError:
        advice = f"has no revision {revision!r} on the hub"
    except errors.RemoteEntryNotFoundError:
        advice = f"has no {file} on the hub{at}; {hint}"
    except Exception as error:  # the hub's client raises many kinds, of several libraries
        advice = (
            f"is not a folder here, and can't be downloaded from the hub ({first_line(error)}). "
            f"Without network, download the model elsewhere and set {key} to its folder"
        )
    raise UserError(f"{key}: {name!r} {advice}")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its kind if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
