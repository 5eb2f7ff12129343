"""Train a model on one training set with one seed."""

import os

from cia.jobs import run


def main(job):
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # makes training on a GPU repeatable
    from cia.training import train, training_of  # torch reads the number of threads when imported

    train(training_of(job))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
