"""Check the labels of a real source: one row per picture with a valid label, reasons for others."""

import logging

from cia.files import write_yaml
from cia.importing.refusals import explain_missing
from cia.labels.reading import FEW, few_words, read_labels, reduced_words, summarize_labels
from cia.runtime.jobs import run
from cia.scanning import log_rejected, require_few
from cia.tables import read_table, write_table

logger = logging.getLogger("cia")


def main(job):
    ids = read_table(job.input.manifest, "manifest")["id"].tolist()
    params = job.params
    labels = read_labels(params.folder, ids, params.task, params.classes, params.kpt_shape)
    if getattr(job.input, "refused", None):
        explain_missing(labels.rejected, job.input.refused)
    log_rejected(labels.rejected)
    limit = float(job.resources.max_rejected)
    require_few(labels.rejected, labels.unusable, len(ids), limit, "labels")
    summary = summarize_labels(labels, params.task, params.classes)
    if words := reduced_words(summary.get("reduced", {})):
        logger.warning("%s: %s", params.folder, words)
    if words := few_words(summary["classes"], FEW if job.wildcards.split == "train" else 1):
        logger.warning("%s: classes with few examples, or none: %s", params.folder, words)
    write_table(job.output.rejected, labels.rejected, "rejected")
    write_table(job.output.labels, labels.rows, "labels")
    write_yaml(job.output.summary, summary)
    logger.info(
        "%d pictures with a label, %d rejected files", len(labels.rows), len(labels.rejected)
    )


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
