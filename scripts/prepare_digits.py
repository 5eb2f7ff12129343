"""Make a demo dataset from scans of real handwriting."""

from pathlib import Path

from cia.digits import prepare
from cia.runtime.jobs import run


def main(job):
    settings = job.params.settings
    counts = {split: settings[split] for split in ("train", "val", "test")}
    folder = Path(job.output.train).parents[1]
    prepare(folder, settings["kind"], counts, job.params.seed, settings.get("task"))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
