# What rules read: input functions, and settings put together from several tables.


def get_prepared(wildcards):
    """What a split waits for before it is read: its own preparation, if a rule makes it."""
    folder = Path("data/real", wildcards.dataset, wildcards.split)
    if "prepare" in config["datasets"][wildcards.dataset]:
        return str(folder / "prepared.csv")
    if not (folder / "images").is_dir():  # said by a dry run, too
        raise WorkflowError(
            f"{folder / 'images'} does not exist in {os.getcwd()}. Put the {wildcards.split} pictures "
            f"of dataset {wildcards.dataset!r} there, or mend the name under datasets in the config."
        )
    return []


def get_condition_manifest(wildcards):
    condition = get_generator(wildcards)["condition"]
    return f"data/conditions/{wildcards.dataset}/{condition}/manifest.csv"


MODEL_SETTINGS = (
    "model",
    "model_revision",
    "controlnet",
    "controlnet_subfolder",
    "controlnet_revision",
    "scheduler",
)


def get_model_settings(wildcards):
    """Which models a generator takes; how it draws with them is not looked at by the check."""
    return {key: get_generator(wildcards)[key] for key in MODEL_SETTINGS}


def get_size(wildcards):
    return config["conditions"][get_generator(wildcards)["condition"]]["size"]


def get_shards(wildcards):
    shards = range(config["shards"])
    return expand(
        "results/{dataset}/{generator}/shards/{shard}.csv", shard=shards, **dict(wildcards.items())
    )


def get_pair(wildcards):
    """The two image sets that metrics and scores compare."""
    return {
        "real": f"real/{wildcards.dataset}/train",
        "synthetic": f"generated/{wildcards.dataset}/{wildcards.generator}",
    }


def get_features(wildcards):
    """The saved features of the real training images and of the synthetic ones."""
    return {
        f"{kind}{key}": f"results/{source}/features/{wildcards.features}{end}"
        for kind, source in get_pair(wildcards).items()
        for key, end in {"": ".npy", "_rows": ".csv"}.items()
    }


def get_metrics_inputs(wildcards):
    """What distribution metrics read: features, class probabilities, features of objects."""
    inputs = get_features(wildcards)
    inputs["plan"] = f"results/{wildcards.dataset}/{wildcards.generator}/plan.csv"
    ends = {"_probabilities": ".probabilities.npy"}
    if get_entry("datasets", wildcards)["task"] == "detection":
        ends |= {"_objects": ".objects.npy", "_objects_rows": ".objects.csv"}
    for kind, source in get_pair(wildcards).items():
        for key, end in ends.items():
            inputs[f"{kind}{key}"] = f"results/{source}/features/{wildcards.features}{end}"
    return inputs


def get_score_inputs(wildcards):
    """What scores are made from: features, the judges' shards, and labels where classes count."""
    inputs = get_features(wildcards)
    for judge in get_set(wildcards)["judges"]:
        inputs[f"judge_{judge}"] = expand(
            "results/{dataset}/{generator}/judged/{judge}/{shard}.csv",
            dataset=wildcards.dataset,
            generator=wildcards.generator,
            judge=judge,
            shard=range(config["shards"]),
        )
    if scores_per_class(wildcards):
        for kind, source in get_pair(wildcards).items():
            inputs[f"{kind}_labels"] = f"results/{source}/labels.csv"
    return inputs


def scores_per_class(wildcards):
    """Whether distances within the class are asked for, and images have one class."""
    task = get_entry("datasets", wildcards)["task"]
    return config["scores"]["per_class"] and task == "classification"


def get_judge_inputs(wildcards):
    """What a judge reads: the images with their plan, and its labels and model where it needs them."""
    root = f"results/{wildcards.dataset}/{wildcards.generator}"
    generated = f"results/generated/{wildcards.dataset}/{wildcards.generator}"
    inputs = {
        "plan": f"{root}/plan.csv",
        "manifest": f"{generated}/manifest.csv",
    }
    judge = get_entry("judges", wildcards)
    needs = JUDGES[judge["kind"]].needs
    if "labels" in needs:
        inputs["labels"] = f"{generated}/labels.csv"
    if "model" in needs:
        inputs["model"] = f"results/{ARM}/trained.yaml".format(
            dataset=wildcards.dataset,
            generator=NONE,
            selection=NONE,
            **get_judge_arm(wildcards.dataset, judge),
        )
    return inputs


def get_judge_arm(dataset, judge):
    """Which model reads labels: in a study the replicate's own, which knows no other picture."""
    arm = {key: judge[key] for key in ("mix", "trainer", "seed")}
    for other in STUDY_ARMS:
        if (other["dataset"], other["kind"]) == (dataset, "real"):
            arm |= {"mix": other["mix"], "seed": other["seed"]}
    return arm


def get_judge_settings(wildcards):
    """A judge's settings, with those of what it judges by."""
    settings = dict(get_entry("judges", wildcards))
    needs = JUDGES[settings["kind"]].needs
    if "condition" in needs:
        settings["condition"] = config["conditions"][get_generator(wildcards)["condition"]]
    if "model" in needs:
        settings["trainer"] = config["trainers"][settings["trainer"]]
    return settings


def get_selection_inputs(wildcards):
    """What a selection reads: the scores of its feature models, and labels for per-class quotas."""
    root = f"results/{wildcards.dataset}/{wildcards.generator}"
    generated = f"results/generated/{wildcards.dataset}/{wildcards.generator}"
    selection = config["selections"][wildcards.selection]
    inputs = {"manifest": f"{generated}/manifest.csv"}
    for name in features_of(selection):
        inputs[f"scores_{name}"] = f"{root}/scores/{name}.csv"
    if any(step.get("per_class") for step in selection.get("steps", [selection])):
        inputs["labels"] = f"{generated}/labels.csv"
    return inputs


def get_mix_inputs(wildcards):
    """The real splits, and the synthetic images where the mix takes any."""
    owners = {split: whole(wildcards.dataset) for split in SPLITS} | {"train": wildcards.dataset}
    inputs = {
        f"{split}_{kind}": f"results/real/{owner}/{split}/{kind}.csv"
        for split, owner in owners.items()
        for kind in ("manifest", "labels")
    }
    if wildcards.generator != NONE:
        generated = f"results/generated/{wildcards.dataset}/{wildcards.generator}"
        root = f"results/{wildcards.dataset}/{wildcards.generator}"
        inputs["synthetic_manifest"] = f"{generated}/manifest.csv"
        inputs["synthetic_labels"] = f"{generated}/labels.csv"
        inputs["sources"] = f"{root}/sources.csv"
        inputs["selected"] = f"{root}/selected/{wildcards.selection}.csv"
    return inputs


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


def get_stock(wildcards):
    """The real training split that a subset is drawn from."""
    root = f"results/real/{whole(wildcards.dataset)}/train"
    return {kind: f"{root}/{kind}.csv" for kind in ("manifest", "labels")}


def study_dataset(wildcards):
    return config["studies"][wildcards.study]["dataset"]


def get_study_arms(wildcards):
    return [arm for arm in STUDY_ARMS if arm["study"] == wildcards.study]


def get_study_sets(wildcards):
    """The image sets of a study: dataset and generator of each."""
    sets = {(arm["dataset"], arm["generator"]) for arm in get_study_arms(wildcards)}
    return sorted(pair for pair in sets if pair[1] != NONE)


def get_study_models(wildcards):
    """The model of each entry of `features` that a study names."""
    names = config["studies"][wildcards.study]["features"]
    return {name: config["features"][name]["model"] for name in names}


def get_study_inputs(wildcards):
    """Of each arm its model's results and training set; of those with synthetic images features."""
    trained = get_study_arms(wildcards)
    inputs = {
        "models": [f"results/{ARM}/metrics.yaml".format(**arm) for arm in trained],
        "tests": [f"results/{ARM}/test.csv".format(**arm) for arm in trained],
        "mixes": [f"{MIX}/dataset.csv".format(**arm) for arm in trained],
    }
    owner = study_dataset(wildcards)
    inputs["labels"] = f"results/real/{owner}/test/labels.csv"
    sets = get_study_sets(wildcards)
    names = config["studies"][wildcards.study]["features"]
    for name in names:
        found = [f"results/real/{dataset}/train" for dataset, _ in sets]
        found += [f"results/generated/{dataset}/{generator}" for dataset, generator in sets]
        inputs[f"features_{name}"] = [f"{root}/features/{name}.npy" for root in found]
        inputs[f"rows_{name}"] = [f"{root}/features/{name}.csv" for root in found]
        inputs[f"scores_{name}"] = [
            f"results/{dataset}/{generator}/scores/{name}.csv" for dataset, generator in sets
        ]
    return inputs


def require_studies(wildcards):
    """The studies' reports; an error if there are none, where nothing else is asked for."""
    if not config["studies"]:
        raise WorkflowError(
            "This configuration has no `studies`. The embedded ones: "
            "snakemake --cores all study_all --configfile config/study.yaml"
        )
    return get_study_reports()
