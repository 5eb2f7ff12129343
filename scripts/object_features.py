"""Describe each labelled object of an image set by a network's features of its box."""

from cia.errors import about
from cia.features.extraction import extract_features
from cia.files import save_array
from cia.labels.reading import list_objects
from cia.runtime.jobs import run
from cia.tables import read_table, write_table


def main(job):
    manifest = read_table(job.input.manifest, "manifest")
    objects = list_objects(manifest, read_table(job.input.labels, "labels"), job.resources.task)
    boxes = objects[["cx", "cy", "w", "h"]].to_numpy()
    paths = objects["image"].tolist()
    with about(f"features.{job.wildcards.features}"):
        features, _ = extract_features(
            paths, job.params.settings, job.resources.batch_size, job.threads, boxes
        )
    save_array(job.output.features, features)
    write_table(job.output.rows, objects, "objects")


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
