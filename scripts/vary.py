"""Give each variant a condition map of its own, and move the labels by the same transform."""

import logging
from pathlib import Path

import pandas as pd

from cia.catalog import CONDITIONS, code
from cia.planning.plans import with_digests
from cia.runtime.jobs import run
from cia.runtime.made import forget, record
from cia.scanning import log_rejected
from cia.tables import read_table, write_table
from cia.variations.varying import vary_maps

logger = logging.getLogger("cia")


def main(job):
    labels = None
    if hasattr(job.input, "labels"):
        table = read_table(job.input.labels, "labels")
        labels = dict(zip(table["id"], table["label"], strict=True))
    maps = read_table(job.input.conditions, "conditions")
    images = Path(job.params.folder) / "images"
    forget(images)
    varied = vary_maps(
        maps,
        labels,
        job.params.folder,
        job.params.settings,
        code(CONDITIONS[job.params.extractor]).interpolation,
        job.params.variants,
        job.params.seed,
        job.threads,
    )
    log_rejected(varied.rejected)
    write_table(job.output.rejected, varied.rejected, "rejected")
    write_table(job.output.labels, varied.labels, "labels")
    write_table(job.output.sources, with_digests(pd.DataFrame(varied.sources), maps), "sources")
    write_table(job.output.manifest, varied.manifest, "varied")
    record(images)
    logger.info("%d maps, %d pictures skipped", len(varied.manifest), len(varied.rejected))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
