"""Draw the scores of the synthetic images, kept and dropped, with the selection's cut."""

from cia.reporting.histograms import draw_histogram
from cia.reporting.selections import (
    direction_words,
    find_cut,
    keeps_words,
    ranked_images,
    score_words,
    shown_step,
)
from cia.reporting.style import text_chunks
from cia.runtime.jobs import run
from cia.tables import read_table


def main(job):
    settings = job.params.settings
    scores = read_table(job.input.scores)
    step = shown_step(settings, scores)
    images = ranked_images(
        read_table(job.input.plan, "plan"),
        read_table(job.input.generated, "manifest"),
        scores,
        step,
        read_table(job.input.selected, "selected")["id"],
    )
    title = f"Selection {job.wildcards.selection} keeps {keeps_words(images)}"
    subtitle = f"{job.wildcards.dataset}, {job.wildcards.generator}"
    cut = find_cut(images, settings)
    label = f"{score_words(step)}: {direction_words(step)}"
    about = text_chunks(title, job.input)
    draw_histogram(job.output.figure, images, label, cut, title, subtitle, about)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
