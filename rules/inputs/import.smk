# What the rule of import.smk is given.

from cia.config.sources import source_fingerprint


def get_split(wildcards):
    return get_entry("datasets", wildcards).get("split")


def get_split_seed(wildcards):
    """The configured seed, where it decides splits."""
    return config["seed"] if get_split(wildcards) else None


def get_source_fingerprint(wildcards):
    """A digest of the source's files: Snakemake sees no edit in a folder, nor what a file names."""
    return source_fingerprint(get_entry("datasets", wildcards)["source"])
