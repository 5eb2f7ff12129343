include: "inputs/report.smk"


rule report_sheet:
    """Show real images, condition maps and synthetic images side by side, best to worst."""
    input:
        unpack(get_shown_selection),
        real="results/real/{dataset}/train/manifest.csv",
        real_labels="results/real/{dataset}/train/labels.csv",
        generated_labels=f"results/{GENERATED}/labels.csv",
    output:
        sheet=report(
            "results/report/sheets/{dataset}/{generator}/{selection}.png",
            caption="../resources/report/sheet.rst",
            category="Images",
            labels={
                "dataset": "{dataset}",
                "generator": "{generator}",
                "selection": "{selection}",
            },
        ),
    log:
        "logs/report_sheet/{dataset}/{generator}/{selection}.log",
    benchmark:
        "benchmarks/report_sheet/{dataset}/{generator}/{selection}.tsv"
    priority: FILLS_GAPS
    retries: 0
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    params:
        settings=get_settings("selections"),
        task=get_dataset("task"),
        classes=get_dataset("classes"),
        keypoints=get_keypoints,
        rows=6,
        variants=3,
        version=STAGE["report"],
    script:
        "../scripts/report_sheet.py"


rule report_scores:
    """Draw the scores of the synthetic images with the selection's cut."""
    input:
        unpack(get_shown_selection),
    output:
        figure=report(
            "results/report/scores/{dataset}/{generator}/{selection}.png",
            caption="../resources/report/scores.rst",
            category="Selection",
            labels={
                "dataset": "{dataset}",
                "generator": "{generator}",
                "selection": "{selection}",
            },
        ),
    log:
        "logs/report_scores/{dataset}/{generator}/{selection}.log",
    benchmark:
        "benchmarks/report_scores/{dataset}/{generator}/{selection}.tsv"
    priority: FILLS_GAPS
    retries: 0
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    params:
        settings=get_settings("selections"),
        version=STAGE["report"],
    script:
        "../scripts/report_scores.py"


rule report_extremes:
    """Show the best, middle and worst synthetic images by each score."""
    input:
        scores="results/{dataset}/{generator}/scores/{features}.csv",
        labels=f"results/{GENERATED}/labels.csv",
    output:
        sheet=report(
            "results/report/extremes/{dataset}/{generator}/{features}.png",
            caption="../resources/report/extremes.rst",
            category="Selection",
            labels={
                "dataset": "{dataset}",
                "generator": "{generator}",
                "selection": "best, middle, worst ({features})",
            },
        ),
    log:
        "logs/report_extremes/{dataset}/{generator}/{features}.log",
    benchmark:
        "benchmarks/report_extremes/{dataset}/{generator}/{features}.tsv"
    priority: FILLS_GAPS
    retries: 0
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    params:
        task=get_dataset("task"),
        classes=get_dataset("classes"),
        keypoints=get_keypoints,
        version=STAGE["report"],
    script:
        "../scripts/report_extremes.py"


rule report_metrics:
    """Put the metrics of one set of synthetic images in a table."""
    input:
        metrics=get_of_set("features", "results/{dataset}/{generator}/metrics/{name}.yaml"),
    output:
        csv="results/report/metrics/{dataset}/{generator}.csv",
        markdown="results/report/metrics/{dataset}/{generator}.md",
        html=report(
            "results/report/metrics/{dataset}/{generator}.html",
            caption="../resources/report/metrics.rst",
            category="Metrics",
            labels={"dataset": "{dataset}", "generator": "{generator}"},
        ),
    log:
        "logs/report_metrics/{dataset}/{generator}.log",
    benchmark:
        "benchmarks/report_metrics/{dataset}/{generator}.tsv"
    priority: FILLS_GAPS
    retries: 0
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    params:
        version=STAGE["report"],
    script:
        "../scripts/report_metrics.py"


rule report_curves:
    """Draw the training curves of every arm of a dataset and trainer."""
    input:
        metrics=get_arms_of("metrics.yaml"),
        curves=get_arms_of("curves.csv"),
    output:
        figure=report(
            "results/report/curves/{dataset}/{trainer}.png",
            caption="../resources/report/curves.rst",
            category="Training",
            labels={"dataset": "{dataset}", "trainer": "{trainer}", "figure": "curves"},
        ),
    log:
        "logs/report_curves/{dataset}/{trainer}.log",
    benchmark:
        "benchmarks/report_curves/{dataset}/{trainer}.tsv"
    priority: FILLS_GAPS
    retries: 0
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    params:
        arms=get_arm_names,
        version=STAGE["report"],
    script:
        "../scripts/report_curves.py"


rule report_arms:
    """Compare the test results of models that differ in their training set alone."""
    input:
        metrics=get_arms_of("metrics.yaml"),
    output:
        csv="results/report/arms/{dataset}/{trainer}.csv",
        markdown="results/report/arms/{dataset}/{trainer}.md",
        figure=report(
            "results/report/arms/{dataset}/{trainer}.png",
            caption="../resources/report/arms.rst",
            category="Training",
            labels={"dataset": "{dataset}", "trainer": "{trainer}", "figure": "test results"},
        ),
    log:
        "logs/report_arms/{dataset}/{trainer}.log",
    benchmark:
        "benchmarks/report_arms/{dataset}/{trainer}.tsv"
    priority: FILLS_GAPS
    retries: 0
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    params:
        arms=get_arm_names,
        baselines=BASELINES,
        version=STAGE["report"],
    script:
        "../scripts/report_arms.py"


rule summary:
    """Sum the whole run up in a few lines."""
    input:
        **get_summary_inputs(),
    output:
        summary="results/report/summary.md",
        html=report(
            "results/report/summary.html",
            caption="../resources/report/summary.rst",
            category="Training",
            labels={"figure": "summary"},
        ),
    log:
        "logs/summary.log",
    benchmark:
        "benchmarks/summary.tsv"
    retries: 0
    localrule: True
    conda:
        "../envs/report.yaml"
    threads: 1
    params:
        configfiles=get_configfiles(),
        datasets=[{"dataset": entry["dataset"]} for entry in REPORTED],
        sets=[{"dataset": entry["dataset"], "generator": entry["generator"]} for entry in REPORTED],
        selections=SELECTED,
        metrics=MEASURED,
        arms=ARMS,
        baselines=BASELINES,
        labels=LABELED,
        version=STAGE["report"],
    script:
        "../scripts/summary.py"
