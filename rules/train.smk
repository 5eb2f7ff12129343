rule train:
    """Train a model on one training set with one seed, and keep the weights that are best on val."""
    input:
        still_made(f"results/{ARM}", f"results/{ARM}/trained.yaml"),
        dataset=f"{MIX}/dataset.csv",
        summary=f"{MIX}/mix.yaml",  # with a digest of the content: same names are not same pictures
    output:
        trained=f"results/{ARM}/trained.yaml",
        curves=f"results/{ARM}/curves.csv",
    log:
        f"logs/train/{ARM}.log",
    benchmark:
        f"benchmarks/train/{ARM}.tsv"
    priority: LONG
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        gpu=get_training_gpu,
        mem_mb=get_memory(16000),
        runtime=get_training_minutes,
    params:
        classes=get_dataset("classes"),
        settings=get_settings("trainers"),
        model_files=get_model_files("trainers"),
        version=STAGE["train"],
    script:
        "../scripts/train.py"


rule test:
    """Test a trained model on the real test split, or take the test that its training made."""
    input:
        dataset=f"{MIX}/dataset.csv",
        summary=f"{MIX}/mix.yaml",
        trained=f"results/{ARM}/trained.yaml",
    output:
        metrics=f"results/{ARM}/metrics.yaml",
        test=f"results/{ARM}/test.csv",
    log:
        f"logs/test/{ARM}.log",
    benchmark:
        f"benchmarks/test/{ARM}.tsv"
    priority: FILLS_GAPS
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        gpu=get_training_gpu,
        mem_mb=get_memory(8000),
        runtime=get_test_minutes,
    params:
        classes=get_dataset("classes"),
        settings=get_settings("trainers"),
        version=STAGE["test"],
    script:
        "../scripts/test.py"
