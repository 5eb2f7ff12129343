"""Put the distribution metrics of one generated set in a table: CSV, Markdown and HTML."""

from cia.files import read_yaml, write_text
from cia.jobs import run
from cia.reporting.metrics import metric_cells, metric_rows
from cia.reporting.tables import html_page, markdown_page
from cia.tables import write_table

_INTRODUCTION = (
    "Distance and quality of the whole synthetic set, measured on the features of each model. "
    "Compare values only at the same numbers of images and the same features."
)


def main(job):
    table = metric_rows([read_yaml(path) for path in job.input.metrics])
    title = f"Synthetic against real images: {job.wildcards.dataset}, {job.wildcards.controlnet}"
    parts = [_INTRODUCTION, metric_cells(table)]
    write_table(job.output.csv, table)
    write_text(job.output.markdown, markdown_page(title, parts))
    write_text(job.output.html, html_page(title, parts))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
