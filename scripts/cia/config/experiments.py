"""What experiments take: models to train, image sets, and the part of the config they depend on.

Light on purpose: the Snakefile imports it for every dry run.
"""

from collections.abc import Iterator

from cia.config.references import NONE

TABLES = (
    "datasets",
    "conditions",
    "variations",
    "prompts",
    "generators",
    "features",
    "judges",
    "selections",
    "mixes",
    "trainers",
)
"""The tables of named settings."""

_NEUTRAL = ("batch_size", "max_rejected", "store", "prune", "copy")
"""Settings that rerun nothing, so that their value now may not be the one that results had."""

_SINGULAR = {table.removesuffix("s"): table for table in TABLES} | {"mix": "mixes"}

_REFERENCES = {**_SINGULAR, **{table: table for table in TABLES}, "others": "generators"}
"""Keys whose values are names of a table's entries."""


def arms(config: dict) -> list[dict]:
    """List the models to train: dicts with dataset, generator, selection, mix, trainer, seed.

    A mix without synthetic images has one arm, whatever the generators and selections; its
    generator and selection are `none`.
    """
    found = {}
    for experiment in config["experiments"]:
        for arm in _arms_of(experiment, config["mixes"]):
            found[tuple(arm.values())] = arm
    return list(found.values())


def generated_sets(config: dict) -> list[dict]:
    """List experiments' image sets: dicts dataset, generator, features, judges, selections."""
    found: dict[tuple, dict] = {}
    for experiment in config["experiments"]:
        for generator in experiment["generators"]:
            key = (experiment["dataset"], generator)
            entry = found.setdefault(key, {"dataset": key[0], "generator": key[1]})
            for kind in ("features", "judges", "selections"):
                entry.setdefault(kind, [])
                entry[kind] += [name for name in experiment[kind] if name not in entry[kind]]
    return list(found.values())


def exports(config: dict) -> list[dict]:
    """List what to export: dicts with dataset, generator, format, of a mix selection and mix, too.

    Every training set of an experiment that has `exports`, and every set of its synthetic images.
    """
    found = {}
    for experiment in config["experiments"]:
        sets = [
            {"dataset": experiment["dataset"], "generator": g} for g in experiment["generators"]
        ]
        keys = ("dataset", "generator", "selection", "mix")
        mixes = [{key: arm[key] for key in keys} for arm in _arms_of(experiment, config["mixes"])]
        for form in experiment["exports"]:
            for entry in [*mixes, *sets]:
                found[(*entry.values(), form)] = {**entry, "format": form}
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
    # What came later and is not used is no change.
    settings["experiments"] = [
        {key: value for key, value in experiment.items() if value or key != "exports"}
        for experiment in config["experiments"]
    ]
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


def uses_objects(prompts: dict) -> bool:
    """Say whether an entry of `prompts` reads the labels."""
    return any("{objects}" in text for text in prompts.get("templates") or [])


def _arms_of(experiment: dict, mixes: dict) -> Iterator[dict]:
    for mix in experiment["mixes"]:
        pairs = [(NONE, NONE)]
        if mixes[mix]["synthetic"] > 0:
            pairs = [(c, s) for c in experiment["generators"] for s in experiment["selections"]]
        for generator, selection in pairs:
            for trainer in experiment["trainers"]:
                for seed in experiment["seeds"]:
                    yield {
                        "dataset": experiment["dataset"],
                        "generator": generator,
                        "selection": selection,
                        "mix": mix,
                        "trainer": trainer,
                        "seed": seed,
                    }
