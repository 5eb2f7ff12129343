"""What jobs ask for grows with their work, and is never too little for what is known."""

import numpy as np
import pytest

from cia.labels.reading import write_objects
from cia.runtime.needs import (
    NARROW,
    array_rows,
    features_memory,
    generation_minutes,
    image_minutes,
    job_threads,
    statistics_memory,
    statistics_minutes,
    table_rows,
    training_minutes,
)
from cia.tables import write_table


def test_rows_are_never_underestimated(finished):
    for name in ("results/real/digits/train/manifest.csv", "results/digits/tiny_canny/plan.csv"):
        path = finished.folder / name
        rows = len(path.read_text().splitlines()) - 1
        assert rows <= table_rows(path) <= 3 * rows
    for path in finished.folder.glob("data/mixed/**/dataset.csv"):
        rows = len(path.read_text().splitlines()) - 1
        assert rows <= table_rows(path, NARROW) <= 4 * rows


def test_boxes_are_never_underestimated(tmp_path):
    """A label has a line for each, and none without."""
    size = (640, 480)
    labels = [
        write_objects([("0", (0, 0, 64 * place, 480))] * count, size)
        for place, count in enumerate([0, 1, 1, 1, 3], 1)
    ]
    rows = [{"id": f"{place}", "label": label} for place, label in enumerate(labels)]
    write_table(tmp_path / "labels.csv", rows, "labels")
    assert 6 <= table_rows(tmp_path / "labels.csv", NARROW) <= 24


def test_the_rows_of_an_array_are_in_its_header(tmp_path):
    for rows in (0, 7, 123456):
        np.save(tmp_path / "x.npy", np.zeros((rows, 3), np.float32))
        assert array_rows(tmp_path / "x.npy") == rows


def test_a_table_that_is_not_there_yet_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        table_rows(tmp_path / "plan.csv")
    assert error.value.filename == str(tmp_path / "plan.csv")


def test_a_short_job_waits_for_no_second_core():
    assert job_threads(400) == 1 and job_threads(100_000) == 2


def test_generation_takes_as_long_as_its_images_steps_and_pixels():
    sd15 = generation_minutes(1000, 30, [512, 512])
    assert 1000 * 7 / 60 < sd15 < 1000 * 20 / 60  # a T4 takes about 7 s for one
    assert generation_minutes(2000, 30, [512, 512]) - sd15 == pytest.approx(sd15 - 20, abs=2)
    assert generation_minutes(1000, 30, {"resolution": 512}) == sd15
    assert generation_minutes(0, 30, [512, 512]) == 20


def test_training_takes_as_long_as_the_pictures_it_sees():
    settings = {"steps": None, "epochs": 100, "batch": 16, "image_size": 640}
    by_epochs = training_minutes(1600, settings)
    assert by_epochs == training_minutes(1600, {**settings, "steps": 10000})
    assert training_minutes(3200, settings) - 60 == pytest.approx(2 * (by_epochs - 60), abs=2)
    assert training_minutes(3200, {**settings, "steps": 10000}) == by_epochs


def test_a_million_pictures_take_hours_and_a_known_share_of_memory(tmp_path):
    assert image_minutes("features", 10**6) > 24 * 60
    assert features_memory(10**6) > 8000 + 10**6 * 2048 * 4 / 1e6
    assert statistics_minutes(25 * 10**6) == 60 + 2  # which took 75 s
    (tmp_path / "real.npy").write_bytes(bytes(10**6))
    assert statistics_memory(tmp_path / "real.npy") == 8006
