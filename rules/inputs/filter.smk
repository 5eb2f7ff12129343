# What the rules of filter.smk are given.


def get_selection_inputs(wildcards):
    """What a selection reads: the scores of its feature models, and labels for per-class quotas, or verdicts."""
    root = f"results/{wildcards.dataset}/{wildcards.generator}"
    generated = f"results/generated/{wildcards.dataset}/{wildcards.generator}"
    selection = config["selections"][wildcards.selection]
    inputs = {"manifest": f"{generated}/manifest.csv"}
    for name in selection_features(selection):
        inputs[f"scores_{name}"] = f"{root}/scores/{name}.csv"
    if any(step.get("per_class") for step in selection.get("steps", [selection])):
        inputs["labels"] = f"{generated}/labels.csv"
    if picked := picked_files(selection):
        inputs["picked"] = [ancient(file) for file in picked]  # its content is in the version
    return inputs


def get_filter_version(wildcards):
    """The version of a selection; with verdicts by hand it says what they are, whenever they were saved."""
    picked = picked_files(get_entry("selections", wildcards))
    return f"{STAGE['filter']}.{model_fingerprint(*picked)}" if picked else STAGE["filter"]
