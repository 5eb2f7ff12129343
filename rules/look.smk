include: "inputs/look.smk"


rule look_dataset:
    """Show a dataset as it is: pictures with their labels, counts, near-duplicates, what is rejected."""
    input:
        get_all_prepared,
        unpack(get_import_tables),
        near_duplicates="results/real/{dataset}/near_duplicates.csv",
    output:
        page="results/look/{dataset}/look.html",
        sheet="results/look/{dataset}/look.png",
        rejected="results/look/{dataset}/rejected.csv",
    log:
        "logs/look/{dataset}.log",
    benchmark:
        "benchmarks/look/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(WHOLE),
    conda:
        "../envs/report.yaml"
    threads: get_threads(compared_pictures)
    resources:
        mem_mb=get_memory(4000),
        runtime=get_near_duplicates_minutes,
    params:
        splits=SPLITS,
        task=get_dataset("task"),
        classes=get_dataset("classes"),
        kpt_shape=get_dataset("kpt_shape"),
        skeleton=lambda wildcards: get_entry("datasets", wildcards).get("skeleton"),
        max_rejected=config["max_rejected"],
        fingerprint=get_all_fingerprint,
        version=STAGE["look"],
    script:
        "../scripts/look_dataset.py"
