"""Pictures of every kind come in as upright RGB, and damaged ones as OSError."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from cia.images import check_image, load_image, read_png_text, resize_image, save_png


@pytest.fixture
def picture():
    return np.asarray(Image.fromarray(data.astronaut()).resize((48, 32)))


def test_lossless_formats_come_in_unchanged(tmp_path, picture):
    for suffix in ("png", "bmp", "tif", "TIFF", "webp"):
        path = tmp_path / f"a.{suffix}"
        options = {"lossless": True} if suffix == "webp" else {}
        Image.fromarray(picture).save(path, **options)
        np.testing.assert_array_equal(load_image(path), picture)


def test_phone_jpegs_with_several_pictures_give_the_first(tmp_path, picture):
    first, second = Image.fromarray(picture), Image.fromarray(255 - picture)
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    np.testing.assert_allclose(load_image(tmp_path / "a.jpg").mean(), picture.mean(), atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, picture, orientation):
    stored = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, 1),
        7: picture[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(picture, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), picture)
    assert check_image(tmp_path / "a.png") == (48, 32)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_turned_tiff_is_upright_by_its_path_too(tmp_path, picture, mode):
    """Pillow maps uncompressed ones of some modes into memory, and leaves those turned."""
    gray = np.asarray(Image.fromarray(picture).convert("L"))
    image = Image.fromarray(gray * np.uint16(257)) if mode == "I;16" else Image.fromarray(picture)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.convert(mode).save(tmp_path / "a.tif", exif=exif)
    upright = load_image(tmp_path / "a.tif")
    with open(tmp_path / "a.tif", "rb") as file:
        np.testing.assert_array_equal(upright, load_image(file))
    assert upright.shape[1::-1] == check_image(tmp_path / "a.tif") == picture.shape[:2]


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA"])
def test_gray_and_palette_become_rgb(tmp_path, picture, mode):
    image = Image.fromarray(picture).convert(mode)
    image.save(tmp_path / "a.png")
    loaded = load_image(tmp_path / "a.png")
    assert loaded.shape == (32, 48, 3) and loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, np.asarray(image.convert("RGB")))


def test_cmyk_becomes_rgb(tmp_path, picture):
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "a.tif")
    np.testing.assert_allclose(load_image(tmp_path / "a.tif"), picture, atol=1)


def test_16_bit_gray_keeps_its_tones(tmp_path):
    """Pillow itself would clip everything above 255 to white."""
    values = np.linspace(0, 65535, 48 * 32).reshape(32, 48).astype(np.uint16)
    for suffix in ("png", "tif"):
        Image.fromarray(values).save(tmp_path / f"a.{suffix}")
        loaded = load_image(tmp_path / f"a.{suffix}")
        np.testing.assert_allclose(loaded[..., 0], values / 257, atol=0.51)


def test_float_tiff_is_scaled_and_nan_is_black(tmp_path):
    values = np.array([[0.0, 0.5], [1.0, np.nan]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(load_image(tmp_path / "a.tif")[..., 0], [[0, 128], [255, 0]])


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.array([[[0, 0, 0, 0], [10, 20, 30, 255]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), [[[255] * 3, [10, 20, 30]]])


def test_damaged_files_raise_oserror(tmp_path, picture):
    good = {}
    for suffix in ("png", "jpg", "webp", "bmp", "tif"):
        path = tmp_path / f"good.{suffix}"
        Image.fromarray(picture).save(path)
        good[suffix] = path.read_bytes()
    generator = np.random.default_rng(0)
    broken = tmp_path / "broken"
    truncated = {suffix: content[: len(content) // 2] for suffix, content in good.items()}
    for content in truncated.values():
        broken.write_bytes(content)
        with pytest.raises(OSError):
            load_image(broken)
    for content in good.values():  # whatever bytes are flipped: a picture or OSError, nothing else
        for _ in range(40):
            damaged = bytearray(content)
            for position in generator.integers(0, len(damaged), 8):
                damaged[position] = generator.integers(256)
            broken.write_bytes(damaged)
            assert checked(broken) == loaded(broken)


def loaded(path):
    """The width and height of what can be loaded."""
    try:
        image = load_image(path)
    except OSError as error:
        return str(error)
    assert image.dtype == np.uint8
    return image.shape[1::-1]


def checked(path):
    try:
        return check_image(path)
    except OSError as error:
        return str(error)


def test_a_decompression_bomb_is_refused(tmp_path, picture, monkeypatch):
    Image.fromarray(picture).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 32 * 48 // 2 - 1)
    with pytest.raises(OSError, match="DecompressionBomb"):
        load_image(tmp_path / "a.png")


def test_formats_beyond_the_known_are_not_opened(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.ppm")
    (tmp_path / "a.ppm").rename(tmp_path / "a.png")
    with pytest.raises(OSError):
        load_image(tmp_path / "a.png")


def test_resize_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize_image(stripes, (8, 16))
    assert small.shape == (16, 8, 3)
    assert abs(small[4:12, 2:6].astype(int) - 128).max() < 16
    assert resize_image(stripes, (64, 64)) is stripes


def test_png_text_comes_back_and_damage_shows(tmp_path, picture):
    path = tmp_path / "a.png"
    save_png(path, picture, {"key": "0a", "prompt": "été"})
    assert read_png_text(path) == {"key": "0a", "prompt": "été"}
    np.testing.assert_array_equal(load_image(path), picture)
    path.write_bytes(path.read_bytes()[:-200])
    assert read_png_text(path) == {}
    assert read_png_text(tmp_path / "missing.png") == {}
