"""List the synthetic images to make: source, variant, seed, prompts, size and condition map."""

import logging

from cia.jobs import run
from cia.labels import name_objects
from cia.planning import make_plan
from cia.tables import read_table, write_table

logger = logging.getLogger("cia")


def main(job):
    given = set(job.input.keys())
    varied = "sources" in given
    maps = read_table(job.input.conditions, "varied" if varied else "conditions")
    objects = None
    for kind in given & {"varied", "real"}:
        labels = read_table(job.input[kind], "labels")
        if kind == "real" and varied:  # a class stays, so each map has its source's
            labels = maps[["id", "source"]].merge(labels.rename(columns={"id": "source"}))
        objects = name_objects(labels, job.params.classes)
    plan = make_plan(
        read_table(job.input.manifest, "manifest"),
        maps,
        job.params.prompts,
        job.params.variants,
        job.params.seed,
        objects,
    )
    ancestors = read_table(job.input.sources, "sources") if varied else plan
    write_table(job.output.sources, ancestors[ancestors["id"].isin(plan["id"])], "sources")
    write_table(job.output.plan, plan, "plan")
    logger.info("%d images planned from %d real ones", len(plan), plan["source"].nunique())


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
