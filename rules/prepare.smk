include: "inputs/prepare.smk"


rule prepare_digits:
    """Make a demo dataset from scikit-learn's scans of real handwriting."""
    output:
        train="data/real/{dataset}/train/prepared.csv",
        val="data/real/{dataset}/val/prepared.csv",
        test="data/real/{dataset}/test/prepared.csv",
    log:
        "logs/prepare_digits/{dataset}.log",
    benchmark:
        "benchmarks/prepare_digits/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(name for name, entry in config["datasets"].items() if "prepare" in entry),
    priority: FIRST
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    params:
        settings=get_prepare_settings,
        seed=config["seed"],
        version=STAGE["prepare"],
    script:
        "../scripts/prepare_digits.py"
