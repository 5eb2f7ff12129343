"""Compare the synthetic images, and their labelled objects, with the real ones as distributions."""

from cia.feature_files import load_array, load_features
from cia.files import write_yaml
from cia.metrics.comparing import distribution_metrics
from cia.runtime.jobs import run
from cia.runtime.provenance import package_versions
from cia.tables import read_table


def main(job):
    model, seed = job.params.settings["model"], job.params.seed
    plan = read_table(job.input.plan, "plan")
    sources = dict(zip(plan["id"], plan["source"], strict=True))
    real = load_features(job.input.real, job.input.real_rows)
    synthetic = load_features(job.input.synthetic, job.input.synthetic_rows)
    content = {
        "features": job.wildcards.features,
        "model": dict(job.params.settings),
        "n_real": len(real.rows),
        "n_synthetic": len(synthetic.rows),
        "dimensions": real.features.shape[1],
        "versions": package_versions("numpy", "scipy", "torch", "timm", "transformers"),
        "metrics": distribution_metrics(
            real.features,
            synthetic.features,
            model,
            seed,
            real.rows["id"],
            synthetic.rows["id"].map(sources),
            load_array(job.input.synthetic_probabilities),
            load_array(job.input.real_probabilities),
        ),
    }
    if hasattr(job.input, "real_objects"):
        content["objects"] = compare_objects(job.input, sources, model, seed)
    write_yaml(job.output.metrics, content)


def compare_objects(files, sources, model, seed):
    """Compare the crops of labelled boxes."""
    real = load_features(files.real_objects, files.real_objects_rows)
    synthetic = load_features(files.synthetic_objects, files.synthetic_objects_rows)
    counts = {"n_real": len(real.rows), "n_synthetic": len(synthetic.rows)}
    if min(counts.values()) < 2:
        return {**counts, "reason": "fewer than 2 labelled boxes", "metrics": {}}
    return {
        **counts,
        "metrics": distribution_metrics(
            real.features,
            synthetic.features,
            model,
            seed,
            real.rows["id"],
            synthetic.rows["id"].map(sources),
        ),
    }


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
