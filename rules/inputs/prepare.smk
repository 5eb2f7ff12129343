# What the rule of prepare.smk is given.


def get_prepare_settings(wildcards):
    """What to make; and the task, where its labels are other than the kind's own."""
    entry = get_entry("datasets", wildcards)
    task = {"task": entry["task"]} if entry["task"] in ("segmentation", "pose") else {}
    return entry["prepare"] | task
