# What the rules of provenance.smk are given.


def get_generation_records():
    """The models and versions that made each shard of each set."""
    return [
        f"results/{entry['dataset']}/{entry['generator']}/shards/{shard}.yaml"
        for entry in SETS
        for shard in range(config["shards"])
    ]


def get_wildcard_values():
    """The values that wildcards have in this configuration."""
    used = used_config(config)
    values = {WILDCARDS[table]: list(used[table]) for table in TABLES}
    for name in ("generator", "selection"):
        values[name].append(NONE)
    values["shard"] = [str(shard) for shard in range(config["shards"])]
    values["seed"] = sorted({str(arm["seed"]) for arm in ARMS + STUDY_ARMS})
    for arm in STUDY_ARMS:
        for name in ("dataset", "selection", "mix"):
            values[name].append(arm[name])
    values["study"] = list(config["studies"])
    values["rule"] = [rule.name for rule in workflow.rules]
    real = [f"real/{name}/{split}" for name in values["dataset"] for split in SPLITS]
    values["source"] = sorted({*get_sets(GENERATED), *real})
    return values


def get_all_model_files():
    """A digest of the local files of each model but those of generation; those of the hub have none."""
    used = used_config(config)
    none = model_fingerprint(None)
    digests = {
        table: {name: model_files(entry) for name, entry in used[table].items()}
        for table in ("conditions", "judges", "trainers")
    }
    digests["features"] = {name: feature_files(entry) for name, entry in used["features"].items()}
    return {
        table: {name: None if digest == none else digest for name, digest in entries.items()}
        for table, entries in digests.items()
    }
