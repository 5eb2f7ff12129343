"""Describe each picture of an image set by a network's features."""

import numpy as np

from cia.features import extract_features
from cia.files import atomic_path
from cia.jobs import run
from cia.tables import read_table, write_table


def main(job):
    manifest = read_table(job.input.manifest, "manifest")
    features, probabilities = extract_features(
        manifest["image"].tolist(), job.params.settings, job.resources.batch_size, job.threads
    )
    for path, array in ((job.output.features, features), (job.output.probabilities, probabilities)):
        with atomic_path(path) as partial:
            np.save(partial, array)
    write_table(job.output.rows, manifest, "rows")


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
