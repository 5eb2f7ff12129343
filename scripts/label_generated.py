"""Give each generated image the label of its varied map, or of the real picture that it varies."""

import logging
from pathlib import Path

from cia.errors import UserError
from cia.labels.reading import inherit_labels, write_label_files
from cia.runtime.jobs import run
from cia.runtime.made import forget, record
from cia.scanning import log_rejected
from cia.tables import read_table, write_table

logger = logging.getLogger("cia")


def main(job):
    manifest = read_table(job.input.manifest, "manifest").set_index("id")
    plan = read_table(job.input.plan, "plan").set_index("id")
    varied = hasattr(job.input, "varied")  # the labels then belong to the images' own maps
    labels = read_table(job.input.varied if varied else job.input.real, "labels").set_index("id")
    sources = {id_: id_ for id_ in plan.index} if varied else plan["source"].to_dict()
    rows, unlabeled = inherit_labels(manifest.index.tolist(), sources, labels["label"].to_dict())
    rejected = [
        {"file": manifest.at[row["id"], "image"], "reason": row["reason"]} for row in unlabeled
    ]
    log_rejected(rejected)
    if not rows:
        raise UserError(f"No image of {job.input.manifest} has a source with a valid label.")
    folder = Path(job.params.folder) / "labels"
    forget(folder)
    write_label_files(folder, rows)
    record(folder)
    write_table(job.output.rejected, rejected, "rejected")
    write_table(job.output.labels, rows, "labels")
    logger.info("%d images with a label, %d without", len(rows), len(rejected))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
