"""Files: whole or not at all, and what is in them."""

import errno
import hashlib
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cia.errors import UserError
from cia.remedies import command

if TYPE_CHECKING:
    import numpy as np

_UMASK = os.umask(0)  # can only be read by setting it, and not while threads make files
os.umask(_UMASK)

_SPARE = 2**16
"""Free bytes below which a disk is taken for full, where a writer fails and does not say why."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and rename it to `path` when the block succeeds.

    The temporary name keeps the suffix, since many writers choose their format by it. A block
    that fails leaves `path` as it was.

    Raises
    ------
    OSError
        With the name of the file, if the disk or a quota is full: most writers don't tell it, and
        some (NumPy's, torch's) don't even tell that this is why they fail.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix=path.suffix)
    os.close(handle)
    os.chmod(name, 0o666 & ~_UMASK)
    try:
        yield Path(name)
        os.replace(name, path)
    except Exception as error:
        if full := _full_disk(error, path):
            raise full from error
        raise
    finally:
        Path(name).unlink(missing_ok=True)


def is_full(error: BaseException) -> bool:
    """Tell a full disk, or a quota that is used up, from other errors."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def explain_full(error: OSError, *folders: str | Path) -> UserError:
    """Return what to tell the user about a full disk that one of the folders or files is on."""
    return UserError(
        f"{' or '.join(map(str, folders))}: {error.strerror}. What is made so far is kept: free "
        f"some space and run again. `{command('prune_store')}` lists images that no plan needs"
    )


def _full_disk(error: Exception, path: Path) -> OSError | None:
    """Return an error that names the file, if it could not be written since its disk is full."""
    if is_full(error):
        return OSError(error.errno, error.strerror, str(path))
    said = isinstance(error, UserError) or getattr(error, "errno", None) is not None
    if said or shutil.disk_usage(path.parent).free >= _SPARE:
        return None
    return OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({error})", str(path))


def link_file(source: str | Path, target: str | Path) -> None:
    """Make a hard link to a file; where a symlink leads to it, to the file and not to the link.

    Raises
    ------
    OSError
        As `os.link`, where the file system has no such link.
    """
    os.link(os.path.realpath(source) if os.path.islink(source) else source, target)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_texts(folder: str | Path, texts: Iterable[tuple[str, str]]) -> int:
    """Write many small UTF-8 files into one folder, each whole or not at all.

    Files that hold their text already stay untouched. For a million files, since `write_text`
    takes many times as long for a small one as the writing.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    texts : iterable of tuple
        Name of a file in the folder, and its text.

    Returns
    -------
    int
        How many files were written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    there = set(os.listdir(folder))
    partial = f"{folder}/.tmp-{uuid.uuid4().hex}.txt"
    written = 0
    try:
        for name, text in texts:
            path, content = f"{folder}/{name}", text.encode("utf-8")
            if name in there and _holds(path, content):
                continue
            _write_whole(partial, content, path)
            os.replace(partial, path)
            written += 1
    finally:
        Path(partial).unlink(missing_ok=True)
    return written


def _write_whole(partial: str, content: bytes, path: str) -> None:
    try:
        with open(partial, "wb", buffering=0) as file:
            if file.write(content) != len(content):  # as a disk does that is nearly full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        if is_full(error):
            raise OSError(error.errno, error.strerror, path) from error
        raise


def _holds(path: str, content: bytes) -> bool:
    with open(path, "rb", buffering=0) as file:
        return file.readall() == content


def remove_strays(folder: str | Path, wanted: Collection[str], suffix: str = "") -> list[str]:
    """Remove the files of a folder that are not wanted, such as halves that a killed job left.

    Parameters
    ----------
    folder : path
        Its subfolders stay.
    wanted : collection of str
        Names of the files to keep.
    suffix : str
        Of the files to look at; by default every file is.

    Returns
    -------
    list of str
        Names of the removed files.
    """
    wanted = set(wanted)
    with os.scandir(folder) as entries:
        strays = [
            entry.name
            for entry in entries
            if entry.name.endswith(suffix)
            and entry.name not in wanted
            and not entry.is_dir(follow_symlinks=False)
        ]
    for name in strays:
        os.unlink(f"{folder}/{name}")
    return strays


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file.

    Raises
    ------
    UserError
        If the file is not YAML; the message has the line.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error


def write_yaml(path: str | Path, data: Any) -> None:
    """Write plain data as YAML in the given key order, whole or not at all."""
    write_text(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100))


def digest_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_fingerprint(*folders: str | Path) -> str:
    """Return a short digest of the names, sizes and change times of the files in some folders.

    Cheap enough to compute for a million files while Snakemake builds its graph: it opens none
    of them. Snakemake itself does not see that a file inside an input folder was edited in place.
    A folder that is not there counts as empty.
    """
    digest = hashlib.blake2b(digest_size=8)
    for folder in folders:
        digest.update(b"\0folder\0")
        lines = sorted(_file_states(folder))  # a folder lists its files in any order
        digest.update("".join(lines).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def tree_fingerprint(*paths: str | Path) -> str:
    """Return a short digest of files, and of the files in folders and all their subfolders.

    As `folder_fingerprint`, whose cost it has. Links to folders are followed, each folder once;
    what is hidden does not count, and what is not there counts as empty.
    """
    digest, seen = hashlib.blake2b(digest_size=8), set()
    waiting = [str(path) for path in reversed(paths)]
    while waiting:
        path = waiting.pop()
        try:
            status = os.stat(path)
        except OSError:
            continue
        digest.update(f"\0{path}\0".encode("utf-8", "surrogateescape"))
        if not stat.S_ISDIR(status.st_mode):
            digest.update(f"{status.st_size}\0{status.st_mtime_ns}\n".encode())
        elif (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            folders: list[str] = []
            lines = sorted(_file_states(path, folders))
            digest.update("".join(lines).encode("utf-8", "surrogateescape"))
            waiting += sorted((f"{path}/{name}" for name in folders), reverse=True)
    return digest.hexdigest()


def model_fingerprint(*paths: str | Path | None) -> str:
    """Return a short digest of local model files, for Snakemake to see that they changed.

    Files up to 32 MB count by their content, so that a checkout, which renews their times, changes
    nothing; larger ones by size and change time, since reading them would make every dry run slow.
    What is no local path (a hub id, None) counts for nothing.
    """
    digest = hashlib.blake2b(digest_size=8)
    for path in filter(None, paths):
        for file in sorted(_files_in(Path(path))):
            status = file.stat()
            small = status.st_size <= 32 * 2**20
            content = digest_file(file) if small else f"{status.st_size} {status.st_mtime_ns}"
            digest.update(f"{file.name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _files_in(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and file.suffix != ".md"]


def _file_states(folder: str | Path, folders: list[str] | None = None) -> list[str]:
    """Return a line for each file that is not hidden: its name, size and change time.

    As few steps per file as can be. Through an open folder, the system looks up each file's name
    alone, not the path to it again. With `folders`, subfolders' names go there and into no line.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return []
    lines = []
    try:
        with os.scandir(handle) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    if folders is not None and entry.is_dir():
                        folders.append(entry.name)
                        continue
                    try:
                        status = entry.stat()
                    except OSError:  # a link that leads nowhere, which a scan lists as such
                        status = entry.stat(follow_symlinks=False)
                    lines.append(f"{entry.name}\0{status.st_size}\0{status.st_mtime_ns}\n")
    finally:
        os.close(handle)
    return lines


def save_array(path: str | Path, array: "np.ndarray") -> None:
    """Write a .npy file, whole or not at all."""
    import numpy as np

    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.save(file, array, allow_pickle=False)
