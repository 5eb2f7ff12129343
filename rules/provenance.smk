include: "inputs/provenance.smk"


rule provenance:
    """Say what the results were made with: configuration, models, code, packages, machines."""
    input:
        get_models(),
        get_metadata(),
        get_studies(),
        "results/report/summary.md" if ARMS else [],
        generation=get_generation_records(),
    output:
        provenance="results/provenance.yaml",
    log:
        "logs/provenance.log",
    benchmark:
        "benchmarks/provenance.tsv"
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    params:
        config=used_config(config),
        logs="logs",
        names=lambda wildcards: get_wildcard_values(),  # when every rule is known
        sets=get_sets("{dataset}/{generator}"),
        model_files=get_all_model_files(),
        version=STAGE["provenance"],
    script:
        "../scripts/provenance.py"
