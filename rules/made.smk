# Sees what is gone, or was changed, of the files that rules make in folders: too many to be outputs.

from cia.runtime.made import find_changes
from snakemake.logging import logger


@cache
def get_changes(folder, parts):
    """The parts of a folder that are not as their jobs left them; said once."""
    changes = find_changes(Path(folder), parts)
    if changes.names:
        logger.warning(changes.describe(folder))
    return changes.names


def still_made(folder, output, parts=("",)):
    """No input, but a reason to run: what the job made in a folder is gone or was changed since.

    The job is then forced, as `--forcerun OUTPUT` does it, if the jobs that are asked for need it. A
    job's own Snakemake on a cluster looks at nothing: it runs its job in any case.

    folder: where the job makes files, as a pattern of its wildcards
    output: one of its outputs
    parts: which records there are, where several jobs make one folder; the job's own is {shard}
    """

    def check(wildcards):
        if workflow.is_main_process:
            names = dict(wildcards.items())
            if names.get("shard", "") in get_changes(folder.format(**names), parts):
                workflow.dag.forcefiles.add(output.format(**names))
        return []

    return check
