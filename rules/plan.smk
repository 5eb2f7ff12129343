include: "inputs/plan.smk"


rule plan:
    """List the synthetic images to make: source, variant, seed, prompt, size."""
    input:
        unpack(get_plan_inputs),
    output:
        plan="results/{dataset}/{generator}/plan.csv",
        sources="results/{dataset}/{generator}/sources.csv",
    log:
        "logs/plan/{dataset}/{generator}.log",
    benchmark:
        "benchmarks/plan/{dataset}/{generator}.tsv"
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    resources:
        prompts=lambda wildcards: f"prompts.{get_generator(wildcards)['prompts']}",
        task=get_dataset("task"),  # not params: the labels tell it, too
    params:
        prompts=get_prompts,
        classes=get_prompt_classes,
        variants=lambda wildcards: get_generator(wildcards)["variants"],
        seed=config["seed"],
        version=STAGE["plan"],
    script:
        "../scripts/plan.py"
