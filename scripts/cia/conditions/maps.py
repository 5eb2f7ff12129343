"""The maps of a whole source: made where they are missing, kept where they are right."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cia.conditions.extractors import Extractor, make_extractor
from cia.errors import UserError
from cia.files import digest_file, remove_strays
from cia.images import load_image, read_png_text, save_png
from cia.progress import Progress
from cia.sizes import target_size
from cia.versions import STAGE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

logger = logging.getLogger("cia")

BATCH = 8
"""Pictures handed to an extractor at a time; nothing but speed and memory depends on it."""


@dataclass
class WantedMap:
    """A map to have: of which picture, where, at which size; `key` says what it depends on."""

    id: str
    image: str
    picture: str
    shape: tuple[int, int]
    path: Path
    size: tuple[int, int]
    key: str
    found: int | None = None


def extract_maps(
    manifest: "pd.DataFrame", folder: str | Path, settings: Mapping[str, Any], threads: int = 1
) -> tuple[list[dict], list[dict]]:
    """Make the condition map of every picture.

    A map that is there already is kept if the key in its text chunk tells that it was made from
    the same picture with the same settings, model files and code. Other files in the folder are
    deleted.

    Parameters
    ----------
    manifest : pandas.DataFrame
        The pictures: id, image, width, height, sha256.
    folder : path
        Where the maps go, into images/.
    settings : mapping
        An entry of `conditions` in the config: extractor, size, empty and the extractor's own.
    threads : int
        How many pictures to read and maps to write at once.

    Returns
    -------
    rows : list of dict
        id, image, width, height, sha256, found, picture_sha256, in the order of the manifest.
    rejected : list of dict
        file, reason: pictures in which nothing was found, if `empty` is `skip`.

    Raises
    ------
    UserError
        If a setting is wrong, a model can't be loaded, or every picture would be skipped.
    """
    settings = dict(settings)
    size, skip = settings.pop("size"), settings.pop("empty", "keep") == "skip"
    name = settings.pop("extractor")
    extractor = make_extractor(name, settings)
    images = Path(folder) / "images"
    jobs = _jobs(manifest, images, name, extractor, size)
    images.mkdir(parents=True, exist_ok=True)
    remove_strays(images, [job.path.name for job in jobs])
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_look, jobs))
        _make([job for job in jobs if job.found is None], extractor, pool)
        skipped = [job for job in jobs if skip and job.found == 0]
        for job in skipped:
            job.path.unlink(missing_ok=True)
        rows = list(pool.map(_row, [job for job in jobs if job.found or not skip]))
    rejected = [{"file": job.image, "reason": extractor.nothing} for job in skipped]
    if not rows:
        raise UserError(
            f"extractor {name}: {extractor.nothing} in any of {len(jobs)} pictures; "
            "set `empty: keep` to go on with empty maps"
        )
    return rows, rejected


def _jobs(
    manifest: "pd.DataFrame", folder: Path, name: str, extractor: Extractor, size: Any
) -> list[WantedMap]:
    files = {path.name: digest_file(path) for path in extractor.weights()}
    basis = {"extractor": name, "settings": asdict(extractor), "files": files}
    basis["version"] = STAGE["condition"]
    jobs = []
    for row in manifest.itertuples():
        target = target_size(row.width, row.height, size)
        text = json.dumps(basis | {"picture": row.sha256, "size": target}, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        shape = (row.width, row.height)
        path = folder / f"{row.id}.png"
        jobs.append(WantedMap(row.id, row.image, row.sha256, shape, path, target, key))
    return jobs


def _look(job: WantedMap) -> None:
    """Read from an existing map, if it is the right one, how much it shows."""
    if job.path.is_file():
        text = read_png_text(job.path)
        if text.get("condition_key") == job.key:
            job.found = int(text["found"])


def _make(jobs: list[WantedMap], extractor: Extractor, pool: ThreadPoolExecutor) -> None:
    progress = Progress(len(jobs), "condition maps")
    for batch in _batches(jobs):
        pictures = list(pool.map(load_image, [job.image for job in batch]))
        maps = extractor.extract(pictures, [job.size for job in batch])
        list(pool.map(_save, batch, maps))
        progress.add(len(batch))


def _batches(jobs: list[WantedMap]) -> Iterator[list[WantedMap]]:
    """Group by the pictures' size: models pad the pictures of a batch to the largest."""
    for _, group in groupby(sorted(jobs, key=lambda job: job.shape), lambda job: job.shape):
        alike = list(group)
        for start in range(0, len(alike), BATCH):
            yield alike[start : start + BATCH]


def _save(job: WantedMap, result: tuple["np.ndarray", int]) -> None:
    image, job.found = result
    save_png(job.path, image, {"condition_key": job.key, "found": str(job.found)})


def _row(job: WantedMap) -> dict:
    return {
        "id": job.id,
        "image": job.path.as_posix(),
        "width": job.size[0],
        "height": job.size[1],
        "sha256": digest_file(job.path),
        "found": job.found,
        "picture_sha256": job.picture,
    }
