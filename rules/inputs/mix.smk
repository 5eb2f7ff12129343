# What the rules of mix.smk are given.


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
    return inputs | get_checked_duplicates(whole(wildcards.dataset))


def get_mix_settings(wildcards):
    """A mix's settings; for a pose dataset what its labels hold, too."""
    settings = get_settings("mixes")(wildcards)
    entry = get_entry("datasets", wildcards)
    keys = ("kpt_shape", "flip_idx") if entry["task"] == "pose" else ()
    form = {key: entry[key] for key in keys if key in entry}
    return settings | ({"labels": form} if form else {})


def get_mix_version(wildcards):
    """The version of a training set; other ways to augment make only those sets anew that have them."""
    if get_entry("mixes", wildcards).get("classical"):
        return f"{STAGE['mix']}.{STAGE['classical']}"
    return STAGE["mix"]
