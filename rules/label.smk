rule label:
    """Check the labels of a real split: boxes inside the picture, known classes, none missing."""
    input:
        prepared=get_prepared,
        manifest=f"results/{REAL}/manifest.csv",
        refused=get_refused,
    output:
        labels=f"results/{REAL}/labels.csv",
        rejected=f"results/{REAL}/rejected_labels.csv",
        summary=f"results/{REAL}/labels.yaml",
    log:
        "logs/label/{dataset}/{split}.log",
    benchmark:
        "benchmarks/label/{dataset}/{split}.tsv"
    wildcard_constraints:
        dataset=one_of(WHOLE),
    priority: FIRST
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    resources:
        max_rejected=str(config["max_rejected"]),  # not params: it changes no file
    params:
        folder=lambda wildcards: f"data/real/{wildcards.dataset}/{wildcards.split}",
        task=get_dataset("task"),
        classes=get_dataset("classes"),
        kpt_shape=get_dataset("kpt_shape"),
        fingerprint=get_fingerprint("labels"),
        version=STAGE["label"],
    script:
        "../scripts/label.py"
