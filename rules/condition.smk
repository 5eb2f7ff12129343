rule condition:
    """Extract a condition map from each real training picture, at the size of generation."""
    input:
        "results/real/{dataset}/train/manifest.csv",
        still_made(
            "data/conditions/{dataset}/{condition}/images",
            "data/conditions/{dataset}/{condition}/manifest.csv",
        ),
    output:
        manifest="data/conditions/{dataset}/{condition}/manifest.csv",
        rejected="data/conditions/{dataset}/{condition}/rejected.csv",
    log:
        "logs/condition/{dataset}/{condition}.log",
    benchmark:
        "benchmarks/condition/{dataset}/{condition}.tsv"
    conda:
        "../envs/condition.yaml"
    threads: get_threads(extracted)
    resources:
        gpu=get_condition_gpu,
        mem_mb=get_memory(8000),
        runtime=get_condition_minutes,
    params:
        folder=lambda wildcards: f"data/conditions/{wildcards.dataset}/{wildcards.condition}",
        settings=get_settings("conditions"),
        model_files=get_model_files("conditions"),
        version=STAGE["condition"],
    script:
        "../scripts/condition.py"
