include: "inputs/vary.smk"


rule vary:
    """Give each variant a condition map of its own, and move the labels by the same transform."""
    input:
        still_made(f"{VARIED}/images", f"{VARIED}/manifest.csv"),
        unpack(get_vary_inputs),
    output:
        manifest=f"{VARIED}/manifest.csv",
        labels=f"{VARIED}/labels.csv",
        sources=f"{VARIED}/sources.csv",
        rejected=f"{VARIED}/rejected.csv",
    log:
        "logs/vary/{dataset}/{generator}.log",
    benchmark:
        "benchmarks/vary/{dataset}/{generator}.tsv"
    conda:
        "../envs/condition.yaml"
    threads: get_threads(varied)
    resources:
        mem_mb=get_memory(4000),
        runtime=get_vary_minutes,
    params:
        folder=lambda wildcards: VARIED.format(**dict(wildcards.items())),
        settings=get_vary_settings,
        extractor=get_extractor,
        variants=lambda wildcards: get_generator(wildcards)["variants"],
        seed=config["seed"],
        version=STAGE["vary"],
    script:
        "../scripts/vary.py"
