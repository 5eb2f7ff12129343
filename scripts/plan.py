"""List the synthetic images to make: source, variant, seed, prompts, size and condition map."""

import logging

from cia.jobs import run
from cia.planning import make_plan
from cia.tables import read_table, write_table

logger = logging.getLogger("cia")


def main(job):
    plan = make_plan(
        read_table(job.input.manifest, "manifest"),
        read_table(job.input.conditions, "conditions"),
        job.params.prompts,
        job.params.variants,
        job.params.seed,
    )
    write_table(job.output.plan, plan, "plan")
    logger.info("%d images planned from %d real ones", len(plan), plan["source"].nunique())


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
