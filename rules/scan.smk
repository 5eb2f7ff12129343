include: "inputs/scan.smk"


rule scan:
    """Check every real picture: what is usable, and what is not and why."""
    input:
        get_prepared,
        refused=get_refused,
    output:
        manifest=f"results/{REAL}/manifest.csv",
        rejected=f"results/{REAL}/rejected.csv",
    log:
        "logs/scan/{dataset}/{split}.log",
    benchmark:
        "benchmarks/scan/{dataset}/{split}.tsv"
    wildcard_constraints:
        dataset=one_of(WHOLE),
    priority: FIRST
    conda:
        "../envs/metrics.yaml"
    threads: get_threads(scanned)
    resources:
        max_rejected=str(config["max_rejected"]),  # not params: it changes no file
        mem_mb=get_memory(2000),
        runtime=get_scan_minutes,
    params:
        folder=lambda wildcards: f"data/real/{wildcards.dataset}/{wildcards.split}",
        fingerprint=get_fingerprint("images", "captions"),
        version=STAGE["scan"],
    script:
        "../scripts/scan.py"
