# What the rules of study.smk are given.


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
