"""The store: sealed entries, damage, claims, pruning. No network runs here."""

import errno
import os
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cia.errors import UserError
from cia.files import digest_file
from cia.generation import store as store_module
from cia.generation.pruning import preview_pruning, split_entries
from cia.generation.store import Store, place, seal_png, verify
from cia.images import load_image, save_png

ROOT = Path(__file__).resolve().parents[2]
KEY, OTHER = "ab" * 32, "cd" * 32
PICTURE = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def sealed(path: Path, key: str = KEY) -> Path:
    """Save a sealed picture, as generation does."""
    save_png(path, PICTURE, {"parameters": "été, a cat\nSteps: 2"})
    path.write_bytes(seal_png(path.read_bytes(), key))
    return path


def test_a_seal_leaves_the_picture_and_its_text(tmp_path):
    path = sealed(tmp_path / "a.png")
    assert (load_image(path) == PICTURE).all()
    with Image.open(path) as image:
        image.load()
        assert image.text["parameters"] == "été, a cat\nSteps: 2"
        assert image.text["cia-key"].startswith(f"{KEY} ")
    assert verify(path, KEY) == digest_file(path)


def test_every_chunk_has_the_checksum_that_png_asks_for(tmp_path):
    content, names, at = sealed(tmp_path / "a.png").read_bytes(), [], 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        body, crc = content[at + 4 : at + 8 + length], content[at + 8 + length : at + 12 + length]
        assert crc == struct.pack(">I", zlib.crc32(body))
        names.append(body[:4])
        at += 12 + length
    assert names[0] == b"IHDR" and names[-2:] == [b"tEXt", b"IEND"]


@pytest.mark.parametrize("place_of_damage", [0, 40, -150, -60, -1])
def test_one_changed_bit_does_not_verify(tmp_path, place_of_damage):
    path = sealed(tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    content[place_of_damage] ^= 1
    path.write_bytes(content)
    assert verify(path, KEY) is None


def test_what_is_cut_or_missing_or_of_another_key_does_not_verify(tmp_path):
    path = sealed(tmp_path / "a.png")
    assert verify(path, OTHER) is None
    assert verify(tmp_path / "b.png", KEY) is None
    path.write_bytes(path.read_bytes()[:-200])
    assert verify(path, KEY) is None
    path.write_bytes(b"")
    assert verify(path, KEY) is None
    with pytest.raises(ValueError, match="a truncated PNG"):
        seal_png(b"half", KEY)


def test_an_entry_is_taken_as_a_link_and_takes_no_space_twice(store, tmp_path):
    source = sealed(tmp_path / "a.png")
    assert store.take(KEY, tmp_path / "b.png") is None
    store.add(KEY, source)
    assert store.path(KEY) == store.folder / "ab" / "ab" / f"{KEY}.png"
    assert store.take(KEY, tmp_path / "set" / "b.png") == digest_file(source)
    assert source.stat().st_nlink == 3
    assert not list(tmp_path.rglob(".tmp-*"))


def test_an_entry_is_copied_where_links_do_not_go(store, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(store_module.os, "link", refused)
    source = sealed(tmp_path / "a.png")
    store.add(KEY, source)
    assert store.take(KEY, tmp_path / "b.png") == digest_file(tmp_path / "b.png")
    assert source.stat().st_nlink == 1


def test_a_link_over_a_link_to_the_same_file_leaves_nothing_behind(tmp_path):
    source = sealed(tmp_path / "a.png")
    place(source, tmp_path / "b.png")
    place(source, tmp_path / "b.png")
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b.png"]


def test_a_damaged_entry_is_not_taken_and_is_replaced(store, tmp_path, caplog):
    source = sealed(tmp_path / "a.png")
    store.add(KEY, source)
    store.path(KEY).unlink()
    store.path(KEY).write_bytes(source.read_bytes()[:-1])
    assert store.take(KEY, tmp_path / "b.png") is None
    assert "wrong checksum" in caplog.text and not (tmp_path / "b.png").exists()
    store.add(KEY, source)
    assert store.take(KEY, tmp_path / "b.png")


HOLDER = """
import sys, time
from pathlib import Path
from cia.generation.store import Store
store = Store(Path(sys.argv[1]))
print([store.claim(key) for key in sys.argv[2:]], flush=True)
time.sleep(60)
"""


def test_a_claim_holds_against_another_process_until_that_dies(store):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    command = [sys.executable, "-c", HOLDER, str(store.folder), KEY]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "[True]\n"
        assert not store.claim(KEY)
        assert store.claim(OTHER)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert store.claim(KEY)
    store.release(KEY)


def test_a_released_claim_is_free(store):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    store.claim(KEY)
    store.claim(OTHER)
    store.release(KEY)
    code = HOLDER.replace("time.sleep(60)", "")
    command = [sys.executable, "-c", code, str(store.folder), KEY, OTHER]
    assert subprocess.check_output(command, env=environment, text=True) == "[True, False]\n"


def test_without_locks_every_claim_is_granted_and_that_is_told(store, monkeypatch, caplog):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(store_module.fcntl, "lockf", refused)
    assert store.claim(KEY) and store.claim(OTHER)
    store.release(KEY)
    assert caplog.text.count("two runs at once may both make an image") == 1


@pytest.fixture
def theirs(tmp_path):
    """A store in which this process may not write, as that of another user."""
    folder, root = tmp_path / "theirs", os.geteuid() == 0
    folder.mkdir(mode=0o555)
    if root:
        os.seteuid(65534)
    yield Store(folder)
    if root:
        os.seteuid(0)


def test_a_store_of_others_is_an_error_and_not_a_claim_of_theirs(theirs):
    """For a permission that is missing, as for a lock that another has, the system says EACCES."""
    for step in (theirs.require_writable, lambda: theirs.claim(KEY)):
        with pytest.raises(
            UserError, match="theirs.* can't be written .Permission denied.*`store`"
        ):
            step()


def test_a_store_that_is_no_folder_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="^store: .*file.* can't be written"):
        Store(tmp_path / "file").require_writable()


def test_pruning_drops_what_no_plan_needs_and_no_folder_holds(store, tmp_path):
    keys = [f"{number:064x}" for number in range(3)]
    for key in keys:
        store.add(key, sealed(tmp_path / f"{key}.png", key))
    for key in keys[:2]:
        (tmp_path / f"{key}.png").unlink()
    half, fresh = (store.path(keys[0]).with_name(name) for name in (".tmp-1.png", ".tmp-2.png"))
    half.write_bytes(b"half")
    fresh.write_bytes(b"being written")
    os.utime(half, (0, 0))
    parts = split_entries(store.entries(), {keys[0]})
    assert [[entry.key for entry in part] for part in parts] == [[keys[0]], [keys[2]], [keys[1]]]
    text = "\n".join(preview_pruning(parts, store.folder, ["data/net"], "list.csv"))
    assert "1 images" in text and "été, a cat" in text
    assert all(store.path(key).exists() for key in keys)
    store.drop(parts.unused)
    assert [store.path(key).exists() for key in keys] == [True, False, True]
    assert not half.exists() and fresh.exists()


def test_a_file_that_a_link_leads_to_is_placed_and_not_the_link(tmp_path):
    (tmp_path / "real.png").write_bytes(b"content")
    (tmp_path / "link.png").symlink_to("real.png")
    place(tmp_path / "link.png", tmp_path / "folder" / "placed.png")
    assert not (tmp_path / "folder" / "placed.png").is_symlink()
    assert (tmp_path / "folder" / "placed.png").samefile(tmp_path / "real.png")
