# What the rules of look.smk are given.

from cia.config.experiments import used_config


def get_looks():
    """The page of each dataset that the config uses."""
    used = {whole(name) for name in used_config(config)["datasets"]}
    return [f"results/look/{name}/look.html" for name in WHOLE if name in used]


def get_import_tables(wildcards):
    """What an import says that it could not use; nothing of a dataset that is not imported."""
    if "source" not in get_entry("datasets", wildcards):
        return {}
    refused = expand("data/real/{dataset}/{split}/refused.csv", split=SPLITS, **wildcards)
    return {"refused": refused, "imported": f"results/real/{wildcards.dataset}/imported.yaml"}


def get_all_fingerprint(wildcards):
    """A digest of all folders of a dataset, since Snakemake sees no edit inside one."""
    return folder_fingerprint(
        *expand(
            "data/real/{dataset}/{split}/{kind}",
            split=SPLITS,
            kind=("images", "labels", "captions"),
            **wildcards,
        )
    )
