"""Read a dataset in the form in which it lies: links to its pictures, label files and captions."""

import logging
from pathlib import Path

from cia.errors import about
from cia.files import write_yaml
from cia.importing.importing import import_dataset, log_summary
from cia.runtime.jobs import run

logger = logging.getLogger("cia")


def main(job):
    params = job.params
    folder = Path(job.output.train).parents[1]
    with about(f"datasets.{job.wildcards.dataset}"):
        summary = import_dataset(
            folder,
            params.source,
            params.task,
            params.kpt_shape,
            params.split,
            params.seed,
            params.together,
            job.threads,
        )
    log_summary(summary)
    write_yaml(job.output.summary, summary)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
