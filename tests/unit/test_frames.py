"""Labels of pictures that EXIF turns are where the object is once the picture is upright."""

import json

import numpy as np
import pytest
from PIL import Image

from cia.images import IMAGE_SUFFIXES, check_header, load_image
from cia.importing.frames import EITHER, TURNED, frame_of
from cia.importing.pictures import SUFFIXES, Wanted
from datasets_elsewhere import corners, numbers, picture, read, source

SPOT = (12, 4, 20, 10)
"""Left, top, right, bottom of a white spot in the stored pixels, 64 x 48."""


@pytest.fixture(params=[5, 6, 7, 8])
def turned(request, tmp_path):
    """A black picture with a white spot, stored on its side."""
    pixels = np.zeros((48, 64, 3), dtype=np.uint8)
    left, top, right, bottom = SPOT
    pixels[top:bottom, left:right] = 255
    exif = Image.Exif()
    exif[0x0112] = request.param
    path = tmp_path / "turned.png"
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def spot_of(path) -> list[int]:
    """Return left, top, right and bottom of the white spot in the upright picture."""
    white = load_image(path)[..., 0] > 128
    ys, xs = np.nonzero(white)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_coordinates_of_stored_pixels_are_turned_with_the_picture(turned):
    wanted = Wanted("detection", {})
    frame = frame_of(str(turned), (64, 48), wanted)
    assert wanted.notes[TURNED] == 1
    expected = np.array(spot_of(turned)) / (48, 64, 48, 64)
    np.testing.assert_allclose(frame.box(*SPOT), expected)
    points = frame.points(np.array([SPOT[:2], SPOT[2:]]))
    ends = np.sort(points, axis=0).ravel()
    np.testing.assert_allclose(ends, expected)


def test_coordinates_of_the_upright_picture_stay(turned):
    wanted = Wanted("detection", {})
    spot = spot_of(turned)
    for stated in ((48, 64), None):
        frame = frame_of(str(turned), stated, wanted)
        np.testing.assert_allclose(frame.box(*spot), np.array(spot) / (48, 64, 48, 64))
    assert not wanted.notes


def test_a_coco_file_with_the_stored_size_has_its_boxes_turned(turned):
    left, top, right, bottom = SPOT
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [left, top, right - left, 6]}
    content = {
        "images": [{"id": 1, "file_name": turned.name, "width": 64, "height": 48}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "spot"}],
    }
    path = turned.parent / "a.json"
    path.write_text(json.dumps(content))
    found, _, _ = read(source("coco", str(path)), "detection")
    ours = corners(found[turned.name].label, 48, 64)[0]
    np.testing.assert_allclose(ours, spot_of(turned), atol=1e-3)


def test_a_mirrored_picture_s_labels_are_of_what_a_viewer_shows(tmp_path):
    path = picture(tmp_path / "mirrored.jpg", orientation=2)
    wanted = Wanted("detection", {})
    frame = frame_of(str(path), (64, 48), wanted)
    assert wanted.notes == {EITHER: 1}
    assert frame.box(0, 0, 32, 48) == (0, 0, 0.5, 1)


def test_a_missing_picture_is_measured_by_what_the_source_says_alone(tmp_path):
    path = str(tmp_path / "gone.jpg")
    wanted = Wanted("detection", {})
    assert frame_of(path, (10, 20), wanted).box(0, 0, 5, 5) == (0, 0, 0.5, 0.25)
    with pytest.raises(ValueError, match="the picture is missing, so its size is not known"):
        frame_of(path, None, wanted)


def test_a_line_has_the_precision_of_a_millionth_of_a_side(turned):
    frame = frame_of(str(turned), (64, 48), Wanted("detection", {}))
    from cia.importing.frames import line_of_box

    sides = frame.box(0.01, 0.02, 0.03, 47.9)
    row = numbers(line_of_box(0, sides))[0, 1:]
    np.testing.assert_allclose(row[0], (sides[0] + sides[2]) / 2, atol=1e-6)


def test_suffixes_of_pictures_are_the_same_as_for_the_scan():
    assert set(SUFFIXES) == IMAGE_SUFFIXES


@pytest.mark.parametrize("place", ["before the pixels", "after the pixels"])
def test_the_header_of_a_png_says_its_orientation_wherever_it_stands(tmp_path, place):
    plain = picture(tmp_path / "plain.png")
    assert check_header(plain) == (64, 48, 1)
    content = picture(tmp_path / "turned.png", orientation=6).read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    chunk, rest = content[start:end], content[:start] + content[end:]
    at = rest.index(b"IDAT" if place.startswith("before") else b"IEND") - 4
    moved = tmp_path / "moved.png"
    moved.write_bytes(rest[:at] + chunk + rest[at:])
    assert check_header(moved) == (64, 48, 6)
    assert load_image(moved).shape[:2] == (64, 48)


def test_the_header_of_what_is_no_picture_is_an_error(tmp_path):
    whole = picture(tmp_path / "whole.png").read_bytes()
    for content in (b"", b"GIF89a", whole[:20], whole[:60]):
        path = tmp_path / "broken.png"
        path.write_bytes(content)
        with pytest.raises(OSError):
            check_header(path)
