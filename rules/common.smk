# Access to the config, wildcard constraints and input functions. No rule here, nothing heavy.

import os
import re
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from cia.catalog import EXPORTS, FEATURES, JUDGES, feature_of
from cia.config.checks import ready, refuse_repeated_keys
from cia.config.experiments import TABLES, arms, exports, generated_sets, used_config
from cia.config.few_steps import unguided_negatives
from cia.errors import UserError
from cia.files import folder_fingerprint, model_fingerprint
from cia.config.model_names import lora_path
from cia.config.references import NONE, selection_features
from cia.config.studies import study_arms, study_sets
from cia.picking import picked_files
from cia.versions import STAGE
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

try:
    for path in workflow.configfiles:
        refuse_repeated_keys(path)
    config = ready(config, in_a_run=not workflow.is_main_process)
except UserError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    for line in unguided_negatives(used_config(config)):
        logger.warning(line)

ARMS = arms(config)
STUDY_ARMS = study_arms(config)
REPORTED = generated_sets(config)
SETS = REPORTED + study_sets(config)
SUBSETS = [name for name, entry in config["datasets"].items() if "subset" in entry]
WHOLE = [name for name in config["datasets"] if name not in SUBSETS]
SPLITS = ("train", "val", "test")


def one_of(names):
    """A wildcard pattern that matches these names and nothing else (and nothing, if there are none)."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset=one_of(config["datasets"]),
    split=one_of(SPLITS),
    condition=one_of(config["conditions"]),
    generator=one_of([*config["generators"], NONE]),
    features=one_of(config["features"]),
    judge=one_of(config["judges"]),
    selection=one_of([*config["selections"], NONE]),
    mix=one_of(config["mixes"]),
    trainer=one_of(config["trainers"]),
    study=one_of(config["studies"]),
    format=one_of(EXPORTS),
    shard=r"\d+",
    seed=r"\d+",
    source=r"(real|generated)/[^/]+/[^/]+",


REAL = "real/{dataset}/{split}"
GENERATED = "generated/{dataset}/{generator}"
ARM = "{dataset}/{generator}/models/{selection}/{mix}/{trainer}/seed{seed}"
VARIED = "data/varied/{dataset}/{generator}"
MIX = "data/mixed/{dataset}/{generator}/{selection}/{mix}"


WILDCARDS = {table: table.removesuffix("s") for table in TABLES} | {
    "features": "features",
    "mixes": "mix",
}


def get_entry(table, wildcards):
    """The entry of a table of named settings that a wildcard names."""
    return config[table][getattr(wildcards, WILDCARDS[table])]


def get_settings(table, *without):
    """Settings of the entry that a wildcard names, less the keys that its rule does not use."""

    def settings(wildcards):
        entry = get_entry(table, wildcards)
        return {key: value for key, value in entry.items() if key not in without}

    return settings


@cache
def model_digest(*paths):
    """A digest of local model files, taken once: every shard of a set asks for the same one."""
    return model_fingerprint(*paths)


MODEL_KEYS = ("model", "controlnet", "weights")


def model_files(entry):
    """A digest of the local model files that an entry of a table names."""
    return model_digest(*map(entry.get, MODEL_KEYS), *map(lora_path, entry.get("lora", ())))


def get_model_files(table):
    """The same of the entry that the wildcard names, so that changed files are seen."""
    return lambda wildcards: model_files(get_entry(table, wildcards))


def get_feature_files(wildcards):
    return feature_files(get_entry("features", wildcards))


def feature_files(entry):
    """A digest of the local files of a feature model."""
    embedded = FEATURES[feature_of(entry["model"])[0]].embedded
    return model_fingerprint(entry["weights"] or (embedded and Path(workflow.basedir) / embedded))


def get_dataset(key):
    """A setting of the dataset that the wildcard names."""
    return lambda wildcards: get_entry("datasets", wildcards)[key]


def get_task_of_source(wildcards):
    """The task of an image set's dataset: real/DATASET/SPLIT or generated/DATASET/GENERATOR."""
    return config["datasets"][Path(wildcards.source).parts[1]]["task"]


def keypoints_of(dataset):
    """What a pose's labels hold: kpt_shape, and skeleton for drawing; nothing for other tasks."""
    entry = config["datasets"][dataset]
    keys = ("kpt_shape", "skeleton") if entry["task"] == "pose" else ()
    return {key: entry.get(key) for key in keys}


def get_keypoints(wildcards):
    return keypoints_of(wildcards.dataset)


def get_generator(wildcards):
    return get_entry("generators", wildcards)


def set_only(generator):
    """A generator without the settings that came later and are not used: they would rerun its rules."""
    return {
        key: value for key, value in generator.items() if value or key not in ("lora", "few_steps")
    }


def whole(dataset):
    """The dataset that a subset is drawn from, whose val and test it shares; others are their own."""
    return config["datasets"][dataset].get("subset", {}).get("dataset", dataset)


def get_fingerprint(*kinds):
    """A digest of a real split's folders, since Snakemake sees no edit inside an input folder."""
    return lambda wildcards: folder_fingerprint(
        *(f"data/real/{wildcards.dataset}/{wildcards.split}/{kind}" for kind in kinds)
    )


def get_models():
    return [f"results/{ARM}/metrics.yaml".format(**arm) for arm in ARMS]


def get_mixes():
    return sorted({f"{MIX}/dataset.csv".format(**arm) for arm in ARMS})


def get_sets(pattern):
    return [pattern.format(**entry) for entry in SETS]


def get_reported_sets(pattern):
    """One path per image set of the experiments; those of studies are in the studies' own report."""
    return [pattern.format(**entry) for entry in REPORTED]


def get_metadata():
    return get_reported_sets("data/generated/{dataset}/{generator}/metadata.yaml")


def get_studies():
    return [f"results/studies/{study}/study.md" for study in config["studies"]]


def get_study_reports():
    """Every file that a study shows its results in."""
    names = ["study.md", "study.html", "arms.csv"]
    names += [f"{kind}.png" for kind in ("differences", "learning_curve", "ratios", "correlations")]
    return expand("results/studies/{study}/{name}", study=config["studies"], name=names)


def require_studies(wildcards):
    """The studies' reports; an error if there are none, where nothing else is asked for."""
    if not config["studies"]:
        raise WorkflowError(
            "This configuration has no `studies`. The embedded ones: "
            "snakemake --cores all study_all --configfile config/study.yaml"
        )
    return get_study_reports()


def get_set(wildcards):
    """The image set that the wildcards name: its feature models and selections."""
    for entry in SETS:
        if (entry["dataset"], entry["generator"]) == (wildcards.dataset, wildcards.generator):
            return entry
    raise WorkflowError(
        f"No experiment uses generator {wildcards.generator!r} on dataset {wildcards.dataset!r}."
    )


def get_of_set(kind, pattern):
    """One path per feature model or selection of the set that the wildcards name."""
    return lambda wildcards: [
        pattern.format(dataset=wildcards.dataset, generator=wildcards.generator, name=name)
        for name in get_set(wildcards)[kind]
    ]
