"""YOLO as ultralytics reads it: data.yaml, {split}.txt, images/ and labels/, dataset.csv beside."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from cia.errors import UserError
from cia.exporting.pictures import Collection, images_path, stem
from cia.exporting.tables import write_index
from cia.files import write_text, write_texts, write_yaml

picture_path = images_path


def write(folder: Path, data: Collection, paths: Sequence[str]) -> None:
    """Write label files, a list for each split, data.yaml and dataset.csv.

    A picture that stands in a training set several times stands in its list so often.

    Parameters
    ----------
    folder : Path
    data : Collection
    paths : sequence of str
        Of the pictures, relative to the folder.
    """
    labels = [f"labels{stem(path.removeprefix('images'))}.txt" for path in paths]
    texts = defaultdict(list)
    for picture, path, label in zip(data.pictures, paths, labels, strict=True):
        if len(path.splitlines()) > 1:
            raise UserError(f"{path!r}: a list of files can't hold a line break; rename it.")
        parent, _, name = label.rpartition("/")
        texts[parent].append((name, picture.label + "\n" * bool(picture.label)))
    for parent, files in texts.items():
        write_texts(folder / parent, files)
    splits = data.by_split()
    for split, places in splits.items():
        lines = (f"./{paths[place]}\n" * data.pictures[place].copies for place in places)
        write_text(folder / f"{split}.txt", "".join(lines))
    shape = {}
    if data.task == "pose":
        shape = {key: data.shape[key] for key in ("kpt_shape", "flip_idx") if data.shape.get(key)}
    names = dict(enumerate(data.classes))
    lists = {split: f"{split}.txt" for split in splits}
    write_yaml(folder / "data.yaml", {**lists, **shape, "names": names})
    write_index(folder, data, paths, labels)
