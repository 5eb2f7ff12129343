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
