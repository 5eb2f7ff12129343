rule features:
    """Describe each picture of an image set, real or generated, by a network's features."""
    input:
        manifest="results/{source}/manifest.csv",
    output:
        features="results/{source}/features/{features}.npy",
        rows="results/{source}/features/{features}.csv",
        probabilities="results/{source}/features/{features}.probabilities.npy",
    log:
        "logs/features/{source}/{features}.log",
    benchmark:
        "benchmarks/features/{source}/{features}.tsv"
    conda:
        "../envs/features.yaml"
    threads: get_threads(described)
    resources:
        gpu=get_features_gpu,
        mem_mb=get_features_memory,
        runtime=get_features_minutes,
        batch_size=get_network_batch(),
    params:
        settings=get_settings("features"),
        model_files=get_feature_files,
        version=STAGE["features"],
    script:
        "../scripts/features.py"


rule object_features:
    """Describe each labelled object of an image set by a network's features of its box."""
    input:
        manifest="results/{source}/manifest.csv",
        labels="results/{source}/labels.csv",
    output:
        features="results/{source}/features/{features}.objects.npy",
        rows="results/{source}/features/{features}.objects.csv",
    log:
        "logs/object_features/{source}/{features}.log",
    benchmark:
        "benchmarks/object_features/{source}/{features}.tsv"
    conda:
        "../envs/features.yaml"
    threads: get_threads(described)
    resources:
        gpu=get_features_gpu,
        mem_mb=get_features_memory,
        runtime=get_features_minutes,
        batch_size=get_network_batch(),
        task=get_task_of_source,  # not params: the labels tell it, too
    params:
        settings=get_settings("features"),
        model_files=get_feature_files,
        version=STAGE["features"],
    script:
        "../scripts/object_features.py"
