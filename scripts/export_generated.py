"""Write a set of synthetic images by itself in a format of other programs."""

from cia.exporting.pictures import Collection, pictures_of_set
from cia.exporting.writing import export_beside
from cia.runtime.jobs import run
from cia.tables import read_table

KNOWN = ("id", "image", "width", "height", "caption")


def main(job):
    params, names = job.params, job.wildcards
    pictures = pictures_of_set(
        read_table(job.input.synthetic_manifest, "manifest", KNOWN),
        read_table(job.input.labels, "labels"),
        read_table(job.input.sources, "sources"),
        {
            name: read_table(path)
            for name, path in zip(params.features, job.input.scores, strict=True)
        },
    )
    name = f"{names.dataset} / {names.generator}"
    data = Collection(name, params.task, params.classes, pictures, params.shape)
    export_beside(job.output.summary, data, names.format, params.as_copies)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
