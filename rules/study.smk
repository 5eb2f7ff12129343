rule subset:
    """Draw the real training images of one replicate of a study."""
    input:
        unpack(get_stock),
    output:
        manifest="results/real/{dataset}/train/manifest.csv",
        labels="results/real/{dataset}/train/labels.csv",
    log:
        "logs/subset/{dataset}.log",
    benchmark:
        "benchmarks/subset/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(SUBSETS),
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        settings=lambda wildcards: config["datasets"][wildcards.dataset]["subset"],
        task=get_dataset("task"),
        version=STAGE["subset"],
    script:
        "../scripts/subset.py"


rule study:
    """Say whether synthetic images helped, how sure that is, and how many real ones they are worth."""
    input:
        unpack(get_study_inputs),
    output:
        study="results/studies/{study}/study.yaml",
        table="results/studies/{study}/arms.csv",
        page="results/studies/{study}/arms.md",
    log:
        "logs/study/{study}.log",
    benchmark:
        "benchmarks/study/{study}.tsv"
    conda:
        "../envs/metrics.yaml"
    threads: 2
    resources:
        mem_mb=get_memory(8000),
        runtime=120,
    params:
        settings=lambda wildcards: config["studies"][wildcards.study],
        arms=get_study_arms,
        task=lambda wildcards: config["datasets"][study_dataset(wildcards)]["task"],
        sets=get_study_sets,
        seed=config["seed"],
        version=STAGE["study"],
    script:
        "../scripts/study.py"
