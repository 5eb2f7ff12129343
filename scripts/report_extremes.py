"""Draw the best, middle and worst synthetic images by each score."""

from cia.reporting.extremes import HEADERS, extreme_rows
from cia.reporting.sheets import draw_sheet
from cia.reporting.style import text_chunks
from cia.runtime.jobs import run
from cia.tables import read_table


def main(job):
    labels = read_table(job.input.labels, "labels")
    rows = extreme_rows(
        read_table(job.input.scores),
        dict(zip(labels["id"], labels["label"], strict=True)),
        job.params.task,
        job.params.classes,
    )
    title = "Best, middle and worst synthetic images by each score"
    names = job.wildcards
    subtitle = f"{names.dataset}, {names.generator}, features {names.features}."
    draw_sheet(job.output.sheet, title, subtitle, rows, text_chunks(title, job.input), HEADERS)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
