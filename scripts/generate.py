"""Make one shard of a plan's images with a diffusion model and its ControlNet."""

from pathlib import Path

from cia.files import write_yaml
from cia.generation.rounding import steady_rounding
from cia.runtime.jobs import run
from cia.runtime.made import forget, record
from cia.runtime.provenance import package_versions
from cia.tables import read_table, write_table


def main(job):
    steady_rounding()
    # torch reads the number of threads, and MKL how to round, when it is imported
    from cia.generation.drawing import find_models, generate_shard
    from cia.generation.store import Store

    store = Store(Path(job.resources.store)) if job.resources.get("store") else None
    if store:
        store.require_writable()  # before models are loaded
    settings, key = job.params.settings, f"generators.{job.wildcards.generator}"
    models = find_models(settings, key)
    images, shard = Path(job.params.folder) / "images", job.wildcards.shard
    forget(images, shard)
    table = generate_shard(
        read_table(job.input.plan, "plan"),
        shard=int(shard),
        shards=job.params.shards,
        settings=settings,
        folder=images,
        batch_size=job.resources.batch_size,
        key=key,
        compiled=bool(job.resources.get("compile", 0)),
        models=models,
        store=store,
    )
    write_table(job.output.shard, table, "shard")
    record(images, shard, (Path(image).name for image in table["image"]))
    files = {
        name: {"name": found.name, "identity": found.identity}
        for name, found in (("model", models.model), ("controlnet", models.controlnet))
    }
    packages = ["torch", "diffusers", "transformers"]
    if models.loras:
        packages.append("peft")
        files["loras"] = [
            {"name": lora.name, "identity": lora.identity, "weight": lora.weight}
            for lora in models.loras
        ]
    write_yaml(job.output.models, {**files, "versions": package_versions(*packages)})


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
