"""Score one shard of synthetic images by looking at them."""

from cia.errors import about
from cia.runtime.jobs import run
from cia.tables import read_table, write_table


def main(job):
    # torch reads the number of threads when it is imported
    from cia.judging.cases import judge_images, make_case
    from cia.training.trainings import trained_weights

    settings = dict(job.params.settings)
    case = make_case(
        read_table(job.input.plan, "plan"),
        read_table(job.input.manifest, "manifest"),
        read_table(job.input.labels, "labels") if hasattr(job.input, "labels") else None,
        shard=int(job.wildcards.shard),
        shards=job.params.shards,
        task=job.params.task,
        classes=list(job.params.classes),
        batch_size=job.resources.batch_size,
        threads=job.threads,
        kpt_shape=settings.pop("kpt_shape", None),
    )
    if hasattr(job.input, "model"):
        settings["weights"] = trained_weights(job.input.model)
    with about(f"judges.{job.wildcards.judge}"):
        scores = judge_images(case, settings)
    write_table(job.output.scores, scores)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
