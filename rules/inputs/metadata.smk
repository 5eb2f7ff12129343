# What the rules of metadata.smk are given.


def get_generation(wildcards):
    """All settings that a set of synthetic images was made with."""
    tables = {"condition": "conditions", "variation": "variations", "prompts": "prompts"}
    settings = {
        key: config[tables[key]][value] if key in tables and value else value
        for key, value in set_only(get_generator(wildcards)).items()
        if value or key != "variation"
    }
    return {**settings, "seed": config["seed"]}


def get_picked_inputs(wildcards):
    """Files of verdicts by hand that selections of a set read, and the images that these are about."""
    selections = [config["selections"][name] for name in get_set(wildcards)["selections"]]
    if files := sum(map(picked_files, selections), []):
        manifest = f"results/{GENERATED}/manifest.csv".format(**wildcards)
        return {"picked": [ancient(file) for file in files], "manifest": manifest}
    return {}
