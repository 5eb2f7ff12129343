include: "inputs/near_duplicates.smk"


rule near_duplicates:
    """Find pictures that are nearly the same, within the splits of a dataset and between them."""
    input:
        get_all_prepared,
    output:
        pairs="results/real/{dataset}/near_duplicates.csv",
    log:
        "logs/near_duplicates/{dataset}.log",
    benchmark:
        "benchmarks/near_duplicates/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(WHOLE),
    priority: FIRST
    conda:
        "../envs/metrics.yaml"
    threads: get_threads(compared_pictures)
    resources:
        mem_mb=get_memory(4000),
        runtime=get_near_duplicates_minutes,
    params:
        splits=SPLITS,
        fingerprint=get_pictures_fingerprint,
        version=STAGE["near_duplicates"],
    script:
        "../scripts/near_duplicates.py"


rule refuse_near_duplicates:
    """Stop before anything is trained where near-duplicates are in different splits, or warn."""
    input:
        pairs="results/real/{dataset}/near_duplicates.csv",
    output:
        summary="results/real/{dataset}/near_duplicates.yaml",
    log:
        "logs/refuse_near_duplicates/{dataset}.log",
    benchmark:
        "benchmarks/refuse_near_duplicates/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(WHOLE),
    priority: FIRST
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    params:
        setting=get_near_duplicates_setting,
        imported=lambda wildcards: "source" in get_entry("datasets", wildcards),
    script:
        "../scripts/refuse_near_duplicates.py"
