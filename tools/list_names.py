"""Write resources/names: what the pinned libraries know by name, for dry runs that import none.

Usage: list_names.py            write the lists
       list_names.py --check    fail if they are not what would be written
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from cia.quiet_ultralytics import import_ultralytics  # noqa: E402

FOLDER = ROOT / "resources" / "names"


def schedulers() -> Iterator[str]:
    """Yield the class names of diffusers' schedulers."""
    import diffusers

    yield from sorted(name for name in dir(diffusers) if name.endswith("Scheduler"))


def timm() -> Iterator[str]:
    """Yield timm's models, each with the tags of its weights; ~ before a tag that has none."""
    from timm import list_models
    from timm.models._registry import _deprecated_models as renamed

    weights = set(list_models(pretrained=True))
    tags = defaultdict(list)
    for name in list_models(include_tags=True):
        base, _, tag = name.partition(".")
        tags[base] += [tag if name in weights else f"~{tag}"] if tag else []
    for old, new in renamed.items():
        tags[old] = tags[new.partition(".")[0]]
    yield from (" ".join([base, *sorted(tags[base])]) for base in sorted(tags))


def ultralytics() -> Iterator[str]:
    """Yield ultralytics' model descriptions, and the files of weights that it publishes."""
    package = Path(import_ultralytics().__file__).parent
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    yield from sorted(path.name for path in (package / "cfg" / "models").rglob("*.yaml"))
    yield from sorted(name for name in GITHUB_ASSETS_NAMES if name.endswith(".pt"))


def options() -> Iterator[str]:
    """Yield the arguments of ultralytics' train, each with the kind of its value, if it has one."""
    import_ultralytics()
    from ultralytics import cfg
    from ultralytics.utils import DEFAULT_CFG_DICT

    kinds = {"number": "FLOAT", "share": "FRACTION", "integer": "INT", "boolean": "BOOL"}
    of = {name: kind for kind, keys in kinds.items() for name in getattr(cfg, f"CFG_{keys}_KEYS")}
    names = sorted([*DEFAULT_CFG_DICT, "augmentations"])
    yield from (" ".join([name, *filter(None, [of.get(name)])]) for name in names)


def main(arguments: list[str]) -> int:
    for make in (schedulers, timm, ultralytics, options):
        path, text = FOLDER / f"{make.__name__}.txt", "".join(f"{line}\n" for line in make())
        if arguments != ["--check"]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is not what the library says; run: python tools/list_names.py")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
