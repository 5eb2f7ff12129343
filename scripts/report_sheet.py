"""Draw real pictures, their condition maps and synthetic images side by side."""

from cia.filtering import is_ascending
from cia.jobs import run
from cia.reporting.selections import direction_words, judged_images, keeps_words, shown_score
from cia.reporting.sheets import (
    OWN_MAPS,
    VARIATIONS,
    draw_sheet,
    has_own_maps,
    sample_rows,
    sheet_rows,
)
from cia.reporting.style import describe
from cia.tables import read_table


def main(job):
    settings = job.params.settings
    scores = read_table(job.input.scores) if "scores" in job.input.keys() else None
    score = shown_score(settings, scores)
    images = judged_images(
        read_table(job.input.plan, "plan"),
        read_table(job.input.generated, "manifest"),
        scores,
        score,
        read_table(job.input.selected, "selected")["id"],
    )
    ascending = is_ascending({"score": score} | settings)
    labels = {
        "real": _labels(job.input.real_labels),
        "synthetic": _labels(job.input.generated_labels),
    }
    rows = sheet_rows(
        images,
        sample_rows(images, job.params.rows, ascending),
        read_table(job.input.real, "manifest"),
        labels,
        job.params.task,
        job.params.classes,
        job.params.variants,
    )
    title = f"Selection {job.wildcards.selection} keeps {keeps_words(images)}"
    subtitle = f"{job.wildcards.dataset}, {job.wildcards.controlnet}. {_score_words(score)}"
    headers = OWN_MAPS if has_own_maps(images) else VARIATIONS
    draw_sheet(job.output.sheet, title, subtitle, rows, describe(title, job.input), headers)


def _score_words(score):
    if score is None:
        return "Rows: real training images, evenly sampled."
    number = ", ".join(filter(None, [score, direction_words(score)]))
    return f"Number: {number}. Rows: evenly spread over the ranks, from best to worst."


def _labels(path):
    table = read_table(path, "labels")
    return dict(zip(table["id"], table["label"], strict=True))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
