"""Gather what the results were made with: configuration, models, and the records of all jobs."""

import logging
from pathlib import Path

from cia.files import read_yaml, write_yaml
from cia.runtime.jobs import run
from cia.runtime.provenance import ROOT, code_state, gather_records, read_records

logger = logging.getLogger("cia")


def main(job):
    records = read_records(Path(job.params.logs), job.params.names)
    generation = [read_yaml(path) for path in job.input.generation]
    shards = len(generation) // max(1, len(job.params.sets))
    models = {
        name: _distinct(
            {part: files[part] for part in ("model", "controlnet", "loras") if part in files}
            for files in generation[index * shards : (index + 1) * shards]
        )
        for index, name in enumerate(job.params.sets)
    }
    content = {
        "code": code_state(ROOT),
        "models": {"generation": models, **job.params.model_files},
        "config": job.params.config,
        "rules": gather_records(records),
    }
    write_yaml(job.output.provenance, content)
    logger.info("Gathered the records of %d jobs", len(records))


def _distinct(items):
    found = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
