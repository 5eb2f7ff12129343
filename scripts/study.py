"""Say whether synthetic images helped, how sure that is, and how many real ones they are worth."""

import numpy as np

from cia.errors import UserError
from cia.evidence.resampling import draw_images
from cia.evidence.results import METRIC, TestImages, read_run, read_truth
from cia.evidence.summary import Arm, summarize_study
from cia.files import write_yaml
from cia.progress import track
from cia.runtime.jobs import run
from cia.shares import count_of_ratio


def main(job):
    images, truth = read_truth(job.input.mixes[0], job.input.labels)
    test = TestImages(images, truth, draw_images(len(images), seed=job.params.seed))
    runs = {}
    arms = list(
        zip(job.params.arms, job.input.models, job.input.tests, job.input.mixes, strict=True)
    )
    for arm, model, tested, mix in track(arms, len(arms), "trainings"):
        paths = {"model": model, "test": tested, "mix": mix}
        found = read_run(
            job.params.task, paths, arm["real"], test, features_of(job, arm), job.params.seed
        )
        runs.setdefault(arm["name"], []).append((arm, found))
    joined = [join(seeds) for seeds in runs.values()]
    steps = sorted({found.steps for seeds in runs.values() for _, found in seeds})
    if len(steps) > 1:
        raise UserError(
            f"studies.{job.wildcards.study}: arms were trained for {steps} optimizer steps; they "
            "can be compared after as many only"
        )
    study = {
        "study": job.wildcards.study,
        "settings": job.params.settings,
        "steps": steps[0],
        **summarize_study(joined, len(images), METRIC[job.params.task]),
    }
    write_yaml(job.output.study, study)


def features_of(job, arm):
    """What describes the synthetic images of an arm, by entry of the config's `features`."""
    key = (arm["dataset"], arm["generator"])
    sets = [tuple(entry) for entry in job.params.sets]
    if key not in sets:
        return {}
    place, count = sets.index(key), len(sets)
    return {
        name: {
            "model": model,
            "real": job.input[f"features_{name}"][place],
            "real_rows": job.input[f"rows_{name}"][place],
            "synthetic": job.input[f"features_{name}"][count + place],
            "synthetic_rows": job.input[f"rows_{name}"][count + place],
            "scores": job.input[f"scores_{name}"][place],
        }
        for name, model in job.params.models.items()
    }


def join(seeds):
    """One arm from its runs with each seed. `all` is all that there are, however few."""
    arm, runs = seeds[0][0], [found for _, found in seeds]
    names = set.intersection(*(set(found.metrics) for found in runs))
    asked = count_of_ratio(arm["ratio"], arm["real"])
    few = [
        f"{found.added} of {asked} images with seed {run['seed']}"
        for run, found in seeds
        if found.added < asked and arm["kind"] != "all"
    ]
    return Arm(
        name=arm["name"],
        kind=arm["kind"],
        n_real=arm["real"],
        n_added=min(found.added for found in runs),
        short="; ".join(few),
        ratio=arm["ratio"],
        against=arm["against"],
        scores=np.array([found.score for found in runs]),
        resampled=np.stack([found.resampled for found in runs]),
        val=np.array([found.val for found in runs]),
        metrics={
            name: float(np.mean([found.metrics[name] for found in runs])) for name in sorted(names)
        },
    )


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
