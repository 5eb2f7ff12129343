include: "inputs/generate.smk"


rule check_models:
    """Try a generator's diffusion model and ControlNet in seconds, before anything is made."""
    output:
        "results/models/{generator}.yaml",
    log:
        "logs/check_models/{generator}.log",
    benchmark:
        "benchmarks/check_models/{generator}.tsv"
    priority: 10
    retries: 0
    localrule: True
    conda:
        "../envs/generate.yaml"
    threads: 1
    params:
        settings=get_model_settings,
        size=get_size,
        model_files=get_model_files("generators"),
        version=STAGE["check_models"],
    script:
        "../scripts/check_models.py"


rule generate:
    """Make one shard of the synthetic images of a plan with a diffusion model and its ControlNet."""
    input:
        still_made(
            f"data/{GENERATED}/images",
            "results/{dataset}/{generator}/shards/{shard}.csv",
            parts=tuple(map(str, range(config["shards"]))),
        ),
        plan="results/{dataset}/{generator}/plan.csv",
        conditions=get_maps,
        models="results/models/{generator}.yaml",  # checked first; not ancient(), behind which Snakemake misses changed params
    output:
        shard="results/{dataset}/{generator}/shards/{shard}.csv",
        models="results/{dataset}/{generator}/shards/{shard}.yaml",
    log:
        "logs/generate/{dataset}/{generator}/{shard}.log",
    benchmark:
        "benchmarks/generate/{dataset}/{generator}/{shard}.tsv"
    conda:
        "../envs/generate.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=get_memory(16000),
        runtime=get_generation_minutes,
        batch_size=config["batch_size"],
        store=config["store"] or "",
    params:
        folder=lambda wildcards: f"data/generated/{wildcards.dataset}/{wildcards.generator}",
        shards=config["shards"],
        settings=get_drawing_settings,
        model_files=get_model_files("generators"),
        version=STAGE["generate"],
    script:
        "../scripts/generate.py"


rule gather:
    """Join the shards to one image set, and drop what its plan no longer names."""
    input:
        still_made(f"data/{GENERATED}/captions", f"results/{GENERATED}/manifest.csv"),
        plan="results/{dataset}/{generator}/plan.csv",
        shards=get_shards,
    output:
        manifest=f"results/{GENERATED}/manifest.csv",
    log:
        "logs/gather/{dataset}/{generator}.log",
    benchmark:
        "benchmarks/gather/{dataset}/{generator}.tsv"
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    params:
        folder=lambda wildcards: f"data/generated/{wildcards.dataset}/{wildcards.generator}",
        version=STAGE["generate"],
    script:
        "../scripts/gather.py"


rule label_generated:
    """Give each synthetic image the labels of its varied map, or of the real one that it varies."""
    input:
        still_made(f"data/{GENERATED}/labels", f"results/{GENERATED}/labels.csv"),
        unpack(get_labels),
        manifest=f"results/{GENERATED}/manifest.csv",
        plan="results/{dataset}/{generator}/plan.csv",
    output:
        labels=f"results/{GENERATED}/labels.csv",
        rejected=f"results/{GENERATED}/rejected_labels.csv",
    log:
        "logs/label_generated/{dataset}/{generator}.log",
    benchmark:
        "benchmarks/label_generated/{dataset}/{generator}.tsv"
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    params:
        folder=lambda wildcards: f"data/generated/{wildcards.dataset}/{wildcards.generator}",
        version=STAGE["label"],
    script:
        "../scripts/label_generated.py"


rule prune_store:
    """List the images of the store that no current plan needs; with `--config prune=drop`, drop them."""
    input:
        plans=get_sets("results/{dataset}/{generator}/plan.csv") if config["store"] else [],
    log:
        "logs/prune_store.log",
    retries: 0
    localrule: True
    conda:
        "../envs/generate.yaml"
    threads: 1
    params:
        store=config["store"],
        drop=config["prune"] == "drop",
        sets=[
            {
                "name": f"generators.{entry['generator']}",
                "settings": config["generators"][entry["generator"]],
            }
            for entry in SETS
        ],
        names=get_sets("{dataset}/{generator}"),
        listing="results/prune_store.csv",
    script:
        "../scripts/prune_store.py"
