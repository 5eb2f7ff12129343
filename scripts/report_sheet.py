"""Draw real pictures, their condition maps and synthetic images side by side."""

from cia.reporting.selections import (
    direction_words,
    keeps_words,
    ranked_images,
    score_words,
    shown_step,
)
from cia.reporting.sheets import (
    OWN_MAPS,
    SHARED_MAPS,
    LabelForm,
    draw_sheet,
    has_own_maps,
    sample_rows,
    sheet_rows,
)
from cia.reporting.style import text_chunks
from cia.runtime.jobs import run
from cia.tables import read_table


def main(job):
    scores = read_table(job.input.scores) if "scores" in job.input.keys() else None
    step = shown_step(job.params.settings, scores)
    images = ranked_images(
        read_table(job.input.plan, "plan"),
        read_table(job.input.generated, "manifest"),
        scores,
        step,
        read_table(job.input.selected, "selected")["id"],
    )
    labels = {
        "real": _labels(job.input.real_labels),
        "synthetic": _labels(job.input.generated_labels),
    }
    form = LabelForm(job.params.task, job.params.classes, **job.params.keypoints)
    rows = sheet_rows(
        images,
        sample_rows(images, job.params.rows),
        read_table(job.input.real, "manifest"),
        labels,
        form,
        job.params.variants,
    )
    title = f"Selection {job.wildcards.selection} keeps {keeps_words(images)}"
    subtitle = f"{job.wildcards.dataset}, {job.wildcards.generator}. {_rows_words(step)}"
    headers = OWN_MAPS if has_own_maps(images) else SHARED_MAPS
    about = text_chunks(title, job.input)
    draw_sheet(job.output.sheet, title, subtitle, rows, about, form, headers)


def _rows_words(step):
    if step is None:
        return "Rows: real training images, evenly sampled."
    number = f"{score_words(step)}, {direction_words(step)}"
    return f"Number: {number}. Rows: evenly spread over the ranks, from best to worst."


def _labels(path):
    table = read_table(path, "labels")
    return dict(zip(table["id"], table["label"], strict=True))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
