# What jobs ask a cluster for: functions for `resources`. A repeated job asks for more.

from cia.gpus import COUNT
from cia.needs import (
    NETWORK_EXTRACTORS,
    features_memory,
    generation_minutes,
    image_minutes,
    statistics_memory,
    table_rows,
    training_minutes,
)

# Snakemake counts GPUs and gives none to a job. Where it counts, jobs choose (cia.gpus).
if "gpu" in workflow.global_resources:
    os.environ[COUNT] = str(workflow.global_resources["gpu"].value)


def get_memory(megabytes):
    """So much memory, and as much again for each attempt."""
    return lambda wildcards, attempt: attempt * megabytes


def get_minutes(minutes):
    """So much time, and as much again for each attempt."""
    return lambda wildcards, attempt: attempt * minutes


def get_scan_minutes(wildcards, input, attempt):
    for path in input:  # where a rule makes the pictures, there is nothing to count before it ran
        os.stat(path)
    folder = f"data/real/{wildcards.dataset}/{wildcards.split}/images"
    pictures = len(os.listdir(folder)) if os.path.isdir(folder) else 0
    return attempt * image_minutes("scan", pictures)


def get_condition_kind(wildcards):
    extractor = get_entry("conditions", wildcards)["extractor"]
    return "network" if extractor in NETWORK_EXTRACTORS else "canny"


def get_condition_gpu(wildcards):
    return int(get_condition_kind(wildcards) == "network")


def get_condition_minutes(wildcards, input, attempt):
    kind = get_condition_kind(wildcards)
    return attempt * image_minutes(kind, table_rows(input[0]))


def get_generation_minutes(wildcards, input, attempt):
    controlnet = get_controlnet(wildcards)
    size = config["conditions"][controlnet["condition"]]["size"]
    images = table_rows(input.plan) // config["shards"] + 1
    return attempt * generation_minutes(images, controlnet["steps"], size)


def get_features_memory(wildcards, input, attempt):
    return attempt * features_memory(table_rows(input.manifest))


def get_features_minutes(wildcards, input, attempt):
    return attempt * image_minutes("features", table_rows(input.manifest))


def get_statistics_memory(wildcards, input, attempt):
    return attempt * statistics_memory(input.real, input.synthetic)


def get_mix_minutes(wildcards, input, attempt):
    manifests = [path for path in input if path.endswith("manifest.csv")]
    return attempt * image_minutes("mix", sum(map(table_rows, manifests)))


def get_training_minutes(wildcards, input, attempt):
    images = 3 * table_rows(input.dataset)  # its rows are short
    return attempt * training_minutes(images, get_entry("trainers", wildcards))
