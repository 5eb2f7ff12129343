"""Describe each picture of an image set by a network's features."""

from cia.errors import about
from cia.features.extraction import extract_features
from cia.files import save_array
from cia.runtime.jobs import run
from cia.tables import read_table, write_table


def main(job):
    manifest = read_table(job.input.manifest, "manifest")
    paths = manifest["image"].tolist()
    with about(f"features.{job.wildcards.features}"):
        features, probabilities = extract_features(
            paths, job.params.settings, job.resources.batch_size, job.threads
        )
    save_array(job.output.features, features)
    save_array(job.output.probabilities, probabilities)
    write_table(job.output.rows, manifest, "rows")


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
