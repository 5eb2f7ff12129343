"""Keep the synthetic images that a selection keeps."""

from cia.errors import about
from cia.filtering import select
from cia.picking import picked_files, picked_of, read_picked
from cia.runtime.jobs import run
from cia.tables import read_table, write_table


def main(job):
    manifest = read_table(job.input.manifest, "manifest")
    scores = {name: read_table(job.input[f"scores_{name}"]) for name in job.params.features}
    labels = read_table(job.input.labels, "labels") if hasattr(job.input, "labels") else None
    settings = job.params.settings
    digests = dict(zip(manifest["id"], manifest["sha256"], strict=True))
    with about(f"selections.{job.wildcards.selection}"):
        picked = {
            file: picked_of(read_picked(file), file, *names_of(job), digests).verdicts
            for file in picked_files(settings)
        }
        selected = select(manifest, settings, job.params.seed, scores, labels, picked)
    write_table(job.output.selected, selected, "selected")


def names_of(job) -> tuple[str, str]:
    return job.wildcards.dataset, job.wildcards.generator


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
