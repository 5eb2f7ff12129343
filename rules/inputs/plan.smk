# What the rules of plan.smk are given.


from cia.config.experiments import uses_objects


def get_maps(wildcards):
    """The manifest of the maps to generate from: extracted ones, or each variant's own."""
    if get_generator(wildcards)["variation"]:
        return f"{VARIED}/manifest.csv".format(**dict(wildcards.items()))
    return get_condition_manifest(wildcards)


def get_labels(wildcards):
    """The labels of synthetic images: those of varied maps, or of real pictures."""
    if get_generator(wildcards)["variation"] and has_objects(wildcards):
        return {"varied": f"data/varied/{wildcards.dataset}/{wildcards.generator}/labels.csv"}
    return {"real": f"results/real/{wildcards.dataset}/train/labels.csv"}


def get_prompts(wildcards):
    return config["prompts"][get_generator(wildcards)["prompts"]]


def get_prompt_classes(wildcards):
    """The class names, where prompts name objects."""
    named = uses_objects(get_prompts(wildcards))
    return get_dataset("classes")(wildcards) if named else None


def get_plan_inputs(wildcards):
    """Captions and maps; the real ancestors of varied maps; labels, where prompts name objects."""
    inputs = {
        "manifest": f"results/real/{wildcards.dataset}/train/manifest.csv",
        "conditions": get_maps(wildcards),
    }
    if get_generator(wildcards)["variation"]:
        inputs["sources"] = f"data/varied/{wildcards.dataset}/{wildcards.generator}/sources.csv"
    return inputs | (get_labels(wildcards) if uses_objects(get_prompts(wildcards)) else {})
