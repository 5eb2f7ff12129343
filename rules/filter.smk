include: "inputs/filter.smk"


rule filter:
    """Keep the synthetic images that a selection's rule keeps, with score and rank."""
    input:
        unpack(get_selection_inputs),
    output:
        selected="results/{dataset}/{generator}/selected/{selection}.csv",
    log:
        "logs/filter/{dataset}/{generator}/{selection}.log",
    benchmark:
        "benchmarks/filter/{dataset}/{generator}/{selection}.tsv"
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    params:
        settings=get_settings("selections"),
        features=lambda wildcards: selection_features(get_entry("selections", wildcards)),
        seed=config["seed"],
        version=get_filter_version,
    script:
        "../scripts/filter.py"
