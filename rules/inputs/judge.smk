# What the rules of judge.smk are given.


def get_judge_arm(dataset, judge):
    """Which model reads labels: in a study the replicate's own, which knows no other picture."""
    arm = {key: judge[key] for key in ("mix", "trainer", "seed")}
    for other in STUDY_ARMS:
        if (other["dataset"], other["kind"]) == (dataset, "real"):
            arm |= {"mix": other["mix"], "seed": other["seed"]}
    return arm


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


def get_judge_settings(wildcards):
    """A judge's settings, with those of what it judges by, and what the labels of a pose hold."""
    settings = dict(get_entry("judges", wildcards))
    needs = JUDGES[settings["kind"]].needs
    if "condition" in needs:
        settings["condition"] = config["conditions"][get_generator(wildcards)["condition"]]
    if "model" in needs:
        settings["trainer"] = config["trainers"][settings["trainer"]]
    dataset = get_entry("datasets", wildcards)
    if "labels" in needs and dataset["task"] == "pose":
        settings["kpt_shape"] = dataset["kpt_shape"]
    return settings
