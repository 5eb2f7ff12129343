include: "inputs/metadata.smk"


rule metadata:
    """Gather settings, models, metrics, scores and selections of one set of synthetic images."""
    input:
        unpack(get_picked_inputs),
        plan="results/{dataset}/{generator}/plan.csv",
        models="results/{dataset}/{generator}/shards/0.yaml",
        metrics=get_of_set("features", "results/{dataset}/{generator}/metrics/{name}.yaml"),
        scores=get_of_set("features", "results/{dataset}/{generator}/scores/{name}.csv"),
        selected=get_of_set("selections", "results/{dataset}/{generator}/selected/{name}.csv"),
    output:
        metadata="data/generated/{dataset}/{generator}/metadata.yaml",
    log:
        "logs/metadata/{dataset}/{generator}.log",
    benchmark:
        "benchmarks/metadata/{dataset}/{generator}.tsv"
    priority: FILLS_GAPS
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    params:
        generation=get_generation,
        features=lambda wildcards: get_set(wildcards)["features"],
        selections=lambda wildcards: {
            name: config["selections"][name] for name in get_set(wildcards)["selections"]
        },
        version=STAGE["metadata"],
    script:
        "../scripts/metadata.py"
