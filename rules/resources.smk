# What jobs ask a cluster for: functions for `resources`. A repeated job asks for more.

from cia.catalog import CONDITIONS, FEATURES, JUDGES, TRAINERS, feature_of
from cia.runtime.gpus import COUNT
from cia.runtime.needs import (
    NARROW,
    array_rows,
    features_memory,
    generation_minutes,
    image_minutes,
    job_threads,
    statistics_memory,
    statistics_minutes,
    table_rows,
    training_minutes,
)

# Snakemake counts GPUs and gives none to a job. Where it counts, jobs choose (cia.runtime.gpus).
if "gpu" in workflow.global_resources:
    os.environ[COUNT] = str(workflow.global_resources["gpu"].value)


# Priorities. A model that can't be had is seen before all (rule check_models, 10).
FIRST = 2  # what shows mistakes in the data, before models are trained and images made
LONG = 1  # begun as early as can be, so that none is left over when the others are done
# Short, and no long job waits for it: it comes after others where not all find a core. No more than
# a hair below 0: the scheduler leaves a core empty rather than give it to a job of priority -1.
FILLS_GAPS = -1e-6


def get_network_batch():
    """Pictures per call of the networks that look at pictures."""
    return 32 if config["batch_size"] == "auto" else config["batch_size"]


def get_memory(megabytes):
    """So much memory, and as much again for each attempt."""
    return lambda wildcards, attempt: attempt * megabytes


def get_minutes(minutes):
    """So many minutes, and as many again for each attempt."""
    return lambda wildcards, attempt: attempt * minutes


def get_threads(count):
    """Cores by the size of the work: one for a job of seconds, two for one that is longer.

    count: of wildcards and input, how many pictures (or vectors of features) the job treats
    """

    def threads(wildcards, input):
        try:
            return job_threads(count(wildcards, input))
        except FileNotFoundError:
            return 1  # not made yet; Snakemake asks again before the job starts

    return threads


def get_scan_minutes(wildcards, input, attempt):
    return attempt * image_minutes("scan", scanned(wildcards, input))


def scanned(wildcards, input):
    """How many pictures a real split has."""
    for path in input:  # where a rule makes the pictures, there is nothing to count before it ran
        os.stat(path)
    return count_files(f"data/real/{wildcards.dataset}/{wildcards.split}/images")


@cache
def count_files(folder):
    """How many files a folder holds; counted once, as Snakemake asks several times for a job."""
    return len(os.listdir(folder)) if os.path.isdir(folder) else 0


def extraction_kind(condition):
    """What extracting this condition takes: a network's time and GPU, or canny's."""
    return "network" if CONDITIONS[condition["extractor"]].gpu else "light"


def get_condition_gpu(wildcards):
    return int(extraction_kind(get_entry("conditions", wildcards)) == "network")


def get_condition_minutes(wildcards, input, attempt):
    kind = extraction_kind(get_entry("conditions", wildcards))
    return attempt * image_minutes(kind, extracted(wildcards, input))


def extracted(wildcards, input):
    """How many pictures conditions are extracted from."""
    return table_rows(input[0])


def get_vary_minutes(wildcards, input, attempt):
    return attempt * image_minutes("vary", varied(wildcards, input))


def varied(wildcards, input):
    """How many condition maps a variation makes."""
    return table_rows(input.conditions) * get_generator(wildcards)["variants"]


def get_gallery_minutes(wildcards, input, attempt):
    return attempt * image_minutes("gallery", shown(wildcards, input))


def shown(wildcards, input):
    """How many images a gallery shows."""
    return sum(map(table_rows, input.manifest))


def judgement_kind(wildcards):
    """What judging takes: a network's time and GPU, or what extracting the condition again does."""
    settings = get_judge_settings(wildcards)
    judge = JUDGES[settings["kind"]]
    if "condition" in judge.needs and not judge.gpu:
        return extraction_kind(settings["condition"])
    return "network" if judge.gpu else "light"


def get_judge_gpu(wildcards):
    return int(judgement_kind(wildcards) == "network")


def get_judge_minutes(wildcards, input, attempt):
    return attempt * image_minutes(judgement_kind(wildcards), shard_rows(input.plan))


def shard_rows(plan):
    """About how many of a plan's images are in one shard."""
    return table_rows(plan) // config["shards"] + 1


def get_generation_minutes(wildcards, input, attempt):
    steps = get_generator(wildcards)["steps"]
    return attempt * generation_minutes(shard_rows(input.plan), steps, get_size(wildcards))


def get_features_gpu(wildcards):
    return int(FEATURES[feature_of(get_entry("features", wildcards)["model"])[0]].gpu)


def get_features_memory(wildcards, input, attempt):
    return attempt * features_memory(described(wildcards, input))


def get_features_minutes(wildcards, input, attempt):
    return attempt * image_minutes("features", described(wildcards, input))


def described(wildcards, input):
    """How many pictures, or labelled objects, features are of."""
    objects = table_rows(input.labels, NARROW) if "labels" in input.keys() else 0
    return max(table_rows(input.manifest), objects)


def get_statistics_memory(wildcards, input, attempt):
    arrays = [path for path in input if path.endswith(".npy")]
    return attempt * statistics_memory(*arrays)


def get_statistics_minutes(wildcards, input, attempt):
    kinds = [end for end in ("", "_objects") if f"real{end}" in input.keys()]
    pairs = [
        array_rows(input[f"real{end}"]) * array_rows(input[f"synthetic{end}"]) for end in kinds
    ]
    return attempt * statistics_minutes(sum(pairs))


def compared(wildcards, input):
    """How many images, real and synthetic, metrics and scores are about."""
    return array_rows(input.real) + array_rows(input.synthetic)


def get_mix_minutes(wildcards, input, attempt):
    manifests = [path for path in input if path.endswith("manifest.csv")]
    return attempt * image_minutes("mix", sum(map(table_rows, manifests)))


def get_test_minutes(wildcards, input, attempt):
    return attempt * image_minutes("features", table_rows(input.dataset, NARROW))


def get_training_gpu(wildcards):
    return int(TRAINERS[get_entry("trainers", wildcards)["kind"]].gpu)


def get_training_minutes(wildcards, input, attempt):
    images = table_rows(input.dataset, NARROW)
    minutes = training_minutes(images, get_entry("trainers", wildcards))
    return attempt * minutes + get_test_minutes(wildcards, input, attempt)  # it tests, too
