"""Extract a condition map from each real training picture, at the size of generation."""

import logging
from pathlib import Path

from cia.conditions.maps import extract_maps
from cia.errors import about
from cia.runtime.jobs import run
from cia.runtime.made import drop_changed, record
from cia.scanning import log_rejected
from cia.tables import read_table, write_table

logger = logging.getLogger("cia")


def main(job):
    manifest = read_table(job.input[0], "manifest")
    images = Path(job.params.folder) / "images"
    if changed := drop_changed(images):
        logger.info("%d maps are gone or were changed since they were made", len(changed))
    with about(f"conditions.{job.wildcards.condition}"):
        rows, rejected = extract_maps(manifest, job.params.folder, job.params.settings, job.threads)
    log_rejected(rejected)
    write_table(job.output.rejected, rejected, "rejected")
    write_table(job.output.manifest, rows, "conditions")
    record(images)
    empty = sum(row["found"] == 0 for row in rows)
    logger.info("%d maps (%d of them empty), %d pictures skipped", len(rows), empty, len(rejected))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
