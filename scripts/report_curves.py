"""Draw the training curves of every arm of one dataset and trainer."""

from cia.files import read_yaml
from cia.reporting.arms import collect_arms, main_metric
from cia.reporting.curves import TrainingCurves, draw_curves
from cia.reporting.style import text_chunks
from cia.runtime.jobs import run
from cia.tables import read_table


def main(job):
    metrics = [read_yaml(path) for path in job.input.metrics]
    arms = collect_arms(zip(job.params.arms, metrics, strict=True))
    labels = {(arm.mix, arm.generator, arm.selection): arm.label for arm in arms}
    runs = [
        TrainingCurves(
            label=labels[arm["mix"], arm["generator"], arm["selection"]],
            curves=read_table(path),
            steps=content["steps"] // content["epochs"],
            best_epoch=content["best_epoch"],
        )
        for arm, path, content in zip(job.params.arms, job.input.curves, metrics, strict=True)
    ]
    title = f"Training of {job.wildcards.trainer} on {job.wildcards.dataset}"
    draw_curves(job.output.figure, runs, main_metric(arms), title, text_chunks(title, job.input))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
