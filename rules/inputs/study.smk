# What the rules of study.smk are given.

from cia.config.studies import set_key, training_key


def get_stock(wildcards):
    """The real training split that a subset is drawn from."""
    root = f"results/real/{whole(wildcards.dataset)}/train"
    return {kind: f"{root}/{kind}.csv" for kind in ("manifest", "labels")}


def study_dataset(wildcards):
    return config["studies"][wildcards.study]["dataset"]


def get_study_arms(wildcards):
    return [arm for arm in STUDY_ARMS if arm["study"] == wildcards.study]


def get_study_models(wildcards):
    """The model of each entry of `features` that a study names."""
    names = config["studies"][wildcards.study]["features"]
    return {name: config["features"][name]["model"] for name in names}


# What rule `evidence` reads of each training, and of each image set by each feature model.
TRAINING_FILES = {
    "metrics": f"results/{ARM}/metrics.yaml",
    "test": f"results/{ARM}/test.csv",
    "mix": f"{MIX}/dataset.csv",
}
SET_FILES = {
    "real": "results/real/{dataset}/train/features/{features}.npy",
    "real_rows": "results/real/{dataset}/train/features/{features}.csv",
    "synthetic": f"results/{GENERATED}/features/{{features}}.npy",
    "synthetic_rows": f"results/{GENERATED}/features/{{features}}.csv",
    "scores": "results/{dataset}/{generator}/scores/{features}.csv",
}


def get_evidence_inputs(wildcards):
    """Of each training its results and training set, of each image set its features and scores.

    Each file has a name of its own, made of what it is and of the training or image set.
    """
    inputs = {"labels": f"results/real/{study_dataset(wildcards)}/test/labels.csv"}
    features = config["studies"][wildcards.study]["features"]
    for arm in get_study_arms(wildcards):
        for name, path in TRAINING_FILES.items():
            inputs[training_key(name, arm)] = path.format(**arm)
        if arm["generator"] == NONE:
            continue
        for entry in features:
            for name, path in SET_FILES.items():
                inputs[set_key(name, arm, entry)] = path.format(features=entry, **arm)
    return inputs
