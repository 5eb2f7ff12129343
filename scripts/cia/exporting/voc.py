"""Pascal VOC: Annotations/*.xml, JPEGImages/ and ImageSets/Main/{split}.txt.

A box is in whole pixels, counted from 1, both ends in it (VOC2012 development kit): a box of the
whole picture is 1, 1, width, height. <source> also holds where the picture is from.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from cia.errors import UserError
from cia.exporting.pictures import Collection, Picture, stem
from cia.files import write_text, write_texts
from cia.labels.objects import Object


def picture_path(picture: Picture, name: str, classes: Sequence[str]) -> str:
    """Return where a picture lies in the folder, which is the same for all."""
    return f"JPEGImages/{picture.split}_{picture.origin}_{name}"


def write(folder: Path, data: Collection, paths: Sequence[str]) -> None:
    """Write an XML file for each picture and a list for each split.

    Parameters
    ----------
    folder : Path
    data : Collection
    paths : sequence of str
        Of the pictures, relative to the folder.
    """
    names = [path.rpartition("/")[2] for path in paths]
    texts = (
        (f"{stem(name)}.xml", _annotation(data, picture, name))
        for picture, name in zip(data.pictures, names, strict=True)
    )
    write_texts(folder / "Annotations", texts)
    for split, places in data.by_split().items():
        lines = (f"{stem(names[place])}\n" for place in places)
        write_text(folder / "ImageSets" / "Main" / f"{split}.txt", "".join(lines))


def _annotation(data: Collection, picture: Picture, name: str) -> str:
    if not name.isprintable():
        raise UserError(f"{name!r}: XML can't hold its characters; rename it.")
    scores = "".join(
        f"<score name={quoteattr(key)}>{value!r}</score>" for key, value in picture.scores.items()
    )
    pictures = "".join(f"<picture>{escape(source)}</picture>" for source in picture.sources)
    return "".join(
        [
            f"<annotation>\n<folder>JPEGImages</folder>\n<filename>{escape(name)}</filename>\n",
            f"<source><database>{escape(data.name)}</database><image>{picture.origin}</image>",
            f"{pictures}{scores}</source>\n<size><width>{picture.width}</width>",
            f"<height>{picture.height}</height><depth>3</depth></size>\n<segmented>0</segmented>\n",
            *_objects(data, picture),
            "</annotation>\n",
        ]
    )


def _objects(data: Collection, picture: Picture) -> Iterator[str]:
    for one in data.objects(picture):
        xmin, ymin, xmax, ymax = pixels_of(one, picture)
        yield (
            f"<object><name>{escape(data.class_of(one.index))}</name><pose>Unspecified</pose>"
            "<truncated>0</truncated><difficult>0</difficult>"
            f"<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax>"
            f"<ymax>{ymax}</ymax></bndbox></object>\n"
        )


def pixels_of(one: Object, picture: Picture) -> tuple[int, int, int, int]:
    """Return the first and the last pixel of a box, at least one, in the picture."""
    left, top, right, bottom = one.box
    xmin, xmax = _ends(left * picture.width, right * picture.width, picture.width)
    ymin, ymax = _ends(top * picture.height, bottom * picture.height, picture.height)
    return xmin, ymin, xmax, ymax


def _ends(start: float, end: float, side: int) -> tuple[int, int]:
    first = min(round(start) + 1, side)
    return first, max(first, round(end))
