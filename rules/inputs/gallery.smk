# What the rules of gallery.smk are given.


def get_gallery_features(entry):
    """The feature models whose scores the gallery shows: those measured, and those selected by."""
    chosen = [selection_features(config["selections"][name]) for name in entry["selections"]]
    return list(dict.fromkeys(sum(chosen, entry["features"])))


def get_gallery_sets():
    """Every set as the gallery shows it: what its labels mean, and the selections made from it."""
    return [
        {
            "dataset": entry["dataset"],
            "generator": entry["generator"],
            "task": config["datasets"][entry["dataset"]]["task"],
            "classes": config["datasets"][entry["dataset"]]["classes"],
            "selections": {name: config["selections"][name] for name in entry["selections"]},
            "features": get_gallery_features(entry),
            **keypoints_of(entry["dataset"]),
        }
        for entry in REPORTED
    ]


def get_gallery_scores():
    """The scores of every set, in the order of `get_gallery_sets`."""
    return [
        f"results/{entry['dataset']}/{entry['generator']}/scores/{name}.csv"
        for entry in REPORTED
        for name in get_gallery_features(entry)
    ]
