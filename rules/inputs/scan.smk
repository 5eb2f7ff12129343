# What the rules of scan.smk are given.


def get_prepared(wildcards):
    """What a split waits for before it is read: its own preparation, if a rule makes it."""
    folder = Path("data/real", wildcards.dataset, wildcards.split)
    for key, made in (("prepare", "prepared.csv"), ("source", "imported.csv")):
        if key in config["datasets"][wildcards.dataset]:
            return str(folder / made)
    for kind in ("images", "labels"):  # captions are optional; this is said by a dry run, too
        if not (folder / kind).is_dir():
            raise WorkflowError(
                f"{folder / kind} does not exist in {os.getcwd()}. Put the {wildcards.split} {kind} "
                f"of dataset {wildcards.dataset!r} there, or correct the name under datasets in the config."
            )
    return []


def get_refused(wildcards):
    """What an import could not use of a split; nothing of one that is not imported."""
    is_imported = "source" in config["datasets"][wildcards.dataset]
    return f"data/{REAL}/refused.csv".format(**wildcards) if is_imported else []
