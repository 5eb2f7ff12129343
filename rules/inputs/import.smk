# What the rule of import.smk is given.

from cia.config.sources import source_fingerprint
from cia.importing.choices import near_duplicates_setting


def get_split(wildcards):
    return get_entry("datasets", wildcards).get("split")


def get_split_seed(wildcards):
    """The configured seed, where it decides splits."""
    return config["seed"] if get_split(wildcards) else None


def get_source_fingerprint(wildcards):
    """A digest of the source's files: Snakemake sees no edit in a folder, nor what a file names."""
    return source_fingerprint(get_entry("datasets", wildcards)["source"])


def get_together(wildcards):
    """Whether near-duplicates get one split: their pictures are then opened."""
    return near_duplicates_setting(get_entry("datasets", wildcards)) == "together"


def get_import_threads(wildcards):
    return 2 if get_together(wildcards) else 1
