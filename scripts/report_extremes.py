"""Draw the best, middle and worst synthetic images by each score."""

from cia.reporting.extremes import HEADERS, extreme_rows
from cia.reporting.sheets import LabelForm, draw_sheet
from cia.reporting.style import text_chunks
from cia.runtime.jobs import run
from cia.tables import read_table


def main(job):
    labels = read_table(job.input.labels, "labels")
    form = LabelForm(job.params.task, job.params.classes, **job.params.keypoints)
    rows = extreme_rows(
        read_table(job.input.scores),
        dict(zip(labels["id"], labels["label"], strict=True)),
        form,
    )
    title = "Best, middle and worst synthetic images by each score"
    names = job.wildcards
    subtitle = f"{names.dataset}, {names.generator}, features {names.features}."
    draw_sheet(
        job.output.sheet, title, subtitle, rows, text_chunks(title, job.input), form, HEADERS
    )


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
