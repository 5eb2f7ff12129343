"""Score each synthetic image against the distribution of the real ones."""

import numpy as np

from cia.jobs import run
from cia.scores import score_images
from cia.tables import read_table, write_table


def main(job):
    rows = read_table(job.input.synthetic_rows, "rows")
    scores = score_images(np.load(job.input.real), np.load(job.input.synthetic))
    write_table(job.output.scores, rows.assign(**scores).sort_values("id"))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
