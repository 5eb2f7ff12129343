"""Try a generator's diffusion model and ControlNet, before anything is made with them."""

from cia.files import write_yaml
from cia.runtime.jobs import run


def main(job):
    from cia.generation.checking import check_generator

    key = f"generators.{job.wildcards.generator}"
    write_yaml(job.output[0], check_generator(job.params.settings, job.params.size, key))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
