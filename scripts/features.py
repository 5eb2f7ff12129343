"""Describe each picture of an image set by a network's features."""

from cia.features import extract_features
from cia.files import save_array
from cia.jobs import run
from cia.tables import read_table, write_table


def main(job):
    manifest = read_table(job.input.manifest, "manifest")
    features, probabilities = extract_features(
        manifest["image"].tolist(), job.params.settings, job.resources.batch_size, job.threads
    )
    save_array(job.output.features, features)
    save_array(job.output.probabilities, probabilities)
    write_table(job.output.rows, manifest, "rows")


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
