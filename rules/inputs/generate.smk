# What the rules of generate.smk are given.


MODEL_SETTINGS = (
    "model",
    "model_revision",
    "controlnet",
    "controlnet_subfolder",
    "controlnet_revision",
    "scheduler",
)


def get_model_settings(wildcards):
    """Which models a generator takes; how it draws with them is not looked at by the check."""
    return {key: get_generator(wildcards)[key] for key in MODEL_SETTINGS}


def get_size(wildcards):
    return config["conditions"][get_generator(wildcards)["condition"]]["size"]


def get_shards(wildcards):
    shards = range(config["shards"])
    return expand(
        "results/{dataset}/{generator}/shards/{shard}.csv", shard=shards, **dict(wildcards.items())
    )
