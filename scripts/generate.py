"""Make one shard of a plan's images with a diffusion model and its ControlNet."""

from pathlib import Path

from cia.jobs import run
from cia.tables import read_table, write_table


def main(job):
    from cia.generation import generate_shard  # torch reads the number of threads when imported

    table = generate_shard(
        read_table(job.input.plan, "plan"),
        shard=int(job.wildcards.shard),
        shards=job.params.shards,
        settings=job.params.settings,
        folder=Path(job.params.folder) / "images",
        batch_size=job.resources.batch_size,
        key=f"controlnets.{job.wildcards.controlnet}",
        compiled=bool(job.resources.get("compile", 0)),
    )
    write_table(job.output.shard, table, "shard")


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
