"""Draw the real training images of one replicate of a study."""

from cia.errors import about
from cia.evidence.subsets import draw_subset
from cia.runtime.jobs import run
from cia.tables import read_table, write_table


def main(job):
    manifest = read_table(job.input.manifest, "manifest")
    labels = read_table(job.input.labels, "labels")
    with about(f"studies.{job.wildcards.dataset.rpartition('.real')[0]}"):
        manifest, labels = draw_subset(manifest, labels, job.params.task, **job.params.settings)
    write_table(job.output.manifest, manifest, "manifest")
    write_table(job.output.labels, labels, "labels")


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
