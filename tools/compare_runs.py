"""Compare the files of two runs byte by byte: did a change of the code change an output?

Usage: compare_runs.py OLD NEW [--word OLD=NEW ...]
OLD and NEW are working folders in which the same configuration ran to its end. `--word` names a
word that the new code writes in place of an old one. Left out are what no two runs share: records
of file times (results/made), what `results/provenance.yaml` says of the code and of each rule's
jobs, and the seconds in which a model was trained or tested. Exits with 1 if anything else differs.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

FOLDERS = ("data", "results")
TIMES = Path("results/made")
PROVENANCE = Path("results/provenance.yaml")
TIMED = ("trained.yaml", "metrics.yaml")
"""Files that say in how many seconds a model was trained or tested."""

OF_A_RUN = ("code", "rules")
"""Parts of the provenance that differ from run to run."""


def files(root: Path) -> dict[Path, Path]:
    """Return every file of a run by its path in the working folder."""
    found = (path for folder in FOLDERS for path in sorted((root / folder).rglob("*")))
    paths = {path.relative_to(root): path for path in found if path.is_file()}
    return {name: path for name, path in paths.items() if TIMES not in name.parents}


def renamed(content: bytes, words: Sequence[tuple[str, str]]) -> bytes:
    """Write the new words into an old text; what is no text stays."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content
    for old, new in words:
        text = re.sub(rf"(?<![A-Za-z]){re.escape(old)}(?![A-Za-z])", new, text)
    return text.encode("utf-8")


def compared(name: Path, content: bytes) -> bytes:
    """Return what of a file two runs share."""
    if name == PROVENANCE:
        found = yaml.safe_load(content)
        kept = {key: value for key, value in found.items() if key not in OF_A_RUN}
        return yaml.safe_dump(kept).encode("utf-8")
    if name.name in TIMED:
        return re.sub(rb"(?m)^ *seconds: .*\n", b"", content)
    return content


def differences(
    old: dict[Path, Path], new: dict[Path, Path], words: Sequence[tuple[str, str]]
) -> Iterator[str]:
    """Yield a line for each file that one run lacks, or that is another one."""
    for name in sorted(old.keys() - new.keys()):
        yield f"only in the old run: {name}"
    for name in sorted(new.keys() - old.keys()):
        yield f"only in the new run: {name}"
    for name in sorted(old.keys() & new.keys()):
        before, after = old[name].read_bytes(), new[name].read_bytes()
        if before == after:
            continue
        before, after = compared(name, renamed(before, words)), compared(name, after)
        if before != after:
            digests = [hashlib.sha256(one).hexdigest()[:12] for one in (before, after)]
            yield f"differs: {name} ({digests[0]}, {digests[1]})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--word", action="append", default=[], metavar="OLD=NEW")
    options = parser.parse_args()
    words = [tuple(pair.split("=", 1)) for pair in options.word]
    old, new = files(options.old), files(options.new)
    found = list(differences(old, new, words))
    print("\n".join(found))
    print(f"{len(old)} and {len(new)} files compared, {len(found)} differ")
    return 1 if found or not old else 0


if __name__ == "__main__":
    sys.exit(main())
