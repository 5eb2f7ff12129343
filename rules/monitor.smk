# Says, while a run goes, how far it is, instead of the text of each job: scripts/cia/runtime/monitor.py.

from cia.runtime import monitor
from snakemake.logging import logger


def get_planned_jobs():
    """Rule and wildcards of each job that is to run; none if this Snakemake hands out no list."""
    try:
        jobs = workflow.dag.needrun_jobs()
        return [(job.rule.name, dict(job.wildcards.items())) for job in jobs]
    except Exception:
        return []


onstart:
    monitor.start(logger, get_planned_jobs(), config["shards"])
