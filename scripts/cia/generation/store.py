"""A content-addressed store of generated images, shared by jobs, runs and projects.

An entry is a PNG file named by its key, a digest of all that the image is a function of (see
`cia.generation.drawing.image_keys`). The file ends with a seal, a text chunk with the key and a
digest of all bytes before it, so it can be verified wherever it lies. Entries are written beside
their place and renamed, and linked into image folders where the file system allows it, so that they
take no space twice.

What two runs would both make is made by one of them: a run claims an image with a lock on one byte
of one file (POSIX record locks, which NFS has too); the lock ends with its process, however that
ends. Where there are no such locks, images may be made twice, to the same bytes.
"""

import errno
import fcntl
import hashlib
import logging
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from cia.errors import UserError
from cia.files import atomic_path, is_full, link_file

logger = logging.getLogger("cia")

SEAL = b"cia-key"
"""Keyword of the PNG text chunk that seals an image."""

_END = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP}
_NO_LOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_LEFT_BEHIND = 24 * 3600
"""Seconds after which a half-written file is taken for a killed job's."""


class Entry(NamedTuple):
    """An entry of the store, as a listing sees it."""

    key: str
    path: Path
    size: int
    changed: float
    links: int


def seal_png(content: bytes, key: str) -> bytes:
    """Return a PNG file's bytes with a last text chunk: the key, and a digest of all before it."""
    if not content.endswith(_END):
        raise ValueError("a truncated PNG file")
    body = content[: -len(_END)]
    return body + _seal(body, key) + _END


def verify(path: Path, key: str) -> str | None:
    """Return the SHA-256 of a sealed PNG file if it is whole and has that key, else None."""
    try:
        content = path.read_bytes()
    except OSError:  # missing, or not to be read
        return None
    return hashlib.sha256(content).hexdigest() if _is_whole(content, key) else None


class Store:
    """The store in one folder.

    Parameters
    ----------
    folder : Path
        Made when the first entry comes. A process opens a store once: the claims of two `Store`
        objects of one process don't exclude each other.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._locks: IO | None = None
        self._lockless = False
        self._unsound: set[str] = set()

    def path(self, key: str) -> Path:
        """Return where the entry of a key is, or would be."""
        return self.folder / key[:2] / key[2:4] / f"{key}.png"

    def take(self, key: str, target: Path) -> str | None:
        """Put an entry at `target` and return the file's SHA-256; None if there is no sound one."""
        path = self.path(key)
        digest = verify(path, key)
        if digest is None:
            if path.exists() and key not in self._unsound:
                self._unsound.add(key)
                logger.warning(
                    "%s: wrong checksum (corrupt, truncated or edited); the image is made again",
                    path,
                )
            return None
        try:
            place(path, target)
        except FileNotFoundError:  # dropped by another run since
            return None
        return digest

    def require_writable(self) -> None:
        """Find out before the work starts whether this process may write here.

        Raises
        ------
        UserError
            If the folder can't be made, or not be written to.
        """
        self._lock_file()

    def add(self, key: str, source: Path) -> None:
        """Make a sealed image the entry of its key; one that is there already is replaced.

        Raises
        ------
        UserError
            If another user made the folder that it belongs in.
        """
        try:
            place(source, self.path(key))
        except PermissionError as error:
            raise self._unwritable(error) from error

    def claim(self, key: str) -> bool:
        """Claim a key for this process, until `release` or its end; False if another has it."""
        if self._lockless:
            return True
        file = self._lock_file()
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(key))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            if error.errno not in _NO_LOCK:
                raise
            self._lockless = True
            logger.warning(
                "%s: no locks on this file system (%s); two runs at once may both make an image",
                self.folder,
                error,
            )
        return True

    def release(self, key: str) -> None:
        """Give a claim back."""
        if not self._lockless:
            fcntl.lockf(self._lock_file(), fcntl.LOCK_UN, 1, _offset(key))

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, sound or not, in the order of keys."""
        for path in self._files():
            if not path.name.startswith("."):
                with suppress(FileNotFoundError):  # dropped by another run since
                    status = path.stat()
                    yield Entry(path.stem, path, status.st_size, status.st_mtime, status.st_nlink)

    def drop(self, entries: list[Entry]) -> None:
        """Remove entries, and the halves that killed jobs left behind."""
        for path in (entry.path for entry in entries):
            path.unlink(missing_ok=True)
        for path in self._files():
            if path.name.startswith("."):
                with suppress(FileNotFoundError):  # its writer has renamed it since
                    if time.time() - path.stat().st_mtime > _LEFT_BEHIND:
                        path.unlink()

    def _files(self) -> Iterator[Path]:
        for folder in sorted(self.folder.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]")):
            yield from sorted(path for path in folder.iterdir() if path.suffix == ".png")

    def _lock_file(self) -> IO:
        if self._locks is None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._locks = open(self.folder / ".claims", "ab")  # noqa: SIM115
            except OSError as error:
                if is_full(error):
                    raise
                raise self._unwritable(error) from error
        return self._locks

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"store: {error.filename or self.folder} can't be written ({error.strerror}). Let "
            "`store` in the config name a folder in which you may write (one that several people "
            "share: with a common group, setgid and umask 002), or null for none"
        )


def place(source: Path, target: Path) -> None:
    """Put a file's content at `target`, whole or not at all: a hard link, or else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mktemp(dir=target.parent, prefix=".tmp-", suffix=target.suffix))
    try:
        link_file(source, beside)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _copy(source, target)
        return
    try:
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)  # a rename over a link to the same file leaves both


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def _copy(source: Path, target: Path) -> None:
    write_bytes(target, source.read_bytes())


def _seal(body: bytes, key: str) -> bytes:
    data = b"tEXt" + SEAL + b"\0" + f"{key} {hashlib.sha256(body).hexdigest()}".encode("ascii")
    return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def _is_whole(content: bytes, key: str) -> bool:
    length = len(_seal(b"", key)) + len(_END)
    body, rest = content[:-length], content[-length:]
    return rest == _seal(body, key) + _END


def _offset(key: str) -> int:
    """Return the byte of the lock file that stands for a key: its first 60 bits."""
    return int(key[:15], 16)
