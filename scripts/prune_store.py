"""List the images of the store that no current plan needs, and drop them if that is asked for."""

import logging
from pathlib import Path

from cia.errors import UserError
from cia.runtime.jobs import run
from cia.tables import read_table, write_table

logger = logging.getLogger("cia")


def main(job):
    from cia.generation.drawing import possible_keys
    from cia.generation.pruning import preview_pruning, split_entries
    from cia.generation.store import Store

    if not job.params.store:
        raise UserError("store: null in the config, so there is nothing to prune")
    store, needed = Store(Path(job.params.store)), set()
    for entry, path in zip(job.params.sets, job.input.plans, strict=True):
        needed |= possible_keys(read_table(path, "plan"), entry["settings"], entry["name"])
    parts = split_entries(store.entries(), needed)
    rows = [entry._asdict() | {"path": entry.path.as_posix()} for entry in parts.unused]
    write_table(job.params.listing, rows, "stored")
    for line in preview_pruning(parts, store.folder, job.params.names, job.params.listing):
        logger.info("%s", line)
    if job.params.drop:
        store.drop(parts.unused)
        logger.info("Dropped.")
    elif parts.unused:
        logger.info("Nothing is dropped yet. To drop: the same command with --config prune=drop")


if "snakemake" in globals():
    run(main, snakemake, shown=True)  # noqa: F821
