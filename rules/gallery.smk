include: "inputs/gallery.smk"


rule gallery:
    """Put every image of every set on one page, with its scores and what a selection would keep."""
    input:
        plan=get_reported_sets("results/{dataset}/{generator}/plan.csv"),
        manifest=get_reported_sets(f"results/{GENERATED}/manifest.csv"),
        labels=get_reported_sets(f"results/{GENERATED}/labels.csv"),
        real=get_reported_sets("results/real/{dataset}/train/manifest.csv"),
        real_labels=get_reported_sets("results/real/{dataset}/train/labels.csv"),
        scores=get_gallery_scores(),
    output:
        page="results/report/gallery.html",
    log:
        "logs/gallery.log",
    benchmark:
        "benchmarks/gallery.tsv"
    priority: FILLS_GAPS
    conda:
        "../envs/report.yaml"
    threads: get_threads(shown)
    resources:
        mem_mb=get_memory(4000),
        runtime=get_gallery_minutes,
    params:
        sets=get_gallery_sets(),
        page=model_fingerprint(Path(workflow.basedir) / "resources" / "gallery"),
        version=STAGE["report"],
    script:
        "../scripts/gallery.py"
