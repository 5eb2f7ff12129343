"""List the synthetic images to make: source, variant, seed, prompts, size and condition map."""

import logging

from cia.labels.reading import name_objects
from cia.planning.plans import make_plan, with_digests
from cia.runtime.jobs import run
from cia.tables import read_table, write_table

logger = logging.getLogger("cia")


def main(job):
    varied = hasattr(job.input, "sources")
    maps = read_table(job.input.conditions, "varied" if varied else "conditions")
    objects = None
    if job.params.classes:
        objects = name_objects(_labels(job.input, maps), job.params.classes, job.resources.task)
    plan = make_plan(
        read_table(job.input.manifest, "manifest"),
        maps,
        job.params.prompts,
        job.params.variants,
        job.params.seed,
        objects,
        job.resources.prompts,
    )
    ancestors = (
        read_table(job.input.sources, "sources")
        if varied
        else with_digests(plan[["id", "source"]], maps)
    )
    write_table(job.output.sources, ancestors[ancestors["id"].isin(plan["id"])], "sources")
    write_table(job.output.plan, plan, "plan")
    logger.info("%d images planned from %d real ones", len(plan), plan["source"].nunique())


def _labels(inputs, maps):
    """Return the labels of the maps: their own, or those of the real pictures that they vary."""
    if hasattr(inputs, "varied"):
        return read_table(inputs.varied, "labels")
    labels = read_table(inputs.real, "labels")
    if "source" not in maps.columns:
        return labels
    return maps[["id", "source"]].merge(labels.rename(columns={"id": "source"}), on="source")


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
