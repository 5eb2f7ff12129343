"""Join the shards to one image set, write its captions, drop what the plan no longer names."""

import logging
from pathlib import Path

from cia.generation.gathering import check_images, join_shards, remove_others, write_captions
from cia.runtime.jobs import run
from cia.runtime.made import forget, record
from cia.tables import read_table, write_table

logger = logging.getLogger("cia")


def main(job):
    images, captions = (Path(job.params.folder) / kind for kind in ("images", "captions"))
    plan = read_table(job.input.plan, "plan")
    manifest = join_shards(plan, [read_table(path, "shard") for path in job.input.shards])
    check_images(manifest, images)
    forget(captions)
    written = write_captions(manifest, captions)
    removed = remove_others(manifest["id"], images, ".png")
    removed += remove_others(manifest["id"], captions, ".txt")
    record(captions)
    write_table(job.output.manifest, manifest, "manifest")
    write_table(job.output.rejected, [], "rejected")
    logger.info(
        "%d images; %d captions written; %d files removed that the plan does not name",
        len(manifest),
        written,
        len(removed),
    )


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
