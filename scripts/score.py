"""Gather every score of each synthetic image in one table."""

import pandas as pd

from cia.feature_files import load_features
from cia.runtime.jobs import run
from cia.scores.scoring import name_neighbors, score_features
from cia.tables import read_table, write_table


def main(job):
    real = load_features(job.input.real, job.input.real_rows)
    synthetic = load_features(job.input.synthetic, job.input.synthetic_rows)
    classes = None
    if job.params.per_class:
        classes = (
            classes_of(real.rows, job.input.real_labels),
            classes_of(synthetic.rows, job.input.synthetic_labels),
        )
    scores, *nearest = score_features(
        real.features, synthetic.features, job.params.neighbors, classes
    )
    table = synthetic.rows.assign(**scores)
    for judge in job.params.judges:
        parts = [read_table(path) for path in job.input[f"judge_{judge}"]]
        table = table.merge(pd.concat(parts), on="id", how="left")
    write_table(job.output.scores, table.sort_values("id"))
    named = name_neighbors(synthetic.rows, real.rows, *nearest)
    write_table(job.output.neighbors, named.sort_values("id"), "neighbors")


def classes_of(rows, path):
    return rows.merge(read_table(path, "labels"), on="id", how="left")["label"].tolist()


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
