"""Stop, or warn, where a dataset has near-duplicates in different splits."""

import logging

from cia.errors import about
from cia.files import write_yaml
from cia.importing.choices import refuse_across
from cia.runtime.jobs import run
from cia.tables import read_table

logger = logging.getLogger("cia")


def main(job):
    pairs = read_table(job.input.pairs, "near_duplicates").to_dict("records")
    across = [pair for pair in pairs if pair["split"] != pair["other_split"]]
    setting = job.params.setting
    with about(f"datasets.{job.wildcards.dataset}"):
        words = refuse_across(across, setting, job.params.imported, job.input.pairs)
    if words:
        logger.warning("%s", words)
    summary = {"near_duplicates": setting, "pairs": len(pairs), "across_splits": len(across)}
    write_yaml(job.output.summary, summary)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
