"""Compare models that differ in their training set alone, on the real test images."""

from cia.files import read_yaml, write_text
from cia.reporting.arms import (
    arm_cells,
    arm_table,
    collect_arms,
    draw_arms,
    estimate,
    find_baseline,
    main_metric,
    seeds_words,
)
from cia.reporting.pages import markdown_page
from cia.reporting.style import text_chunks
from cia.reporting.verdict import nothing_told
from cia.runtime.jobs import run
from cia.tables import write_report_table


def main(job):
    metrics = map(read_yaml, job.input.metrics)
    arms = collect_arms(zip(job.params.arms, metrics, strict=True))
    baseline = find_baseline(arms, job.params.baselines)
    names = job.wildcards
    metric = main_metric(arms)
    title = f"Test {metric} of {names.trainer} on {names.dataset}, by training set"
    means = [estimate(list(arm.values[metric].values())).mean for arm in arms]
    words = [f"{seeds_words(arms).capitalize()}.", nothing_told(means)]
    parts = [" ".join(filter(None, words)), arm_cells(arms, baseline)]
    write_report_table(job.output.csv, arm_table(arms, baseline))
    write_text(job.output.markdown, markdown_page(title, parts))
    draw_arms(job.output.figure, arms, baseline, title, text_chunks(title, job.input))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
