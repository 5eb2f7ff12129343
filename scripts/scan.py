"""Check every picture of a source: the manifest of the usable ones, and the reasons of the rest."""

import logging

from cia.importing.refusals import refused_pictures
from cia.runtime.jobs import run
from cia.scanning import log_rejected, require_few, scan_folder
from cia.tables import write_table

logger = logging.getLogger("cia")


def main(job):
    scan = scan_folder(job.params.folder, job.threads)
    if getattr(job.input, "refused", None):
        rows, unusable = refused_pictures(job.input.refused)
        scan.rejected += rows
        scan.unusable += unusable
        scan.pictures += unusable
    log_rejected(scan.rejected)
    require_few(
        scan.rejected, scan.unusable, scan.pictures, float(job.resources.max_rejected), "pictures"
    )
    write_table(job.output.rejected, scan.rejected, "rejected")
    write_table(job.output.manifest, scan.rows, "manifest")
    logger.info("%d usable pictures, %d rejected files", len(scan.rows), len(scan.rejected))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
