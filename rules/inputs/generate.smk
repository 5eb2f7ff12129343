# What the rules of generate.smk are given.


MODEL_SETTINGS = (
    "model",
    "model_revision",
    "controlnet",
    "controlnet_subfolder",
    "controlnet_revision",
    "scheduler",
    "lora",
    "few_steps",
)


def get_model_settings(wildcards):
    """Which models a generator takes; how it draws with them is not looked at by the check."""
    settings = set_only(get_generator(wildcards))
    few = ("guidance_scale",) if "few_steps" in settings else ()
    return {key: settings[key] for key in MODEL_SETTINGS + few if key in settings}


def get_drawing_settings(wildcards):
    """All settings that images depend on, beside their plan."""
    others = ("condition", "variation", "prompts", "variants")
    settings = set_only(get_generator(wildcards))
    return {key: value for key, value in settings.items() if key not in others}


def get_size(wildcards):
    return config["conditions"][get_generator(wildcards)["condition"]]["size"]


def get_shards(wildcards):
    shards = range(config["shards"])
    return expand(
        "results/{dataset}/{generator}/shards/{shard}.csv", shard=shards, **dict(wildcards.items())
    )
