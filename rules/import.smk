include: "inputs/import.smk"


rule import:
    """Read a dataset where it lies and in the form that it has: links to its pictures, labels, captions."""
    output:
        train="data/real/{dataset}/train/imported.csv",
        val="data/real/{dataset}/val/imported.csv",
        test="data/real/{dataset}/test/imported.csv",
        refused=expand("data/real/{{dataset}}/{split}/refused.csv", split=SPLITS),
        summary="results/real/{dataset}/imported.yaml",
    log:
        "logs/import/{dataset}.log",
    benchmark:
        "benchmarks/import/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(name for name, entry in config["datasets"].items() if "source" in entry),
    priority: FIRST
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: get_import_threads
    params:
        source=get_dataset("source"),
        task=get_dataset("task"),
        kpt_shape=get_dataset("kpt_shape"),
        split=get_split,
        seed=get_split_seed,
        together=get_together,
        fingerprint=get_source_fingerprint,
        version=STAGE["import"],
    script:
        "../scripts/import_dataset.py"
