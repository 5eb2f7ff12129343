"""Keep the synthetic images that a selection keeps."""

from cia.errors import about
from cia.filtering import select
from cia.runtime.jobs import run
from cia.tables import read_table, write_table


def main(job):
    manifest = read_table(job.input.manifest, "manifest")
    scores = {name: read_table(job.input[f"scores_{name}"]) for name in job.params.features}
    labels = read_table(job.input.labels, "labels") if hasattr(job.input, "labels") else None
    with about(f"selections.{job.wildcards.selection}"):
        selected = select(manifest, job.params.settings, job.params.seed, scores, labels)
    write_table(job.output.selected, selected, "selected")


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
