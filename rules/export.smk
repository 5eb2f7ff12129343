include: "inputs/export.smk"


rule export:
    """Write a training set in a format of other programs, as a folder that can be moved."""
    input:
        still_made(EXPORT, f"{EXPORT}/export.yaml"),
        unpack(get_export_inputs),
        dataset=f"{MIX}/dataset.csv",
        summary=f"{MIX}/mix.yaml",
    output:
        summary=f"{EXPORT}/export.yaml",
    log:
        "logs/export/{dataset}/{generator}/{selection}/{mix}/{format}.log",
    benchmark:
        "benchmarks/export/{dataset}/{generator}/{selection}/{mix}/{format}.tsv"
    priority: FILLS_GAPS
    conda:
        "../envs/metrics.yaml"
    threads: 1
    resources:
        mem_mb=get_memory(4000),
        runtime=get_mix_minutes,
    params:
        task=get_dataset("task"),
        classes=get_dataset("classes"),
        shape=get_shape,
        features=get_scored_features,
        as_copies=COPIES,
        version=STAGE["export"],
    script:
        "../scripts/export.py"


rule export_generated:
    """Write a set of synthetic images by itself in a format of other programs."""
    input:
        still_made(EXPORTED_SET, f"{EXPORTED_SET}/export.yaml"),
        unpack(get_set_inputs),
        labels=f"results/{GENERATED}/labels.csv",
    output:
        summary=f"{EXPORTED_SET}/export.yaml",
    log:
        "logs/export_generated/{dataset}/{generator}/{format}.log",
    benchmark:
        "benchmarks/export_generated/{dataset}/{generator}/{format}.tsv"
    priority: FILLS_GAPS
    conda:
        "../envs/metrics.yaml"
    threads: 1
    resources:
        mem_mb=get_memory(4000),
        runtime=get_mix_minutes,
    params:
        task=get_dataset("task"),
        classes=get_dataset("classes"),
        shape=get_shape,
        features=get_scored_features,
        as_copies=COPIES,
        version=STAGE["export"],
    script:
        "../scripts/export_generated.py"
