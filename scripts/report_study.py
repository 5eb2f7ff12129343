"""Draw a study's figures, and write its table and its page."""

from pathlib import Path

from cia.files import read_yaml, write_text
from cia.reporting.study_page import draw_figures, study_pages, study_table
from cia.runtime.jobs import run
from cia.tables import write_report_table


def main(job):
    study = read_yaml(job.input.study)
    write_report_table(job.output.table, study_table(study))
    markdown, html = study_pages(study)
    write_text(job.output.page, markdown)
    write_text(job.output.html, html)
    draw_figures(study, Path(job.output.differences).parent)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
