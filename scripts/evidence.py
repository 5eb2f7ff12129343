"""Say whether synthetic images helped, how sure that is, and how many real ones they are worth."""

from cia.catalog import MAIN_METRIC
from cia.config.references import NONE
from cia.config.studies import set_key, training_key
from cia.evidence.arms import join_seeds
from cia.evidence.resampling import draw_images
from cia.evidence.results import TestImages, read_arm, read_truth
from cia.evidence.summary import summarize_study
from cia.files import write_yaml
from cia.progress import track
from cia.reporting.verdict import verdict
from cia.runtime.jobs import run


def main(job):
    trainings, task, seed = job.params.arms, job.params.task, job.params.seed
    images, truth = read_truth(training_files(job, trainings[0])["mix"], job.input.labels)
    test = TestImages(images, truth, draw_images(len(images), seed=seed))
    seeds = {}
    for arm in track(trainings, len(trainings), "trainings"):
        files = training_files(job, arm)
        found = read_arm(task, arm, files, set_files(job, arm), test, seed)
        seeds.setdefault(arm["name"], []).append(found)
    arms = [join_seeds(found) for found in seeds.values()]
    summary = summarize_study(arms, len(images), MAIN_METRIC[task])
    study = {"study": job.wildcards.study, "settings": job.params.settings, **summary}
    write_yaml(job.output.study, study | {"verdict": verdict(study)})


def training_files(job, arm):
    """What one training of an arm left behind, and the training set that it saw."""
    return {name: job.input[training_key(name, arm)] for name in ("metrics", "test", "mix")}


def set_files(job, arm):
    """Features and scores of an arm's synthetic images, by entry of the config's `features`."""
    if arm["generator"] == NONE:
        return {}
    names = ("real", "real_rows", "synthetic", "synthetic_rows", "scores")
    return {
        features: {
            "model": model,
            **{name: job.input[set_key(name, arm, features)] for name in names},
        }
        for features, model in job.params.models.items()
    }


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
