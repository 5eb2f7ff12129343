"""Put the distribution metrics of one generated set in a table: CSV, Markdown and HTML."""

from cia.files import read_yaml, write_text
from cia.jobs import run
from cia.reporting.metrics import metric_cells, metric_rows
from cia.reporting.tables import html_page, markdown_table
from cia.tables import write_table


def main(job):
    table = metric_rows([read_yaml(path) for path in job.input.metrics])
    headers, rows, numbers = metric_cells(table)
    title = f"Synthetic against real images: {job.wildcards.dataset}, {job.wildcards.controlnet}"
    intro = (
        "Distance and quality of the whole synthetic set, measured on the features of each model. "
        "Compare values only at the same numbers of images and the same features."
    )
    write_table(job.output.csv, table)
    write_text(
        job.output.markdown, f"# {title}\n\n{intro}\n\n" + markdown_table(headers, rows, numbers)
    )
    write_text(job.output.html, html_page(title, intro, headers, rows, numbers))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
