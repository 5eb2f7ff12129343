"""Train a model on one training set with one seed."""

import os

from cia.jobs import run
from cia.made import record


def main(job):
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # makes training on a GPU repeatable
    from cia.training import train, training_of  # torch reads the number of threads when imported

    training = training_of(job)
    weights = train(training)
    record(training.output, names=[weights.name])


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
