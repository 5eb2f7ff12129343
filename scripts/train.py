"""Train a model on one training set with one seed."""

import os

from cia.runtime.jobs import run
from cia.runtime.made import record


def main(job):
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # makes training on a GPU repeatable
    from cia.training.trainings import (  # torch reads the number of threads when imported
        train,
        training_of,
    )

    training = training_of(job)
    weights = train(training)
    record(training.output, names=[weights.name])


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
