include: "inputs/judge.smk"


rule judge:
    """Score one shard of synthetic images by looking at them: fidelity, label survival, agreement."""
    input:
        unpack(get_judge_inputs),
    output:
        scores="results/{dataset}/{generator}/judged/{judge}/{shard}.csv",
    log:
        "logs/judge/{dataset}/{generator}/{judge}/{shard}.log",
    benchmark:
        "benchmarks/judge/{dataset}/{generator}/{judge}/{shard}.tsv"
    conda:
        "../envs/judge.yaml"
    threads: 1
    resources:
        gpu=get_judge_gpu,
        mem_mb=get_memory(8000),
        runtime=get_judge_minutes,
        batch_size=get_network_batch(),
    params:
        settings=get_judge_settings,
        shards=config["shards"],
        task=get_dataset("task"),
        classes=get_dataset("classes"),
        model_files=get_model_files("judges"),
        version=STAGE["judge"],
    script:
        "../scripts/judge.py"
