# What the rules of metrics.smk are given.


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
    if get_entry("datasets", wildcards)["task"] != "classification":
        ends |= {"_objects": ".objects.npy", "_objects_rows": ".objects.csv"}
    for kind, source in get_pair(wildcards).items():
        for key, end in ends.items():
            inputs[f"{kind}{key}"] = f"results/{source}/features/{wildcards.features}{end}"
    return inputs


def scores_per_class(wildcards):
    """Whether distances within the class are asked for, and images have one class."""
    task = get_entry("datasets", wildcards)["task"]
    return config["scores"]["per_class"] and task == "classification"


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
