"""Saved features are of the images that their table names, and finite."""

import io

import numpy as np
import pandas as pd
import pytest

from cia.errors import UserError
from cia.feature_files import load_features
from cia.files import save_array
from cia.labels.reading import list_objects
from cia.tables import write_table
from conftest import ROOT


def save(folder, features):
    ids = [f"{number}" for number in range(4)]
    rows = pd.DataFrame({"id": ids, "image": [f"a folder/{id_}.png" for id_ in ids]})
    save_array(folder / "f.npy", features)
    write_table(folder / "f.csv", rows, "rows")
    return folder / "f.npy", folder / "f.csv"


def test_what_was_saved_comes_back(tmp_path):
    features = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = load_features(*save(tmp_path, features))
    np.testing.assert_array_equal(found.features, features)
    assert found.rows["id"].tolist() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_nan_or_infinity_names_its_image(tmp_path, value):
    features = np.zeros((4, 3), np.float32)
    features[2, 1] = value
    with pytest.raises(
        UserError, match=r"f\.npy: 1 images have .* NaN or infinity: .*a folder/2\.png"
    ):
        load_features(*save(tmp_path, features))


def test_features_of_other_images_are_refused(tmp_path):
    with pytest.raises(UserError, match="shape .5, 3., and 4 rows"):
        load_features(*save(tmp_path, np.zeros((5, 3), np.float32)))


def damaged(content):
    """Ways in which a file is not what was saved."""
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}, None], dtype=object))
    zipped = io.BytesIO()
    np.savez(zipped, np.zeros((4, 3), np.float32))
    yield from (b"", content[:5], content[:90], content[:-5], content[: len(content) // 2])
    yield from (pickled.getvalue(), zipped.getvalue(), b"<html>404</html>", bytes(len(content)))
    yield content.replace(b"(4, 3)", b"(4, 3(")  # Python's tokenizer fails, and not its parser


def test_a_damaged_file_is_named_with_what_to_do(tmp_path):
    path, rows = save(tmp_path, np.zeros((4, 3), np.float32))
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(
            UserError, match=r"f\.npy is corrupt or truncated: .*\. Delete it, and the next run"
        ):
            load_features(path, rows)


@pytest.mark.parametrize("array", [np.zeros((4, 3)), np.zeros((4, 3), int), np.zeros(4, "f4")])
def test_an_array_of_another_kind_is_named_with_what_to_do(tmp_path, array):
    with pytest.raises(UserError, match=rf"f\.npy: an array of {array.dtype} .* Delete it"):
        load_features(*save(tmp_path, array))


def test_every_array_is_loaded_by_the_one_function_that_checks_it():
    for path in (ROOT / "scripts").rglob("*.py"):
        assert "np.load(" not in path.read_text(), path


def test_objects_are_the_labelled_boxes_of_the_images_that_there_are():
    manifest = pd.DataFrame({"id": ["a", "b"], "image": ["a.png", "b.png"]})
    labels = pd.DataFrame(
        {"id": ["a", "b", "gone"], "label": ["1 .5 .5 .2 .2\n0 .1 .1 .1 .1", "", "1 .5 .5 .2 .2"]}
    )
    objects = list_objects(manifest, labels, "detection")
    assert objects[["id", "object", "class"]].values.tolist() == [["a", 0, "1"], ["a", 1, "0"]]
    assert objects["w"].tolist() == [0.2, 0.1]
    masks = labels.assign(label="1 .1 .2 .5 .2 .5 .8")
    boxes = list_objects(manifest, masks, "segmentation")[["cx", "cy", "w", "h"]]
    np.testing.assert_allclose(boxes, [(0.3, 0.5, 0.4, 0.6)] * 2)
