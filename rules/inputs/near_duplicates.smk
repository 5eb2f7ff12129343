# What the rules of near_duplicates.smk are given.

from cia.importing.choices import near_duplicates_setting


def get_all_prepared(wildcards):
    """What the pictures of all splits wait for: their preparation, if a rule makes them."""
    entry = get_entry("datasets", wildcards)
    made = {"prepare": "prepared.csv", "source": "imported.csv"}
    names = [name for key, name in made.items() if key in entry]
    return expand("data/real/{dataset}/{split}/{name}", split=SPLITS, name=names, **wildcards)


def get_pictures_fingerprint(wildcards):
    """A digest of the pictures' folders, since Snakemake sees no edit inside one."""
    return folder_fingerprint(*(f"data/real/{wildcards.dataset}/{name}/images" for name in SPLITS))


def get_near_duplicates_setting(wildcards):
    return near_duplicates_setting(get_entry("datasets", wildcards))


def get_near_duplicates_minutes(wildcards, input, attempt):
    return attempt * image_minutes("scan", compared_pictures(wildcards, input))


def compared_pictures(wildcards, input):
    """How many pictures a dataset has."""
    for path in input:  # where a rule makes the pictures, there is nothing to count before it ran
        os.stat(path)
    return sum(count_files(f"data/real/{wildcards.dataset}/{name}/images") for name in SPLITS)


def get_checked_duplicates(dataset):
    """What says that a dataset's near-duplicates are no reason to stop, unless they are ignored."""
    if near_duplicates_setting(config["datasets"][dataset]) == "ignore":
        return {}
    return {"near_duplicates": ancient(f"results/real/{dataset}/near_duplicates.yaml")}
