"""The configuration: checked against its schema, defaults filled in, names looked up.

Light on purpose: the Snakefile imports it for every dry run.
"""

import difflib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from cia.directions import SCORES
from cia.errors import UserError
from cia.studies import RANDOM, one_replicate, with_studies
from cia.trainers import TRAINERS

SCHEMA_FOLDER = Path(__file__).resolve().parents[2] / "config" / "schema"
TABLES = (
    "datasets",
    "conditions",
    "variations",
    "prompts",
    "controlnets",
    "features",
    "judges",
    "selections",
    "mixes",
    "trainers",
)
"""The tables of named settings."""

EXPERIMENT_KEYS = (
    "dataset",
    "controlnets",
    "features",
    "judges",
    "selections",
    "mixes",
    "trainers",
)
"""What an experiment names, each in a table of its own."""

NONE = "none"
"""Stands in a path where an arm has no controlnet and no selection: no synthetic images."""

_NEUTRAL = ("batch_size", "max_rejected", "store", "prune")
"""Settings that change no output."""

_SINGULAR = {table.removesuffix("s"): table for table in TABLES} | {"mix": "mixes"}
_REFERENCES = {**_SINGULAR, **{table: table for table in TABLES}, "others": "controlnets"}
"""Keys whose values are names of a table's entries."""

_RESERVED = {
    "datasets": {"real", "generated", "report"},
    "controlnets": {NONE},
    "selections": {NONE, RANDOM},
}
"""Names that mean something else in paths."""


def load_schema(name: str = "config.yaml") -> dict:
    """Return one of the JSON Schemas in config/schema."""
    return yaml.safe_load((SCHEMA_FOLDER / name).read_text(encoding="utf-8"))


def checked(config: dict) -> dict:
    """Return the config with its defaults filled in, and with what its studies take.

    Raises
    ------
    UserError
        If a key is unknown, missing or has a value that it may not have, or if a setting names an
        entry that its table does not have. The message lists every problem with its key.
    """
    full = deepcopy(config)
    problems = [_explain(error) for error in _schema_errors(full)]
    problems = problems or list(_reference_errors(full))
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise UserError(
            f"The configuration has mistakes:\n{lines}\nconfig/README.md lists every key."
        )
    return with_studies(full)


def arms(config: dict) -> list[dict]:
    """List the models to train: dicts with dataset, controlnet, selection, mix, trainer, seed.

    A mix without synthetic images has one arm, whatever the controlnets and selections; its
    controlnet and selection are `none`.
    """
    found = {}
    for experiment in config["experiments"]:
        for arm in _arms_of(experiment, config["mixes"]):
            found[tuple(arm.values())] = arm
    return list(found.values())


def generated_sets(config: dict) -> list[dict]:
    """List experiments' image sets: dicts dataset, controlnet, features, judges, selections."""
    found: dict[tuple, dict] = {}
    for experiment in config["experiments"]:
        for controlnet in experiment["controlnets"]:
            key = (experiment["dataset"], controlnet)
            entry = found.setdefault(key, {"dataset": key[0], "controlnet": key[1]})
            for kind in ("features", "judges", "selections"):
                entry.setdefault(kind, [])
                entry[kind] += [name for name in experiment[kind] if name not in entry[kind]]
    return list(found.values())


def used_config(config: dict) -> dict:
    """Return the part of the config that results depend on.

    Entries that no experiment names are left out, and so are settings that change no output, so
    that a change of theirs changes nothing here.
    """
    used: dict[str, set] = {table: set() for table in TABLES}
    found = {("experiments", index) for index in range(len(config["experiments"]))}
    found |= {("studies", name) for name in config["studies"]}
    while found:
        table, name = found.pop()
        for reference in _references(config, config[table][name]):
            if reference[1] not in used[reference[0]]:
                used[reference[0]].add(reference[1])
                found.add(reference)
    settings = {key: value for key, value in config.items() if key not in _NEUTRAL}
    tables = {
        table: {name: entry for name, entry in config[table].items() if name in used[table]}
        for table in TABLES
    }
    return settings | tables


def _references(config: dict, entry: dict) -> Iterator[tuple[str, str]]:
    """Yield the table and name of every entry that an entry, or a step of it, names."""
    for key, value in entry.items():
        table = _REFERENCES.get(key)
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, dict):
                yield from _references(config, name)
            elif table and isinstance(name, str) and name in config[table]:
                yield table, name


def features_of(selection: dict) -> list[str]:
    """List the feature models whose scores a selection reads."""
    steps = selection.get("steps", [selection])
    return list(dict.fromkeys(step["features"] for step in steps if "features" in step))


def uses_captions(prompts: dict) -> bool:
    """Say whether an entry of `prompts` reads the real images' captions."""
    templates = prompts.get("templates") or ["{caption}"]
    captioned = prompts.get("replace") or any("{caption}" in text for text in templates)
    return prompts["kind"] == "captions" or (prompts["kind"] == "vocabulary" and bool(captioned))


def uses_objects(prompts: dict) -> bool:
    """Say whether an entry of `prompts` reads the labels."""
    return any("{objects}" in text for text in prompts.get("templates") or [])


def _arms_of(experiment: dict, mixes: dict) -> Iterator[dict]:
    for mix in experiment["mixes"]:
        pairs = [(NONE, NONE)]
        if mixes[mix]["synthetic"] > 0:
            pairs = [(c, s) for c in experiment["controlnets"] for s in experiment["selections"]]
        for controlnet, selection in pairs:
            for trainer in experiment["trainers"]:
                for seed in experiment["seeds"]:
                    yield {
                        "dataset": experiment["dataset"],
                        "controlnet": controlnet,
                        "selection": selection,
                        "mix": mix,
                        "trainer": trainer,
                        "seed": seed,
                    }


def _schema_errors(config: dict) -> list:
    resources = [
        (path.name, DRAFT202012.create_resource(load_schema(path.name)))
        for path in sorted(SCHEMA_FOLDER.glob("*.yaml"))
    ]
    validator = _WithDefaults(load_schema(), registry=Registry().with_resources(resources))
    return sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.path)))


def _properties_with_defaults(validator, properties, instance, schema):
    if isinstance(instance, dict):
        for name, subschema in properties.items():
            if "default" in subschema:
                instance.setdefault(name, deepcopy(subschema["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](
        validator, properties, instance, schema
    )


_WithDefaults = validators.extend(Draft202012Validator, {"properties": _properties_with_defaults})


def _explain(error: Any) -> str:
    """Say what is wrong with one key, and what it may be."""
    key = ".".join(map(str, error.absolute_path)) or "the configuration"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", {}))
        unknown = [name for name in error.instance if name not in known]
        return "; ".join(f"{key}: unknown key {name!r}{_suggest(name, known)}" for name in unknown)
    if error.validator == "enum":
        options = list(map(str, error.validator_value))
        return f"{key}: {error.instance!r} is none of {', '.join(options)}"
    description = error.schema.get("description") if isinstance(error.schema, dict) else None
    return f"{key}: {error.message}" + (f" ({description})" if description else "")


def _suggest(name: Any, known: list) -> str:
    close = difflib.get_close_matches(str(name), list(map(str, known)), n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; it may be one of {', '.join(map(str, known))}" if known else ""


def _reference_errors(config: dict) -> Iterator[str]:
    for table, reserved in _RESERVED.items():
        for name in sorted(reserved.intersection(config[table])):
            yield f"{table}.{name}: this name has a meaning of its own in paths; choose another"
    for name, controlnet in config["controlnets"].items():
        yield from _unknown(config, f"controlnets.{name}.condition", "conditions", controlnet)
        yield from _unknown(config, f"controlnets.{name}.prompts", "prompts", controlnet)
        if controlnet["control_guidance_start"] >= controlnet["control_guidance_end"]:
            yield f"controlnets.{name}: control_guidance_start is to be below control_guidance_end"
        if controlnet["variation"] is not None:
            yield from _unknown(config, f"controlnets.{name}.variation", "variations", controlnet)
            yield from _unfit_prompts(config, name, controlnet)
    for name, variation in config["variations"].items():
        yield from _empty_ranges(name, variation)
    for name, selection in config["selections"].items():
        owner = {"features": features_of(selection)}
        yield from _unknown(config, f"selections.{name}.features", "features", owner)
        yield from _unknown_scores(name, selection)
    for name, judge in config["judges"].items():
        yield from _judge_errors(config, name, judge)
    for name, study in config["studies"].items():
        yield from _study_errors(config, name, study)
    for index, experiment in enumerate(config["experiments"]):
        for key in EXPERIMENT_KEYS:
            table = "datasets" if key == "dataset" else key
            yield from _unknown(config, f"experiments.{index}.{key}", table, experiment)
        yield from _unfit_trainers(config, f"experiments.{index}.trainers", experiment)
        yield from _unfit_judges(config, f"experiments.{index}.judges", experiment)
        yield from _unfit_variations(config, f"experiments.{index}.controlnets", experiment)


def _unknown_scores(name: str, selection: dict) -> Iterator[str]:
    for step in selection.get("steps", [selection]):
        score = step.get("score", [])
        for column in [score] if isinstance(score, str) else score:
            if column not in SCORES:
                yield (f"selections.{name}: there is no score {column!r}{_suggest(column, SCORES)}")


def _judge_errors(config: dict, name: str, judge: dict) -> Iterator[str]:
    if judge["kind"] != "label_survival":
        return
    yield from _unknown(config, f"judges.{name}.trainer", "trainers", judge)
    yield from _unknown(config, f"judges.{name}.mix", "mixes", judge)
    if config["mixes"].get(judge["mix"], {}).get("synthetic"):
        yield (
            f"judges.{name}.mix: {judge['mix']!r} has synthetic images; a judge of labels is to "
            "have seen real ones alone"
        )


def _study_errors(config: dict, name: str, study: dict) -> Iterator[str]:
    key = f"studies.{name}"
    tables = {"dataset": "datasets", "controlnet": "controlnets", "others": "controlnets"}
    tables |= {"features": "features", "judges": "judges", "selections": "selections"}
    for field, table in (tables | {"trainer": "trainers"}).items():
        yield from _unknown(config, f"{key}.{field}", table, study)
    for pair in study["filtered"]:
        yield from _unknown(config, f"{key}.filtered.selection", "selections", pair)
        if pair["controlnet"] not in study["others"]:
            yield f"{key}.filtered: {pair['controlnet']!r} is none of `others`; add it there"
    if config["trainers"].get(study["trainer"], {}).get("steps", 0) is None:
        yield (
            f"{key}.trainer: {study['trainer']!r} trains for epochs, which are more steps for a "
            "larger training set; give it `steps`, so that all arms see as many"
        )
    if config["trainers"].get(study["trainer"], {}).get("patience"):
        yield (
            f"{key}.trainer: {study['trainer']!r} has `patience`, by which some arms would stop "
            "early; set it to 0, so that all arms see as many steps"
        )
    arms_of_study = one_replicate(name, study, config)
    names = [arm["name"] for arm in arms_of_study]
    for twice in sorted({arm for arm in names if names.count(arm) > 1}):
        yield f"{key}: two arms would be named {twice!r}; give a selection another name"
    found = (_too_small(config, key, arm) for arm in arms_of_study)
    yield from dict.fromkeys(filter(None, found))
    yield from _unfit_trainers(config, f"{key}.trainer", {**study, "trainers": [study["trainer"]]})
    everything = [study["controlnet"], *study["others"]]
    yield from _unfit_judges(config, f"{key}.judges", study)
    yield from _unfit_variations(config, f"{key}.others", {**study, "controlnets": everything})


def _too_small(config: dict, key: str, arm: dict) -> str | None:
    """Arms are compared at one size, so each needs enough images, after a selection too."""
    ratio, controlnet = arm["ratio"], arm["controlnet"]
    variants = config["controlnets"].get(controlnet, {}).get("variants", ratio)
    if variants < ratio:
        return (
            f"{key}: a ratio of {ratio:g} takes more images than the {variants} `variants` "
            f"of {controlnet!r}"
        )
    selection = config["selections"].get(arm["selection"], {})
    if selection.get("method") == "top_p" and variants * selection["value"] < ratio:
        return (
            f"{key}: selection {arm['selection']!r} keeps {selection['value']:g} of the "
            f"{variants} `variants` of {controlnet!r}, which is fewer than `ratio` "
            f"({ratio:g}) takes; raise one or the other"
        )
    return None


def _unfit_judges(config: dict, key: str, experiment: dict) -> Iterator[str]:
    known = [config["judges"][name] for name in experiment["judges"] if name in config["judges"]]
    kinds = [judge["kind"] for judge in known]
    for kind in sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        yield f"{key}: two judges of kind {kind!r}, whose scores would have the same names"
    trainers = [judge["trainer"] for judge in known if judge["kind"] == "label_survival"]
    yield from _unfit_trainers(config, key, {**experiment, "trainers": trainers})


def _unknown(config: dict, key: str, table: str, owner: dict) -> Iterator[str]:
    names = owner[key.rsplit(".", 1)[1]]
    for name in names if isinstance(names, list) else [names]:
        if name not in config[table]:
            known = list(config[table])
            yield f"{key}: {table} has no entry {name!r}{_suggest(name, known)}"


def _unfit_prompts(config: dict, name: str, controlnet: dict) -> Iterator[str]:
    """A new layout holds other objects than its source, so the source's caption would be wrong."""
    kind = config["variations"].get(controlnet["variation"], {}).get("kind")
    prompts = config["prompts"].get(controlnet["prompts"])
    if kind == "recombine" and prompts and uses_captions(prompts):
        yield (
            f"controlnets.{name}.prompts: {controlnet['prompts']!r} takes the real images' "
            f"captions, which are wrong for the new layouts of variation "
            f"{controlnet['variation']!r}; use kind vocabulary with {{objects}} in `templates` and "
            "without `replace`, or kind fixed"
        )


def _empty_ranges(name: str, variation: dict) -> Iterator[str]:
    for key in ("scale", "objects"):
        low, high = variation.get(key) or (0, 0)
        if low > high:
            yield f"variations.{name}.{key}: the smallest ({low}) is above the largest ({high})"


def _unfit_variations(config: dict, key: str, experiment: dict) -> Iterator[str]:
    task = config["datasets"].get(experiment["dataset"], {}).get("task")
    for name in experiment["controlnets"]:
        variation = config["controlnets"].get(name, {}).get("variation")
        kind = config["variations"].get(variation, {}).get("kind")
        if task == "classification" and kind == "recombine":
            yield (
                f"{key}: {name!r} has variation {variation!r} of kind "
                "'recombine', which sets labeled objects into new layouts; dataset "
                f"{experiment['dataset']!r} is for classification and has no boxes: use kind 'warp'"
            )


def _unfit_trainers(config: dict, key: str, experiment: dict) -> Iterator[str]:
    task = config["datasets"].get(experiment["dataset"], {}).get("task")
    fits = [kind for kind, (_, for_task) in TRAINERS.items() if for_task == task]
    for name in experiment["trainers"]:
        kind = config["trainers"].get(name, {}).get("kind")
        if task and kind and kind not in fits:
            yield (
                f"{key}: trainer {name!r} is of kind {kind!r}, but dataset "
                f"{experiment['dataset']!r} is for {task}, which takes kind "
                f"{' or '.join(map(repr, fits))}"
            )
