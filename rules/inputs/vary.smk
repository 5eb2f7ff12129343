# What the rules of vary.smk are given.


def get_condition_manifest(wildcards):
    condition = get_generator(wildcards)["condition"]
    return f"data/conditions/{wildcards.dataset}/{condition}/manifest.csv"


def get_extractor(wildcards):
    return config["conditions"][get_generator(wildcards)["condition"]]["extractor"]


def is_detection(wildcards):
    return get_dataset("task")(wildcards) == "detection"


def get_vary_inputs(wildcards):
    """The maps to vary; and the boxes to move, which a classification has none of."""
    inputs = {"conditions": get_condition_manifest(wildcards)}
    if is_detection(wildcards):
        inputs["labels"] = f"results/real/{wildcards.dataset}/train/labels.csv"
    return inputs
