"""Write config/README.md from the JSON Schemas, so that the two can't drift apart.

Usage: config_docs.py            write config/README.md
       config_docs.py --check    fail if it is not what would be written
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from cia.config.checks import load_schema  # noqa: E402

PAGE = ROOT / "config" / "README.md"

HEAD = ("| key | type | default | meaning |", "|---|---|---|---|")

INTRODUCTION = """\
# Configuration

One YAML file holds all settings of the experiment; `profiles/` holds those of the machine (GPUs,
Slurm). `config/config.yaml` is the demo, `config/examples/` has examples to copy. Run with a file
of your own by

    snakemake --profile profiles/gpu --configfile my.yaml

or, without a GPU, with `--cores all` in place of the profile.

The tables `datasets`, `conditions`, `variations`, `prompts`, `generators`, `features`, `judges`,
`selections`, `mixes` and `trainers` name settings. `experiments` combines the names, and `studies`
asks with them whether synthetic images help. Names are parts of the paths of what is made. If you
change a setting, only what depends on it is made again. Unused entries cost nothing.
[docs/glossary.md](../docs/glossary.md) explains the words.

## Warning: a config without experiments and studies runs the demo

If none of your files has `experiments` or `studies`, they change the demo's configuration, which
then runs. If one of them has, the demo's configuration is not read.

## Several files

You may name several files after `--configfile`. Each changes the ones before it: tables are merged
key by key, lists are replaced. To change a nested value for one run, use a second small file and
not `--config`: Snakemake reads nested `--config` values as strings.

## Mistakes

A mistake stops the run at once, and `snakemake -n --configfile my.yaml` finds it: the message names
the key and the values that it may have. Names of models are checked as far as they can be known
without network: schedulers, timm's and ultralytics' models, folders and files. A model is a name on
the Hugging Face hub (`owner/name`) or a local folder; `weights` are files. Quote a word that YAML
takes for something else (`yes`, `no`, `on`, `off`, `null`, `1`) if it is a name. If a file is not
valid YAML, Snakemake does not name the line; this does:
`python -c "import yaml; yaml.safe_load(open('my.yaml'))"`

In YAML, `&name` marks an entry, `*name` repeats it, and `<<: *name` takes all its keys; the
examples do so for generators that differ in one setting.

This page is written from `config/schema/*.yaml` by `tools/config_docs.py`.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    top = load_schema()
    parts = [INTRODUCTION, "## Top level\n", *rows(top, top)]
    for key, schema in top["properties"].items():
        target = schema.get("additionalProperties") or schema.get("items")
        if isinstance(target, dict) and "$ref" in target:
            parts += ["", f"## {key}\n", *section(load_schema(target["$ref"]))]
    return "\n".join(parts) + "\n"


def section(schema: dict) -> Iterator[str]:
    """Yield the lines of one table: its own keys, then those of each kind."""
    yield schema["description"] + "\n"
    yield from rows(schema, schema)
    yield from kinds(schema)
    for name, raw in schema["properties"].items():
        if str(raw.get("$ref")).endswith(".yaml"):
            yield from kinds(load_schema(raw["$ref"]), f"{name}.")


def kinds(schema: dict, prefix: str = "") -> Iterator[str]:
    """Yield the keys that a table has with each kind of entry."""
    for variant in schema.get("allOf", []):
        (key, test), *_ = variant["if"]["properties"].items()
        body = resolve(variant["then"], schema)
        kind = test.get("const") or " or ".join(test.get("enum", [])) or family(test["pattern"])
        own = {k: v for k, v in body.get("properties", {}).items() if v}
        if own:
            yield f"\nWith `{prefix}{key}: {kind}`:\n"
            keys = rows({**body, "properties": own}, schema, prefix)
            yield from [*(HEAD if prefix else ()), *keys]


def family(pattern: str) -> str:
    """Return what `^timm:` stands for."""
    return f"{pattern.removeprefix('^')}NAME"


def rows(schema: dict, root: dict, prefix: str = "") -> Iterator[str]:
    """Yield a Markdown table of a schema's keys."""
    if not prefix:
        yield from HEAD
    required = schema.get("required", [])
    for key, raw in schema.get("properties", {}).items():
        entry = {**resolve(raw, root), **{k: v for k, v in raw.items() if k != "$ref"}}
        default = "required" if key in required else shown(entry.get("default"), "default" in entry)
        cells = [f"`{prefix}{key}`", kind_of(entry), default, entry["description"]]
        yield (
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
        )
        below = [resolve(one, root) for one in entry.get("properties", {}).values()]
        if "object" in entry.get("type", ()) and all("description" in one for one in below):
            yield from rows(entry, root, prefix=f"{prefix}{key}.")
        listed = entry.get("items", {}).get("properties", {})
        if listed and all("description" in one for one in listed.values()):
            yield from rows(entry["items"], root, prefix=f"{prefix}{key}[].")


def resolve(schema: dict, root: dict) -> dict:
    """Follow a reference to the same file or to another one."""
    reference = schema.get("$ref", "")
    if reference.endswith(".yaml"):
        return load_schema(reference)
    return root["$defs"][reference.removeprefix("#/$defs/")] if reference[:1] == "#" else schema


def kind_of(entry: dict) -> str:
    if "enum" in entry:
        return ", ".join(f"`{'null' if value is None else value}`" for value in entry["enum"])
    if "oneOf" in entry:
        return " or ".join(kind_of(option) for option in entry["oneOf"])
    kinds = entry.get("type", "any")
    return " or ".join(kinds) if isinstance(kinds, list) else kinds


def shown(value: object, given: bool) -> str:
    if not given:
        return ""
    text = yaml.safe_dump(value, default_flow_style=True).strip().removesuffix("...").strip()
    return f"`{text}`"


def main(arguments: list[str]) -> int:
    text = page()
    if arguments == ["--check"]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print(f"{PAGE} is not what the schemas say; run: python tools/config_docs.py")
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
