# What the rules of report.smk are given.


# What the report is about: every selection and feature model of every set, and the mixes against
# which the others are held (BASELINES): the real images once, and nothing else.
SELECTED = [
    {"dataset": entry["dataset"], "generator": entry["generator"], "selection": name}
    for entry in REPORTED
    for name in entry["selections"]
]
MEASURED = [
    {"dataset": entry["dataset"], "generator": entry["generator"], "features": name}
    for entry in REPORTED
    for name in entry["features"]
]


def get_shown_selection(wildcards):
    """What a selection did to a set: plan, images, what was kept, and the scores to show it by."""
    root = f"results/{wildcards.dataset}/{wildcards.generator}"
    selection = config["selections"][wildcards.selection]
    features = [*selection_features(selection), *get_set(wildcards)["features"]][0]
    return {
        "plan": f"{root}/plan.csv",
        "generated": f"results/generated/{wildcards.dataset}/{wildcards.generator}/manifest.csv",
        "selected": f"{root}/selected/{wildcards.selection}.csv",
        "scores": f"{root}/scores/{features}.csv",
    }


def arms_of(wildcards):
    """The arms of one dataset and trainer."""
    return [
        arm
        for arm in ARMS
        if (arm["dataset"], arm["trainer"]) == (wildcards.dataset, wildcards.trainer)
    ]


def get_arms_of(file):
    """One file of each arm of the dataset and trainer that the wildcards name."""
    return lambda wildcards: [f"results/{ARM}/{file}".format(**arm) for arm in arms_of(wildcards)]


def get_arm_names(wildcards):
    names = ("generator", "selection", "mix", "seed")
    return [{name: arm[name] for name in names} for arm in arms_of(wildcards)]


TRAINED = {arm["mix"] for arm in ARMS}
BASELINES = [
    name
    for name, mix in config["mixes"].items()
    if name in TRAINED
    and mix["synthetic"] == 0
    and mix["duplicate"] == 1
    and mix["classical"] is None
]


LABELED = [
    {"dataset": name, "split": split}
    for name in dict.fromkeys(entry["dataset"] for entry in REPORTED)
    for split in SPLITS
]


def get_configfiles():
    """Whose summary it is: the config files by one name each, however the command names them."""
    paths = [os.path.relpath(os.path.realpath(path)) for path in workflow.configfiles]
    return list(dict.fromkeys(paths))


def get_trained(pattern):
    """One path per dataset and trainer."""
    trained = sorted({(arm["dataset"], arm["trainer"]) for arm in ARMS})
    return [pattern.format(dataset=dataset, trainer=trainer) for dataset, trainer in trained]


def get_figures():
    """Every figure of the report, and the page of each rule that makes several files."""
    figures = get_trained("results/report/curves/{dataset}/{trainer}.png")
    figures += get_trained("results/report/arms/{dataset}/{trainer}.png")
    for kind in ("sheets", "scores"):
        pattern = f"results/report/{kind}/{{dataset}}/{{generator}}/{{selection}}.png"
        figures += [pattern.format(**entry) for entry in SELECTED]
    extremes = "results/report/extremes/{dataset}/{generator}/{features}.png"
    figures += [extremes.format(**entry) for entry in MEASURED]
    figures += get_reported_sets("results/report/metrics/{dataset}/{generator}.html")
    figures.append("results/report/gallery.html")
    return figures


def get_report():
    """Every file of the report: what the default target names is made again where it is missing."""
    tables = []
    for suffix in ("csv", "md"):
        tables += get_trained(f"results/report/arms/{{dataset}}/{{trainer}}.{suffix}")
        tables += get_reported_sets(f"results/report/metrics/{{dataset}}/{{generator}}.{suffix}")
    pages = ["results/report/summary.md", "results/report/summary.html"]
    return [*get_figures(), *tables, *pages] if ARMS else []


def get_summary_inputs():
    """What the summary counts, and every figure and table, so that it is the last thing made."""
    root = "results/{dataset}/{generator}"
    return {
        "real": [f"results/real/{entry['dataset']}/train/manifest.csv" for entry in REPORTED],
        "generated": get_reported_sets("results/generated/{dataset}/{generator}/manifest.csv"),
        "selected": [f"{root}/selected/{{selection}}.csv".format(**entry) for entry in SELECTED],
        "metrics": [f"{root}/metrics/{{features}}.yaml".format(**entry) for entry in MEASURED],
        "models": get_models(),
        "mixes": [f"{MIX}/mix.yaml".format(**arm) for arm in ARMS],
        "labels": [f"results/{REAL}/labels.yaml".format(**entry) for entry in LABELED],
        "figures": get_figures(),
    }
