"""Check the labels of a real source: one row per picture with a valid label, reasons for others."""

import logging

from cia.jobs import run
from cia.labels import read_labels
from cia.scanning import log_rejected, require_few
from cia.tables import read_table, write_table

logger = logging.getLogger("cia")


def main(job):
    ids = read_table(job.input.manifest, "manifest")["id"].tolist()
    rows, rejected, unusable = read_labels(
        job.params.folder, ids, job.params.task, job.params.classes
    )
    log_rejected(rejected)
    require_few(rejected, unusable, len(ids), float(job.resources.max_rejected), "labels")
    write_table(job.output.rejected, rejected, "rejected")
    write_table(job.output.labels, rows, "labels")
    logger.info("%d pictures with a label, %d rejected files", len(rows), len(rejected))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
