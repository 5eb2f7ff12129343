rule summary:
    output:
        "results/report/summary.md",


rule metadata:
    input:
        lambda wc: [
            f"results/{wc.dataset}/{wc.controlnet}/metrics/{f}.yaml"
            for f in get_set(wc)["features"]
        ]
        + [
            f"results/{wc.dataset}/{wc.controlnet}/selected/{f}.csv"
            for f in get_set(wc)["selections"]
        ],
    output:
        "data/generated/{dataset}/{controlnet}/metadata.yaml",
