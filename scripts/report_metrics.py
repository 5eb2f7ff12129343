"""Put the distribution metrics of one generated set in a table: CSV, Markdown and HTML."""

from cia.files import read_yaml, write_text
from cia.reporting.metrics import metric_cells, metric_rows
from cia.reporting.pages import html_page, markdown_page
from cia.runtime.jobs import run
from cia.tables import write_report_table

_INTRODUCTION = (
    "Distance and quality of the whole synthetic set, measured on the features of each model."
)
_NOTES = [
    "How far are the synthetic images from the real ones? Hold `matched` against `floor`: the "
    "floor is what one half of the real images comes to against the other half, and `matched` what "
    "the same half comes to against as many synthetic images. As good as the floor is as good as "
    "real ones. Of the Inception Score the floor is the real images' own, for `value`.",
    "Which of two sets is better? Compare `value`, of all images, and only at the same numbers of "
    "images and the same features: most metrics depend on the number.",
]


def main(job):
    table = metric_rows([read_yaml(path) for path in job.input.metrics])
    title = f"Synthetic against real images: {job.wildcards.dataset}, {job.wildcards.generator}"
    parts = [_INTRODUCTION, metric_cells(table), _NOTES]
    write_report_table(job.output.csv, table)
    write_text(job.output.markdown, markdown_page(title, parts))
    write_text(job.output.html, html_page(title, parts))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
