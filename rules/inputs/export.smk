# What the rules of export.smk are given.


EXPORT = "data/exported/{dataset}/{generator}/{selection}/{mix}/{format}"
EXPORTED_SET = f"data/exported/{GENERATED}/{{format}}"
COPIES = config["copy"] in (True, "true")  # a word, where the command line says it


def get_exports():
    """Every export that an experiment asks for."""
    return [
        f"{EXPORT if 'mix' in entry else EXPORTED_SET}/export.yaml".format(**entry)
        for entry in exports(config)
    ]


def get_export_inputs(wildcards):
    """A training set, and what is known of its pictures."""
    owners = {split: whole(wildcards.dataset) for split in SPLITS} | {"train": wildcards.dataset}
    inputs = {
        f"{split}_manifest": f"results/real/{owner}/{split}/manifest.csv"
        for split, owner in owners.items()
    }
    return inputs | (get_set_inputs(wildcards) if wildcards.generator != NONE else {})


def get_set_inputs(wildcards):
    """What is known of the images of a set: sizes, prompts, the real pictures behind them, scores."""
    names = {"dataset": wildcards.dataset, "generator": wildcards.generator}
    root = "results/{dataset}/{generator}".format(**names)
    features = get_scored_features(wildcards)
    return {
        "synthetic_manifest": f"results/{GENERATED}/manifest.csv".format(**names),
        "sources": f"{root}/sources.csv",
        "scores": [f"{root}/scores/{name}.csv" for name in features],
    }


def get_scored_features(wildcards):
    """The feature models whose scores are exported; those of the real images alone have none."""
    if wildcards.generator == NONE:
        return []
    return get_gallery_features(get_set(wildcards))


def get_shape(wildcards):
    """What a pose dataset says of its keypoints; of no other task anything is known."""
    entry = get_entry("datasets", wildcards)
    keys = ("kpt_shape", "flip_idx", "skeleton", "keypoints")
    return {key: entry[key] for key in keys if entry["task"] == "pose" and entry.get(key)}
