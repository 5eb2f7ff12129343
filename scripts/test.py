"""Test the best weights of a training on the real test split."""

import os

from cia.runtime.jobs import run


def main(job):
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # makes a GPU's results repeatable
    from cia.training.trainings import (  # torch reads the number of threads when imported
        test,
        training_of,
    )

    test(training_of(job))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
