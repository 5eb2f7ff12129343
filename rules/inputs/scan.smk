# What the rules of scan.smk are given.


def get_prepared(wildcards):
    """What a split waits for before it is read: its own preparation, if a rule makes it."""
    folder = Path("data/real", wildcards.dataset, wildcards.split)
    if "prepare" in config["datasets"][wildcards.dataset]:
        return str(folder / "prepared.csv")
    if not (folder / "images").is_dir():  # said by a dry run, too
        raise WorkflowError(
            f"{folder / 'images'} does not exist in {os.getcwd()}. Put the {wildcards.split} pictures "
            f"of dataset {wildcards.dataset!r} there, or mend the name under datasets in the config."
        )
    return []
