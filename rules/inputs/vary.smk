# What the rules of vary.smk are given.


def get_condition_manifest(wildcards):
    condition = get_generator(wildcards)["condition"]
    return f"data/conditions/{wildcards.dataset}/{condition}/manifest.csv"


def get_extractor(wildcards):
    return config["conditions"][get_generator(wildcards)["condition"]]["extractor"]


def has_objects(wildcards):
    """Whether labels say where objects are, so that they move with a map."""
    return get_dataset("task")(wildcards) != "classification"


def get_vary_settings(wildcards):
    """How to vary the maps; and what the labels are, where they are more than boxes."""
    entry = get_entry("datasets", wildcards)
    keys = {"segmentation": ("task",), "pose": ("task", "kpt_shape", "flip_idx")}
    form = {key: entry.get(key) for key in keys.get(entry["task"], ())}
    settings = config["variations"][get_generator(wildcards)["variation"]]
    return settings | ({"labels": form} if form else {})


def get_vary_inputs(wildcards):
    """The maps to vary; and the labels to move, which a classification has none of."""
    inputs = {"conditions": get_condition_manifest(wildcards)}
    if has_objects(wildcards):
        inputs["labels"] = f"results/real/{wildcards.dataset}/train/labels.csv"
    return inputs
