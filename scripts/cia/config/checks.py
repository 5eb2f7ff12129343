"""The configuration: checked against its schema, defaults filled in, names looked up.

Light on purpose: the Snakefile imports it for every dry run.
"""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from cia.catalog import KINDS, Kind
from cia.config.experiments import used_config
from cia.config.few_steps import few_step_errors, with_few_steps
from cia.config.model_names import missing_files, unknown_names
from cia.config.references import reference_errors
from cia.config.sources import with_sources
from cia.config.studies import with_studies
from cia.config.values import value_errors
from cia.errors import UserError, suggest
from cia.picking import missing_picked

SCHEMA_FOLDER = Path(__file__).resolve().parents[3] / "config" / "schema"
_RENAMED = {
    ("", "controlnets"): "generators",
    ("experiments", "controlnets"): "generators",
    ("studies", "controlnet"): "generator",
}
"""Keys of earlier versions by table, and their names now."""

_MOVED = {
    ("features", "neighbors"): "scores: {neighbors: ...}",
    ("features", "per_class"): "scores: {per_class: ...}",
}
"""Keys of earlier versions by table, and what stands for them at the top of the config now."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML was built with it: every start of Snakemake reads all schemas."""

MERGE = "tag:yaml.org,2002:merge"
"""YAML's tag of the key `<<`, which may stand in a table several times."""


def load_schema(name: str = "config.yaml") -> dict:
    """Return one of the JSON Schemas in config/schema; of a table of parts, with every part's."""
    schema = _read_schema(name)
    kind = KINDS.get(name.removesuffix(".yaml"))
    return _with_parts(schema, name, kind) if kind else schema


def _read_schema(name: str) -> dict:
    return yaml.load((SCHEMA_FOLDER / name).read_text(encoding="utf-8"), _LOADER)


def _with_parts(schema: dict, name: str, kind: Kind) -> dict:
    """Say in a table's schema which parts there are, and what settings each has of its own.

    A part's schema in TABLE/NAME.yaml has a `description`, and the `properties` (and which of them
    are `required`) that stand beside those of all parts. It may refer to the table's `$defs`.
    """
    shared = dict.fromkeys(schema["properties"], {})
    words, branches, bodies = [], [], {}
    for part in kind.parts:
        own = _read_schema(f"{name.removesuffix('.yaml')}/{part}.yaml")
        family = part in kind.families
        words.append(f"{part}{':NAME' * family} - {own['description']}")
        test = {"pattern": f"^{part}:"} if family else {"const": part}
        choice = {"properties": {kind.key: test}, "required": [kind.key]}
        branches.append({"if": choice, "then": {"$ref": f"#/$defs/{part}"}})
        bodies[part] = {
            "type": "object",
            "additionalProperties": False,
            "required": own.get("required", []),
            "properties": shared | own.get("properties", {}),
        }
    key = schema["properties"][kind.key]
    key["description"] = " ".join(filter(None, [key.get("description"), *words]))
    key |= _names_of(kind)
    return {**schema, "allOf": branches, "$defs": schema.get("$defs", {}) | bodies}


def _names_of(kind: Kind) -> dict:
    """Return the schema of what names a part: one of them, or of a family a member (timm:NAME)."""
    if not kind.families:
        return {"enum": list(kind.parts)}
    names = [part + ":.+" * (part in kind.families) for part in kind.parts]
    return {"pattern": f"^({'|'.join(names)})$"}


def checked(config: dict) -> dict:
    """Return the config with its defaults filled in, those of few-step models and of studies, too.

    Raises
    ------
    UserError
        If a key is unknown, missing or has a value that it may not have, or if a setting names an
        entry that its table does not have. The message lists every problem with its key.
    """
    full = deepcopy(config)
    errors = _schema_errors(full)
    problems = [_explain(error) for error in errors if not _is_missed_for_its_old_name(error)]
    checks = (reference_errors, value_errors, unknown_names, few_step_errors)
    _refuse(problems or [problem for check in checks for problem in check(full)])
    return with_studies(with_few_steps(full))


def ready(config: dict, in_a_run: bool = False) -> dict:
    """Return what `checked` does, once the local files that used entries name are there.

    With the classes of datasets that have them from their source; for `in_a_run` see
    `cia.config.sources.with_sources`.
    """
    full = checked(config)
    used = used_config(full)
    _refuse([*missing_files(used), *missing_picked(used)])
    return with_sources(full, used, in_a_run)


def _refuse(problems: list[str]) -> None:
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise UserError(
            f"The configuration has mistakes:\n{lines}\nconfig/README.md lists every key."
        )


def refuse_repeated_keys(path: str | Path) -> None:
    """Raise a `UserError` if a table of a YAML file has a key twice, or holds itself by an alias.

    YAML's reader would keep the last one, and all that stands below the first would be lost. What
    holds itself has no end, and whatever walks through it has none either.
    """
    with open(path, encoding="utf-8") as file:
        root = yaml.compose(file, yaml.SafeLoader)
    if root:
        _check_node(path, root, (), set())


def _check_node(path: str | Path, node: yaml.Node, above: tuple, seen: set[int]) -> None:
    """Check a node and all below it, each once however many aliases lead to it."""
    line = node.start_mark.line + 1
    if any(node is other for other in above):
        raise UserError(
            f"{path}, line {line}: what begins here holds an alias (*name) of itself, which "
            "never ends. Write out what the alias stands for."
        )
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    below = node.value
    if isinstance(node, yaml.MappingNode):
        _check_keys(path, node)
        below = [value for _, value in node.value]
    for other in below:
        _check_node(path, other, (*above, node), seen)


def _check_keys(path: str | Path, table: yaml.MappingNode) -> None:
    lines: dict[str, int] = {}
    for key, _ in table.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
            continue
        line, first = key.start_mark.line + 1, lines.get(key.value)
        if first:
            raise UserError(
                f"{path}, line {line}: {key.value!r} stands in line {first} already, and only "
                "one of them would count. Put what is below both under one."
            )
        lines[key.value] = line


def _properties_with_defaults(validator, properties, instance, schema):
    if isinstance(instance, dict):
        for name, subschema in properties.items():
            if "default" in subschema:
                instance.setdefault(name, deepcopy(subschema["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](
        validator, properties, instance, schema
    )


_Validator = validators.extend(
    Draft202012Validator,
    {"properties": _properties_with_defaults},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
"""Fills defaults in, and takes 400.0 for no integer: Python counts with 400 alone."""


def _schema_errors(config: dict) -> list:
    """List what the schemas refuse; where they want an integer, 400.0 becomes 400."""
    resources = [
        (path.name, DRAFT202012.create_resource(load_schema(path.name)))
        for path in sorted(SCHEMA_FOLDER.glob("*.yaml"))
    ]
    validator = _Validator(load_schema(), registry=Registry().with_resources(resources))
    errors = list(validator.iter_errors(config))
    if _write_integers(config, errors):
        errors = list(validator.iter_errors(config))
    return sorted(errors, key=lambda error: list(map(str, error.path)))


def _write_integers(config: dict, errors: list) -> bool:
    """Write integers for whole numbers that were refused for none; say if there was one."""
    whole, waiting = [], list(errors)
    while waiting:
        error = waiting.pop()
        waiting += error.context
        number = isinstance(error.instance, float) and error.instance.is_integer()
        if number and "integer" in _kinds(error):
            whole.append(error)
    for error in whole:
        *parents, last = error.absolute_path
        owner = config
        for name in parents:
            owner = owner[name]
        owner[last] = int(error.instance)
    return bool(whole)


def _kinds(error: Any) -> list[str]:
    """Return the types of which a value should have been, if that is what is wrong with it."""
    if error.validator != "type":
        return []
    kinds = error.validator_value
    return kinds if isinstance(kinds, list) else [kinds]


def _explain(error: Any) -> str:
    """Say what is wrong with one key, and what it may be."""
    key = ".".join(map(str, error.absolute_path)) or "the configuration"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", {}))
        unknown = [name for name in error.instance if name not in known]
        return "; ".join(f"{key}: {_unknown(_table(error), name, known)}" for name in unknown)
    if error.validator == "enum":
        options = list(map(str, error.validator_value))
        return f"{key}: {error.instance!r} is none of {', '.join(options)}"
    description = error.schema.get("description") if isinstance(error.schema, dict) else None
    hint = _unquoted(error) or (f" ({description})" if description else "")
    return f"{key}: {error.message}{hint}"


def _unknown(table: str, name: str, known: list[str]) -> str:
    if new := _RENAMED.get((table, name)):
        return f"{name!r} has a new name, {new!r}"
    if new := _MOVED.get((table, name)):
        return f"{name!r} has a new place: write `{new}` at the top of the config"
    return f"unknown key {name!r}{suggest(name, known)}"


def _table(error: Any) -> str:
    return str(next(iter(error.absolute_path), ""))


def _is_missed_for_its_old_name(error: Any) -> bool:
    """Say whether a required key is there by its old name, which has an error of its own."""
    if error.validator != "required":
        return False
    here = [new for (table, old), new in _RENAMED.items() if _has(error, table, old)]
    return any(error.message.startswith(repr(new)) for new in here)


def _has(error: Any, table: str, name: str) -> bool:
    return table == _table(error) and name in error.instance


def _unquoted(error: Any) -> str:
    """Say so where YAML took a word for something else, or a number for a word."""
    kinds, value = _kinds(error), error.instance
    if isinstance(value, str):
        number = {"integer", "number"} & set(kinds) and _is_number(value)
        return "; YAML reads it as a word: write no quotes, and 1.0e-3 for 1e-3" if number else ""
    if "string" not in kinds or isinstance(value, list | dict):
        return ""
    if isinstance(value, bool):
        words, quoted = ("yes, on and true", "yes") if value else ("no, off and false", "no")
        return f'; YAML reads {words} so unless they are in quotes: write "{quoted}"'
    if value is None:
        return "; YAML reads null, ~ and an empty place so: put what you mean in quotes"
    return "; YAML reads it as a number or a date: put what is written there in quotes"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
