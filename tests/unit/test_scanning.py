"""A scan lists what is usable, and a reason for everything else."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import scan as script
from cia.errors import UserError
from cia.files import write_text
from cia.images import load_image
from cia.planning.plans import variant_id
from cia.quiet_ultralytics import import_ultralytics
from cia.scanning import require_few, scan_folder
from cia.tables import read_table
from conftest import ROOT


def make(folder, name, size=(20, 10), **options):
    path = folder / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "red").save(path, **options)
    return path


def caption(folder, name, content):
    path = folder / "captions" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def reasons(scan):
    return {os.path.basename(row["file"]): row["reason"] for row in scan.rejected}


def test_rows_are_sorted_complete_and_have_their_own_caption(tmp_path):
    names = ["b c.JPG", "a_1.png", "a.b.c.webp", "é.TIFF", "007.bmp", "nan.jpeg"]
    for name in names:
        make(tmp_path, name)
        caption(tmp_path, f"{name.rsplit('.', 1)[0]}.txt", f" of {name}\r\nline, two \n")
    scan = scan_folder(tmp_path, threads=2)
    assert scan.rejected == []
    assert [row["id"] for row in scan.rows] == ["007", "a.b.c", "a_1", "b c", "nan", "é"]
    for row in scan.rows:
        content = open(row["image"], "rb").read()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert row["caption"] == f"of {os.path.basename(row['image'])}\nline, two"
        assert (row["width"], row["height"]) == (20, 10)


def test_sizes_are_those_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    make(tmp_path, "a.jpg", exif=exif)
    assert [(r["width"], r["height"]) for r in scan_folder(tmp_path).rows] == [(10, 20)]


def test_everything_unusable_has_its_reason(tmp_path):
    make(tmp_path, "good.png")
    make(tmp_path, "twin.jpg")
    make(tmp_path, "twin.png")
    make(tmp_path, "new\nline.png")
    whole = make(tmp_path, "cut.jpg", size=(64, 64)).read_bytes()
    images = tmp_path / "images"
    (images / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "text.png").write_text("hello")
    (images / "zero.png").write_bytes(b"")
    (images / "a.gif").write_bytes(b"GIF89a")
    (images / "sub.png").mkdir()
    (images / "gone.png").symlink_to(images / "nowhere.png")
    (images / os.fsdecode(b"caf\xe9.png")).write_bytes(whole)
    (images / ".DS_Store").write_bytes(b"x")
    scan = scan_folder(tmp_path)
    assert [row["id"] for row in scan.rows] == ["good", "twin"]
    assert scan.rows[1]["image"].endswith("twin.jpg")
    found = reasons(scan)
    assert "twin.jpg" in found.pop("twin.png")
    assert "truncated" in found.pop("cut.jpg").lower()
    assert "cannot identify" in found.pop("text.png")
    assert "empty file" in found.pop("zero.png")
    assert "'.gif'" in found.pop("a.gif")
    assert "folder" in found.pop("sub.png")
    assert (
        "a broken link" in (gone := found.pop("gone.png"))
        and "nowhere.png, which is missing" in gone
    )
    assert "control characters" in found.pop("new\nline.png")
    assert "UTF-8" in found.pop("caf\\udce9.png")
    assert found == {}
    assert (scan.pictures, scan.unusable) == (11, 9)


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda png: png[:-12], "truncated PNG"),
        (lambda png: png[:-2], "truncated PNG"),
        (lambda png: png[:-13] + bytes([png[-13] ^ 1]) + png[-12:], "checksum of its IDAT chunk"),
    ],
)
def test_a_damaged_png_that_pillow_shows_is_rejected(tmp_path, damage, reason):
    make(tmp_path, "good.png")
    path = make(tmp_path, "bad.png")
    path.write_bytes(damage(path.read_bytes()))
    load_image(path)
    assert reason in reasons(scan_folder(tmp_path))["bad.png"]


@pytest.mark.parametrize("size, fits", [((10, 10), True), ((9, 64), False), ((64, 9), False)])
def test_a_side_that_no_detector_takes_is_rejected(tmp_path, size, fits):
    make(tmp_path, "a.png", size=size)
    scan = scan_folder(tmp_path)
    assert len(scan.rows) == fits
    assert fits or reasons(scan) == {
        "a.png": f"only {size[0]} x {size[1]} pixels; a side has at least 10"
    }


def test_of_damaged_pngs_the_scan_takes_none_that_ultralytics_drops(tmp_path):
    """Every byte changed, and every length: where the scan finds nothing, nor does ultralytics."""
    import_ultralytics()
    from ultralytics.data import utils
    from ultralytics.utils.patches import imread

    whole = make(tmp_path, "a.png", size=(12, 11)).read_bytes()
    images = tmp_path / "images"
    for at in range(8, len(whole)):
        (images / f"cut{at}.png").write_bytes(whole[:at])
        (images / f"flip{at}.png").write_bytes(
            whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
        )
    (images / "more.png").write_bytes(whole + b"more")
    scan = scan_folder(tmp_path)
    assert {"a", "more"} <= {row["id"] for row in scan.rows}
    for row in scan.rows:
        assert utils.check_image(row["image"]) == ("", (11, 12))
        assert imread(row["image"]) is not None


def test_hidden_pictures_are_listed_and_do_not_count(tmp_path):
    make(tmp_path, "a.png")
    make(tmp_path, ".hidden.png")
    make(tmp_path, "._a.jpg")
    make(tmp_path, ".tmp-x1.png")
    for name in (".DS_Store", ".gitkeep", "._notes.txt"):
        (tmp_path / "images" / name).write_bytes(b"x")
    caption(tmp_path, "._a.txt", "of macOS")
    scan = scan_folder(tmp_path)
    found = reasons(scan)
    assert set(found) == {".hidden.png", "._a.jpg"} and (scan.pictures, scan.unusable) == (1, 0)
    assert "rename it without the dot" in found[".hidden.png"] and "macOS" in found["._a.jpg"]


def test_a_name_is_as_long_as_the_longest_name_made_from_it_allows(tmp_path):
    fits = f"{'é' * 121}x"  # 243 bytes
    make(tmp_path, f"{fits}.png")
    make(tmp_path, f"{fits}y.png")
    scan = scan_folder(tmp_path)
    assert [row["id"] for row in scan.rows] == [fits]
    assert "244 bytes without suffix; 243 are the most" in reasons(scan)[f"{fits}y.png"]
    for made in (f"{variant_id(fits, 999_999)}.png", f"{fits}.txt", f"{fits}-9999999.png"):
        write_text(tmp_path / made, "")


def test_names_with_narrow_spaces_are_fine(tmp_path):
    make(tmp_path, "Screenshot at 3.00\u202fPM.png")
    assert scan_folder(tmp_path).rows[0]["id"] == "Screenshot at 3.00\u202fPM"


def test_a_decompression_bomb_is_rejected(tmp_path, monkeypatch):
    make(tmp_path, "a.png")
    make(tmp_path, "bomb.png", size=(100, 100))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    assert "DecompressionBomb" in reasons(scan_folder(tmp_path))["bomb.png"]


def test_captions_that_cannot_be_used_are_listed(tmp_path):
    for name in ("a.png", "b.png", "c.png", "d.png"):
        make(tmp_path, name)
    (tmp_path / "images" / "d.png").write_bytes(b"x")
    caption(tmp_path, "a.txt", b"caf\xe9")
    caption(tmp_path, "b.txt", b"\xef\xbb\xbfwith mark")
    caption(tmp_path, "c.txt", b"a\0b")
    caption(tmp_path, "d.txt", "of a broken picture, which is listed itself")
    caption(tmp_path, "e.txt", "no picture")
    caption(tmp_path, "a.json", "{}")
    scan = scan_folder(tmp_path)
    assert [row["caption"] for row in scan.rows] == ["", "with mark", ""]
    found = reasons(scan)
    assert set(found) == {"a.txt", "a.json", "c.txt", "d.png", "e.txt"}
    assert "UTF-8" in found["a.txt"] and "NUL" in found["c.txt"]
    assert found["e.txt"] == "a caption without picture"
    assert scan.unusable == 3  # strays do not count


@pytest.mark.parametrize("content", [None, []])
def test_an_empty_or_absent_folder_says_what_is_expected(tmp_path, content):
    if content is not None:
        (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match=r"images/NAME\.png(.|\n)*labels/NAME\.txt"):
        scan_folder(tmp_path)


def test_require_few():
    rows = [{"file": f"{i}.png", "reason": "r"} for i in range(7)]
    require_few(rows[:1], 1, 10, 0.1, "pictures")
    require_few([], 0, 10, 0, "pictures")
    with pytest.raises(UserError, match=r"7 of 10 pictures(.|\n)*0\.png: r(.|\n)*2 more"):
        require_few(rows, 7, 10, 0.1, "pictures")
    with pytest.raises(UserError):  # none left is never fine
        require_few(rows, 7, 7, 1, "pictures")


def job_for(tmp_path, max_rejected):
    return SimpleNamespace(
        input=[],
        output=SimpleNamespace(manifest=tmp_path / "m.csv", rejected=tmp_path / "r.csv"),
        params=SimpleNamespace(folder=str(tmp_path)),
        resources=SimpleNamespace(max_rejected=str(max_rejected)),
        threads=2,
    )


def test_script_writes_both_tables(tmp_path):
    make(tmp_path, "a.png")
    make(tmp_path, "b.png").write_bytes(b"")
    caption(tmp_path, "a.txt", 'one, "two"\nthree')
    script.main(job_for(tmp_path, 0.5))
    manifest = read_table(tmp_path / "m.csv", "manifest")
    assert manifest.caption.tolist() == ['one, "two"\nthree'] and manifest.id.tolist() == ["a"]
    assert read_table(tmp_path / "r.csv", "rejected").reason.tolist() == ["an empty file"]
    with pytest.raises(UserError, match=r"1 of 2 pictures(.|\n)*b\.png: an empty file"):
        script.main(job_for(tmp_path, 0.4))


def test_thread_count_changes_nothing(tmp_path):
    generator = np.random.default_rng(0)
    for index in range(20):
        image = generator.integers(0, 256, (16, 16, 3), np.uint8)
        path = make(tmp_path, f"{index}.png")
        Image.fromarray(image).save(path)
    assert scan_folder(tmp_path, 1) == scan_folder(tmp_path, 2)


def test_a_killed_scan_leaves_no_process_behind(tmp_path):
    make(tmp_path, "a.png")
    os.mkfifo(tmp_path / "images" / "b.png")  # nobody writes into it, so that a reader waits
    code = "import sys; from cia.scanning import scan_folder; scan_folder(sys.argv[1], 2)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    job = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment)
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children")
    deadline = time.monotonic() + 60
    while len(workers := children.read_text().split()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers) == 2
    job.kill()
    job.wait()
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
