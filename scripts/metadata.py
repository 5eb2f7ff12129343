"""Gather all that is known of one generated set in a file beside it."""

from cia.files import read_yaml
from cia.metadata import gather_metadata, write_metadata
from cia.picking import count_picked, picked_of, read_picked
from cia.runtime.jobs import run
from cia.tables import read_table


def main(job):
    names = job.params.features
    selected = zip(job.params.selections.items(), job.input.selected, strict=True)
    metadata = gather_metadata(
        name={"dataset": job.wildcards.dataset, "generator": job.wildcards.generator},
        settings=job.params.generation,
        plan=read_table(job.input.plan, "plan", ["source"]),
        metrics=dict(zip(names, map(read_yaml, job.input.metrics), strict=True)),
        scores=dict(zip(names, map(read_table, job.input.scores), strict=True)),
        selections={
            name: (settings, read_table(path, "selected")) for (name, settings), path in selected
        },
        models=read_yaml(job.input.models),
        by_hand=by_hand(job) if hasattr(job.input, "picked") else {},
    )
    write_metadata(job.output.metadata, metadata)


def by_hand(job) -> dict[str, dict[str, int]]:
    """Return per file of verdicts how many images were kept, dropped and not looked at."""
    manifest = read_table(job.input.manifest, "manifest", ["id", "sha256"])
    digests = dict(zip(manifest["id"], manifest["sha256"], strict=True))
    names = (job.wildcards.dataset, job.wildcards.generator)
    return {
        file: count_picked(picked_of(read_picked(file), file, *names, digests), len(digests))
        for file in dict.fromkeys(job.input.picked)
    }


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
