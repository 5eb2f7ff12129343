"""What jobs ask for grows with their work, and is never too little for what is known."""

from csv import DictReader

import pytest

from cia.needs import (
    NARROW,
    features_memory,
    generation_minutes,
    image_minutes,
    statistics_memory,
    statistics_minutes,
    table_rows,
    training_minutes,
)


def test_rows_are_never_underestimated(finished):
    for name in ("results/real/digits/train/manifest.csv", "results/digits/tiny_canny/plan.csv"):
        path = finished.folder / name
        rows = len(path.read_text().splitlines()) - 1
        assert rows <= table_rows(path) <= 3 * rows
    for table in ("features/tiny.csv", "features/tiny.objects.csv", "labels.csv"):
        path = finished.folder / "results/real/digits_scenes/train" / table
        with path.open(newline="") as file:
            rows = sum(
                row["label"].count("\n") if "label" in row else 1 for row in DictReader(file)
            )
        assert rows <= table_rows(path, NARROW) <= 4 * rows


def test_a_table_that_is_not_there_yet_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        table_rows(tmp_path / "plan.csv")
    assert error.value.filename == str(tmp_path / "plan.csv")


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
