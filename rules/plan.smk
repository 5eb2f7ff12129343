rule plan:
    """List the synthetic images to make: source, variant, seed, prompt, size."""
    input:
        manifest="results/real/{dataset}/train/manifest.csv",
        conditions=get_condition_manifest,
    output:
        plan="results/{dataset}/{controlnet}/plan.csv",
    log:
        "logs/plan/{dataset}/{controlnet}.log",
    benchmark:
        "benchmarks/plan/{dataset}/{controlnet}.tsv"
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        prompts=lambda wildcards: config["prompts"][get_controlnet(wildcards)["prompts"]],
        variants=lambda wildcards: get_controlnet(wildcards)["variants"],
        seed=config["seed"],
        version=STAGE["plan"],
    script:
        "../scripts/plan.py"
