include: "inputs/metrics.smk"


rule metrics:
    """Compare the synthetic images with the real ones as distributions (DTD): FID, KID, coverage, ..."""
    input:
        unpack(get_metrics_inputs),
    output:
        metrics="results/{dataset}/{generator}/metrics/{features}.yaml",
    log:
        "logs/metrics/{dataset}/{generator}/{features}.log",
    benchmark:
        "benchmarks/metrics/{dataset}/{generator}/{features}.tsv"
    conda:
        "../envs/metrics.yaml"
    threads: get_threads(compared)
    resources:
        mem_mb=get_statistics_memory,
        runtime=get_statistics_minutes,
    params:
        settings=get_settings("features"),
        seed=config["seed"],
        version=STAGE["metrics"],
    script:
        "../scripts/metrics.py"


rule score:
    """Score each synthetic image against the real ones (PTD), and gather what its judges say."""
    input:
        unpack(get_score_inputs),
    output:
        scores="results/{dataset}/{generator}/scores/{features}.csv",
        neighbors="results/{dataset}/{generator}/scores/{features}.neighbors.csv",
    log:
        "logs/score/{dataset}/{generator}/{features}.log",
    benchmark:
        "benchmarks/score/{dataset}/{generator}/{features}.tsv"
    conda:
        "../envs/metrics.yaml"
    threads: get_threads(compared)
    resources:
        mem_mb=get_statistics_memory,
        runtime=get_statistics_minutes,
    params:
        neighbors=config["scores"]["neighbors"],
        per_class=scores_per_class,
        judges=lambda wildcards: get_set(wildcards)["judges"],
        version=STAGE["score"],
    script:
        "../scripts/score.py"
