"""The gallery: one HTML page that holds every image, its scores, and what a selection would keep.

The page needs neither server nor network. `ImageSet`s go in as tables, and three things come out in
one file: data about the images (JSON), the page's own code from resources/gallery, and thumbnails.

Each thumbnail is a WebP picture of its own, not part of a sprite sheet: sorted by a score, the
images on one screen come from everywhere, and decoding a sheet of a hundred for each would stutter.
They are stored as text in inert `<script>` elements, `CHUNK` to each, which a browser neither
decodes nor lays out before the page asks for them.
"""

import base64
import html
import io
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from cia.errors import UserError
from cia.files import atomic_path
from cia.filtering import is_ascending
from cia.images import load_image
from cia.progress import track
from cia.reporting.overlays import COLORS

logger = logging.getLogger("cia")

PAGE = Path(__file__).resolve().parents[3] / "resources" / "gallery"
"""The page's own files."""
METHODS = ("threshold", "top_k", "top_p")
"""The selections that the page offers, by one score each."""
CHUNK = 200
"""Thumbnails per element of the page."""
EDGES = ((30_000, 128), (100_000, 96))
"""Up to so many pictures, a thumbnail's longer side is so many pixels; beyond, `SMALLEST`."""
SMALLEST = 64
_LONG, _DECIMALS = re.compile(r"\d+\.\d+"), 4
"""Numbers of a label, and decimals that do for drawing it: half a pixel of 5000."""
_QUALITY = 85
_METHOD = 2
"""WebP's effort, 0 to 6: from here on files hardly shrink and time doubles."""
_DRAWN = 256
"""Colors that a line drawing has at most, its smoothed edges included."""


@dataclass(frozen=True)
class ImageSet:
    """One generated image set and all that is known of its images.

    Attributes
    ----------
    dataset, generator : str
    task : {"detection", "segmentation", "pose", "classification"}
    classes : sequence of str
        Class names in index order.
    selections : mapping
        The config's selections of this set, name to settings.
    plan, manifest, labels : pandas.DataFrame
        Of the generated set.
    real, real_labels : pandas.DataFrame
        Manifest and labels of the real training images.
    scores : mapping
        Feature model to its scores table: id, image, and a column per score.
    kpt_shape, skeleton : sequence, optional
        Of a pose, see `cia.reporting.sheets.LabelForm`.
    """

    dataset: str
    generator: str
    task: str
    classes: Sequence[str]
    selections: Mapping[str, Mapping]
    plan: pd.DataFrame
    manifest: pd.DataFrame
    labels: pd.DataFrame
    real: pd.DataFrame
    real_labels: pd.DataFrame
    scores: Mapping[str, pd.DataFrame]
    kpt_shape: Sequence[int] | None = None
    skeleton: Sequence[Sequence[int]] | None = None


class Thumbnail(NamedTuple):
    """A small picture: WebP bytes, and width and height of the picture that it was made from."""

    data: bytes
    width: int
    height: int


@dataclass
class Pictures:
    """The pictures of a page, each once however many images refer to it."""

    paths: list[str] = field(default_factory=list)
    _index: dict[str, int] = field(default_factory=dict)

    def add(self, path: str) -> int:
        """Return the picture's number on the page."""
        if path not in self._index:
            self._index[path] = len(self.paths)
            self.paths.append(path)
        return self._index[path]


def write_gallery(path: str | Path, sets: Iterable[ImageSet], threads: int = 1) -> None:
    """Write the gallery of some image sets as one HTML file.

    Parameters
    ----------
    path : path
        The page. Picture paths, which are relative to the working folder, are written relative to
        it as well, so that the page can show originals where it finds them.
    sets : iterable of ImageSet
    threads : int
        How many pictures are read at a time.

    Raises
    ------
    UserError
        If a picture can't be read.
    """
    pictures = Pictures()
    described = [describe_set(image_set, pictures) for image_set in sets]
    edge = thumbnail_edge(len(pictures.paths))
    thumbnails = make_thumbnails(pictures.paths, edge, threads)
    data = {
        "root": Path(os.path.relpath(Path.cwd(), Path(path).resolve().parent)).as_posix(),
        "edge": edge,
        "chunk": CHUNK,
        "colors": COLORS,
        "sets": described,
        "pictures": {
            "path": pictures.paths,
            "width": [thumbnail.width for thumbnail in thumbnails],
            "height": [thumbnail.height for thumbnail in thumbnails],
        },
    }
    with atomic_path(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        before, after = _page(data)
        file.write(before)
        file.writelines(_chunks(thumbnails))
        file.write(after)
        size = file.tell() / 2**20
    logger.info("%d images, %d pictures, %.1f MiB", _count(described), len(thumbnails), size)


def describe_set(image_set: ImageSet, pictures: Pictures) -> dict:
    """Return what the page knows of a set, as data for JSON; its pictures join `pictures`.

    Images are in the order of their ids, which decides between equal scores, and every list has one
    entry per image. Texts that many images share stand once, in `values`, and `index` refers to
    them. A label is null where an image has none. Scores are float64, little-endian, base64: exact
    to the last bit, and room for NaN.
    """
    images = image_set.manifest[["id", "image", "sha256"]].merge(
        image_set.plan.drop(columns=["width", "height"]), on="id", validate="one_to_one"
    )
    images = images.sort_values("id", ignore_index=True)
    labels = _labels_by_id(image_set.labels, image_set.task)
    real_labels = _labels_by_id(image_set.real_labels, image_set.task)
    reals = {id_: number for number, id_ in enumerate(image_set.real["id"])}
    return {
        "dataset": image_set.dataset,
        "generator": image_set.generator,
        "task": image_set.task,
        "classes": list(image_set.classes),
        "kpt_shape": image_set.kpt_shape,
        "skeleton": image_set.skeleton,
        "selections": _offered(image_set.selections),
        "id": images["id"].tolist(),
        "sha256": images["sha256"].tolist(),
        "picture": [pictures.add(path) for path in images["image"]],
        "condition": [pictures.add(path) for path in images["condition"]],
        "source": _shared(images["source"]),
        "real": [reals.get(source, -1) for source in images["source"]],
        "variant": images["variant"].tolist(),
        "seed": images["seed"].tolist(),
        "prompt": _shared(images["prompt"]),
        "negative": _shared(images["negative_prompt"]),
        "label": _shared(pd.Series([labels.get(id_) for id_ in images["id"]], dtype=object)),
        "reals": {
            "id": image_set.real["id"].tolist(),
            "picture": [pictures.add(path) for path in image_set.real["image"]],
            "caption": image_set.real["caption"].tolist(),
            "label": [real_labels.get(id_, "") for id_ in image_set.real["id"]],
        },
        "scores": [
            score
            for features, table in image_set.scores.items()
            for score in _scores(features, table, images["id"])
        ],
    }


def thumbnail_edge(count: int) -> int:
    """Return the longer side of a thumbnail in pixels: the more pictures, the smaller."""
    return next((edge for most, edge in EDGES if count <= most), SMALLEST)


def make_thumbnails(paths: Sequence[str], edge: int, threads: int = 1) -> list[Thumbnail]:
    """Make the thumbnails of some pictures, see `make_thumbnail`."""
    with ThreadPoolExecutor(threads) as pool:
        made = pool.map(lambda path: make_thumbnail(path, edge), paths)
        return list(track(made, len(paths), "pictures"))


def make_thumbnail(path: str, edge: int) -> Thumbnail:
    """Make a picture small enough that its longer side is at most `edge` pixels.

    A picture that is smaller stays as it is. Line drawings, as most condition maps are, are stored
    without loss, since they are smaller so; photographs are not. What has too many colors for
    a drawing is not even tried without loss, which takes longer than all the rest.

    Raises
    ------
    UserError
        If the picture can't be read.
    """
    try:
        image = Image.fromarray(load_image(path))
    except OSError as error:
        raise UserError(
            f"{path}: {error}; its manifest lists it, so it was there: delete the manifest to make "
            "the set again"
        ) from error
    width, height = image.size
    image.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=3.0)
    lossy = _webp(image, quality=_QUALITY)
    if image.getcolors(_DRAWN) is None:
        return Thumbnail(lossy, width, height)
    lossless = _webp(image, lossless=True, quality=50)
    return Thumbnail(min(lossless, lossy, key=len), width, height)


def _webp(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", method=_METHOD, **options)
    return file.getvalue()


def _page(data: Mapping) -> tuple[str, str]:
    """Return the page before and after its thumbnails."""
    names = [f"{entry['dataset']} / {entry['generator']}" for entry in data["sets"]]
    texts = {
        "title": html.escape(f"CIA gallery: {', '.join(names)}"),
        "css": (PAGE / "gallery.css").read_text(encoding="utf-8"),
        "data": _json(data),
        "js": (PAGE / "gallery.js").read_text(encoding="utf-8"),
    }
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    before, after = page.split("{{pictures}}")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: texts[match[1]], before), after


def _json(data: Mapping) -> str:
    """Return JSON that can stand in a script element: no `</script>` or `<!--` in any text."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _chunks(thumbnails: Sequence[Thumbnail]) -> Iterable[str]:
    for number, start in enumerate(range(0, len(thumbnails), CHUNK)):
        lines = [
            base64.b64encode(thumbnail.data).decode()
            for thumbnail in thumbnails[start : start + CHUNK]
        ]
        text = "\n".join(lines)
        yield f'<script type="text/plain" id="pictures-{number}">{text}</script>\n'


def _offered(selections: Mapping[str, Mapping]) -> dict[str, dict]:
    """Return the selections that the page can take up as they are."""
    return {
        name: dict(settings)
        for name, settings in selections.items()
        if settings["method"] in METHODS and isinstance(settings["score"], str)
    }


def _scores(features: str, table: pd.DataFrame, ids: pd.Series) -> Iterable[dict]:
    """Describe every column of numbers of a scores table, its values in the order of `ids`."""
    by_id = table.set_index("id", verify_integrity=True)
    for name in by_id.columns.drop("image", errors="ignore"):
        if not pd.api.types.is_numeric_dtype(by_id[name]):
            logger.warning(
                "Scores of %s: column %s is not numeric; it is left out.", features, name
            )
            continue
        values = ids.map(by_id[name]).to_numpy("<f8")
        yield {
            "features": features,
            "name": name,
            "ascending": bool(is_ascending({"score": name})),
            "values": base64.b64encode(values.tobytes()).decode(),
        }


def _shared(texts: pd.Series) -> dict:
    index, values = pd.factorize(texts.to_numpy(dtype=object), use_na_sentinel=False)
    values = [None if pd.isna(text) else text for text in values]
    return {"values": values, "index": index.tolist()}


def _labels_by_id(table: pd.DataFrame, task: str) -> dict[str, str]:
    """Return each picture's label; polygons and keypoints, which are long, with few decimals."""
    labels = table["label"]
    if task in ("segmentation", "pose"):
        labels = [_LONG.sub(_short, label) for label in labels]
    return dict(zip(table["id"], labels, strict=True))


def _short(number: re.Match) -> str:
    return f"{float(number[0]):.{_DECIMALS}f}".rstrip("0").rstrip(".")


def _count(described: Sequence[Mapping]) -> int:
    return int(np.sum([len(entry["id"]) for entry in described], dtype=int))
