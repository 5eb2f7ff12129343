"""Compare the synthetic images with the real ones as distributions."""

import numpy as np

from cia.files import write_yaml
from cia.jobs import run
from cia.metrics import distribution_metrics
from cia.provenance import package_versions


def main(job):
    real, synthetic = np.load(job.input.real), np.load(job.input.synthetic)
    model = job.params.settings["model"]
    metrics = distribution_metrics(
        real, synthetic, np.load(job.input.synthetic_probabilities), model
    )
    about = {
        "features": job.wildcards.features,
        "model": dict(job.params.settings),
        "n_real": len(real),
        "n_synthetic": len(synthetic),
        "dimensions": real.shape[1],
        "versions": package_versions("numpy", "scipy", "torch", "timm", "transformers"),
    }
    write_yaml(job.output.metrics, {**about, "metrics": metrics})


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
