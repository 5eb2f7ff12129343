"""Find the near-duplicates among a dataset's pictures, within its splits and between them."""

import logging
from pathlib import Path

from cia.images import IMAGE_SUFFIXES
from cia.importing.near_duplicates import find_pairs, take_thumbnails
from cia.runtime.jobs import run
from cia.tables import write_table

logger = logging.getLogger("cia")


def main(job):
    pictures = [(split, path) for split in job.params.splits for path in _pictures(job, split)]
    splits = [split for split, _ in pictures]
    thumbnails = take_thumbnails([path for _, path in pictures], job.threads)
    pairs = find_pairs(thumbnails, splits, job.threads)
    rows = []
    for pair in sorted(pairs, key=lambda pair: -pair.likeness):
        (split, file), (other_split, other_file) = pictures[pair.first], pictures[pair.second]
        row = {"likeness": pair.likeness, "split": split, "file": file}
        rows.append(row | {"other_split": other_split, "other_file": other_file})
    write_table(job.output.pairs, rows, "near_duplicates")
    across = sum(row["split"] != row["other_split"] for row in rows)
    logger.info("%d pairs of near-duplicates, %d of them in different splits", len(rows), across)


def _pictures(job, split):
    folder = Path("data/real", job.wildcards.dataset, split, "images")
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [
        f"{folder}/{name}"
        for name in names
        if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
    ]


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
