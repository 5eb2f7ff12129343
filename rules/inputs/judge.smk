# What the rules of judge.smk are given.


def get_judge_arm(dataset, judge):
    """Which model reads labels: in a study the replicate's own, which knows no other picture."""
    arm = {key: judge[key] for key in ("mix", "trainer", "seed")}
    for other in STUDY_ARMS:
        if (other["dataset"], other["kind"]) == (dataset, "real"):
            arm |= {"mix": other["mix"], "seed": other["seed"]}
    return arm


def get_judge_inputs(wildcards):
    """What a judge reads: the images with their plan, and for labels these and its model."""
    root = f"results/{wildcards.dataset}/{wildcards.generator}"
    generated = f"results/generated/{wildcards.dataset}/{wildcards.generator}"
    inputs = {
        "plan": f"{root}/plan.csv",
        "manifest": f"{generated}/manifest.csv",
    }
    judge = get_entry("judges", wildcards)
    if judge["kind"] == "label_survival":
        inputs["labels"] = f"{generated}/labels.csv"
        inputs["model"] = f"results/{ARM}/trained.yaml".format(
            dataset=wildcards.dataset,
            generator=NONE,
            selection=NONE,
            **get_judge_arm(wildcards.dataset, judge),
        )
    return inputs


def get_judge_settings(wildcards):
    """A judge's settings, with those of what it judges by."""
    settings = dict(get_entry("judges", wildcards))
    if settings["kind"] == "condition_fidelity":
        settings["condition"] = config["conditions"][get_generator(wildcards)["condition"]]
    if settings["kind"] == "label_survival":
        settings["trainer"] = config["trainers"][settings["trainer"]]
    return settings
