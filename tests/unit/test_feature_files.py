"""Saved features are of the images that their table names, and finite."""

import numpy as np
import pandas as pd
import pytest

from cia.errors import UserError
from cia.feature_files import load_features
from cia.files import save_array
from cia.labels import list_objects
from cia.tables import write_table


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
def test_a_feature_that_is_not_finite_names_its_image(tmp_path, value):
    features = np.zeros((4, 3), np.float32)
    features[2, 1] = value
    with pytest.raises(UserError, match=r"f\.npy: 1 images .* a folder/2\.png"):
        load_features(*save(tmp_path, features))


def test_features_of_other_images_are_refused(tmp_path):
    with pytest.raises(UserError, match="shape .5, 3., and 4 rows"):
        load_features(*save(tmp_path, np.zeros((5, 3), np.float32)))


def test_objects_are_the_labelled_boxes_of_the_images_that_there_are():
    manifest = pd.DataFrame({"id": ["a", "b"], "image": ["a.png", "b.png"]})
    labels = pd.DataFrame(
        {"id": ["a", "b", "gone"], "label": ["1 .5 .5 .2 .2\n0 .1 .1 .1 .1", "", "1 .5 .5 .2 .2"]}
    )
    objects = list_objects(manifest, labels)
    assert objects[["id", "object", "class"]].values.tolist() == [["a", 0, "1"], ["a", 1, "0"]]
    assert objects["w"].tolist() == [0.2, 0.1]
