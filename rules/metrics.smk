rule metrics:
    """Compare the synthetic images with the real ones as distributions (DTD): FID, Inception Score."""
    input:
        unpack(get_features),
    output:
        metrics="results/{dataset}/{controlnet}/metrics/{features}.yaml",
    log:
        "logs/metrics/{dataset}/{controlnet}/{features}.log",
    benchmark:
        "benchmarks/metrics/{dataset}/{controlnet}/{features}.tsv"
    conda:
        "../envs/metrics.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        settings=get_settings("features"),
        seed=config["seed"],
        version=STAGE["metrics"],
    script:
        "../scripts/metrics.py"


rule score:
    """Score each synthetic image against the distribution of the real ones (PTD): Mahalanobis distance."""
    input:
        unpack(get_features),
    output:
        scores="results/{dataset}/{controlnet}/scores/{features}.csv",
    log:
        "logs/score/{dataset}/{controlnet}/{features}.log",
    benchmark:
        "benchmarks/score/{dataset}/{controlnet}/{features}.tsv"
    conda:
        "../envs/metrics.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        version=STAGE["score"],
    script:
        "../scripts/score.py"
