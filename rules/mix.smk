include: "inputs/mix.smk"


rule mix:
    """Put real and selected synthetic images together as one training set that can be moved."""
    input:
        still_made(MIX, f"{MIX}/dataset.csv"),
        unpack(get_mix_inputs),
    output:
        dataset=f"{MIX}/dataset.csv",
        summary=f"{MIX}/mix.yaml",
    log:
        "logs/mix/{dataset}/{generator}/{selection}/{mix}.log",
    benchmark:
        "benchmarks/mix/{dataset}/{generator}/{selection}/{mix}.tsv"
    priority: FIRST  # it compares the splits
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=get_memory(4000),
        runtime=get_mix_minutes,
    params:
        task=get_dataset("task"),
        classes=get_dataset("classes"),
        settings=get_mix_settings,
        seed=config["seed"],
        version=get_mix_version,
    script:
        "../scripts/mix.py"
