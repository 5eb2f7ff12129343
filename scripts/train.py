"""Train a model on one training set with one seed, and test its best weights on real images."""

import os
from pathlib import Path

from cia.jobs import run


def main(job):
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # makes training on a GPU repeatable
    from cia.training import Training, train  # torch reads the number of threads when imported

    output = Path(job.output.metrics).parent
    training = Training(
        mix=Path(job.input.dataset).parent,
        work=output / ".training",
        output=output,
        classes=list(job.params.classes),
        settings=dict(job.params.settings),
        seed=int(job.wildcards.seed),
        threads=job.threads,
    )
    train(training)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
