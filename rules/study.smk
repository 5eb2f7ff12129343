include: "inputs/study.smk"


rule subset:
    """Draw the real training images of one replicate of a study."""
    input:
        unpack(get_stock),
    output:
        manifest="results/real/{dataset}/train/manifest.csv",
        labels="results/real/{dataset}/train/labels.csv",
    log:
        "logs/subset/{dataset}.log",
    benchmark:
        "benchmarks/subset/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(SUBSETS),
    retries: 0
    localrule: True
    conda:
        "../envs/metrics.yaml"
    threads: 1
    params:
        settings=lambda wildcards: config["datasets"][wildcards.dataset]["subset"],
        task=get_dataset("task"),
        version=STAGE["subset"],
    script:
        "../scripts/subset.py"


rule evidence:
    """Say whether synthetic images helped, how sure that is, and how many real ones they are worth."""
    input:
        unpack(get_evidence_inputs),
    output:
        study="results/studies/{study}/study.yaml",
    log:
        "logs/evidence/{study}.log",
    benchmark:
        "benchmarks/evidence/{study}.tsv"
    conda:
        "../envs/metrics.yaml"
    threads: 2
    resources:
        mem_mb=get_memory(8000),
        runtime=get_minutes(120),
    params:
        settings=lambda wildcards: config["studies"][wildcards.study],
        arms=get_study_arms,
        task=lambda wildcards: config["datasets"][study_dataset(wildcards)]["task"],
        models=get_study_models,
        seed=config["seed"],
        version=STAGE["evidence"],
    script:
        "../scripts/evidence.py"


rule report_study:
    """Draw a study's figures, and write its table."""
    input:
        study="results/studies/{study}/study.yaml",
    output:
        html=report(
            "results/studies/{study}/study.html",
            caption="../resources/report/study.rst",
            category="Did it help?",
            labels={"study": "{study}", "figure": "1 what it shows"},
        ),
        differences=report(
            "results/studies/{study}/differences.png",
            caption="../resources/report/study_differences.rst",
            category="Did it help?",
            labels={"study": "{study}", "figure": "2 differences to the control"},
        ),
        learning_curve=report(
            "results/studies/{study}/learning_curve.png",
            caption="../resources/report/study_learning_curve.rst",
            category="Did it help?",
            labels={"study": "{study}", "figure": "3 worth in real images"},
        ),
        ratios=report(
            "results/studies/{study}/ratios.png",
            caption="../resources/report/study_ratios.rst",
            category="Did it help?",
            labels={"study": "{study}", "figure": "4 how many synthetic images"},
        ),
        correlations=report(
            "results/studies/{study}/correlations.png",
            caption="../resources/report/study_correlations.rst",
            category="Did it help?",
            labels={"study": "{study}", "figure": "5 which metric foretold it"},
        ),
        table="results/studies/{study}/arms.csv",
        page="results/studies/{study}/study.md",
    log:
        "logs/report_study/{study}.log",
    benchmark:
        "benchmarks/report_study/{study}.tsv"
    retries: 0
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    params:
        version=STAGE["report"],
    script:
        "../scripts/report_study.py"
