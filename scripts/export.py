"""Write a training set in a format of other programs."""

from pathlib import Path

from cia.exporting.pictures import SPLITS, Collection, pictures_of_mix
from cia.exporting.writing import export_beside
from cia.runtime.jobs import run
from cia.tables import read_table

KNOWN = ("id", "width", "height", "caption")


def main(job):
    params, names = job.params, job.wildcards
    manifests = {
        name: read_table(job.input[f"{name}_manifest"], "manifest", KNOWN)
        for name in (*SPLITS, "synthetic")
        if f"{name}_manifest" in job.input.keys()
    }
    synthetic = "synthetic" in manifests
    pictures = pictures_of_mix(
        Path(job.input.dataset).parent,
        read_table(job.input.dataset, "mixed"),
        manifests,
        read_table(job.input.sources, "sources") if synthetic else None,
        {
            name: read_table(path)
            for name, path in zip(params.features, job.input.get("scores", []), strict=True)
        },
        params.task,
    )
    name = " / ".join((names.dataset, names.generator, names.selection, names.mix))
    data = Collection(name, params.task, params.classes, pictures, params.shape)
    export_beside(job.output.summary, data, names.format, params.as_copies)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
