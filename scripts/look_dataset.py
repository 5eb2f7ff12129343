"""Show a dataset as it is: pictures with their labels, counts, near-duplicates, what is wrong."""

import logging
from pathlib import Path

from cia.files import read_yaml
from cia.reporting.look import look_at, points_of
from cia.reporting.look_page import rejected_rows, write_look
from cia.reporting.sheets import LabelForm
from cia.runtime.jobs import run
from cia.tables import read_table, write_table

logger = logging.getLogger("cia")


def main(job):
    params, dataset = job.params, job.wildcards.dataset
    form = LabelForm(params.task, params.classes, params.kpt_shape, params.skeleton)
    imported = getattr(job.input, "imported", None)
    refused = job.input.refused if imported else [None] * len(params.splits)
    splits = [
        look_at(Path("data/real", dataset, split), form, job.threads, path)
        for split, path in zip(params.splits, refused, strict=True)
    ]
    pairs = read_table(job.input.near_duplicates, "near_duplicates").to_dict("records")
    summary = read_yaml(imported) if imported else None
    points = points_of(splits, pairs, summary, params.max_rejected)
    for point in points:
        logger.warning("%s", point)
    write_table(job.output.rejected, rejected_rows(splits), "rejected")
    write_look(job.output.page, job.output.sheet, dataset, splits, form, points, pairs)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
