"""Join the shards to one image set, write its captions, drop what the plan no longer names."""

import logging
from pathlib import Path

from cia.files import remove_strays
from cia.generation.gathering import check_images, join_shards, write_captions
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
    removed = remove_strays(images, manifest["id"] + ".png", ".png")
    removed += remove_strays(captions, manifest["id"] + ".txt", ".txt")
    record(captions)
    write_table(job.output.manifest, manifest, "manifest")
    logger.info(
        "%d images; %d captions written; %d files removed that the plan does not name",
        len(manifest),
        written,
        len(removed),
    )


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
