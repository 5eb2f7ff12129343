"""Studies: what a question to a dataset takes, as datasets, mixes and arms.

Every arm of a replicate stands on its own draw of N real images, which is a dataset of its own (a
*subset*), so that condition maps, synthetic images, scores and judges know no other picture. Light
on purpose: the Snakefile imports it for every dry run.
"""

from collections.abc import Iterator
from copy import deepcopy

RANDOM = "at_random"
"""The selection of the arms that choose at random: best ranks are those of a hash."""


OF_LABELS = ("task", "classes", "kpt_shape", "flip_idx", "skeleton", "keypoints")
"""What a dataset says of its labels, which a subset of it has too."""


def with_studies(config: dict) -> dict:
    """Return the config with the subsets, mixes and the selection that its studies take."""
    full = deepcopy(config)
    for name, study in config["studies"].items():
        for table, entries in made_entries(name, study, config).items():
            full[table] |= entries
        full["selections"][RANDOM] = {"method": "all"}
    return full


def made_entries(name: str, study: dict, config: dict) -> dict[str, dict]:
    """Return the datasets (subsets) and mixes of a study, by table and name."""
    subsets = {
        subset(name, real, draw): _subset_entry(config, study, real, draw)
        for draw in study["seeds"]
        for real in sizes(study)
    }
    return {"datasets": subsets, "mixes": _mixes(name, study, config)}


def sizes(study: dict) -> list[int]:
    """List the numbers of real images of a study's learning curve, N and 2N among them."""
    return sorted({*study["curve"], study["real"], 2 * study["real"]})


def subset(name: str, real: int, draw: int) -> str:
    """Name the dataset of one draw of real images."""
    return f"{name}.real{real}.seed{draw}"


def study_arms(config: dict) -> list[dict]:
    """List the arms of all studies, each with every seed.

    Returns
    -------
    list of dict
        study, name, kind (real, duplicated, classical, random, selection, all, ratio, generator,
        twice, curve), real, ratio (added images per real one), against (the arm with as many of the
        same images at random, or None), and as in
        `cia.config.experiments.arms` dataset, generator, selection, mix, trainer, seed.
    """
    return [
        arm
        for name, study in config["studies"].items()
        for draw in study["seeds"]
        for arm in _arms(name, study, draw, config)
    ]


def one_replicate(name: str, study: dict, config: dict) -> list[dict]:
    """List a study's arms with its first seed; none while its generator is unknown."""
    if study["generator"] not in config["generators"]:
        return []
    return list(_arms(name, study, study["seeds"][0], config))


def training_key(kind: str, arm: dict) -> str:
    """Name one file of one training among the inputs of rule `evidence`."""
    return f"{kind}/{arm['name']}/seed{arm['seed']}"


def set_key(kind: str, arm: dict, features: str) -> str:
    """Name one file of an arm's image set among the inputs of rule `evidence`."""
    return f"{kind}/{arm['dataset']}/{arm['generator']}/{features}"


def study_sets(config: dict) -> list[dict]:
    """List the image sets that studies take, as `cia.config.experiments.generated_sets` does."""
    return [
        {
            "dataset": subset(name, study["real"], draw),
            "generator": generator,
            "features": study["features"],
            "judges": study["judges"],
            "selections": [RANDOM, *_selections(study, generator)],
        }
        for name, study in config["studies"].items()
        for draw in study["seeds"]
        for generator in [study["generator"], *study["others"]]
    ]


def _selections(study: dict, generator: str) -> list[str]:
    """List the selections that a study's arms make from one generator's images."""
    if generator == study["generator"]:
        return study["selections"]
    return [pair["selection"] for pair in study["filtered"] if pair["generator"] == generator]


def _subset_entry(config: dict, study: dict, real: int, draw: int) -> dict:
    source = config["datasets"][study["dataset"]]
    labels = {key: source[key] for key in OF_LABELS if source.get(key) is not None}
    return labels | {
        "subset": {"dataset": study["dataset"], "real": real, "draw": draw},
    }


def _mix(**settings) -> dict:
    plain = {"synthetic": 0, "unit": "ratio", "keep_training_size": False, "duplicate": 1}
    return plain | {"classical": None} | settings


def _mixes(name: str, study: dict, config: dict) -> dict[str, dict]:
    ratio = study["ratio"]
    mixes = {"real": _mix(), "duplicated": _mix(duplicate=1 + ratio)}
    for value in {ratio, *study["ratios"], _all(study, config)}:
        mixes[f"plus{value:g}"] = _mix(synthetic=value)
    if study["classical"]:
        mixes["classical"] = _mix(classical={"ratio": ratio, "augmentation": study["classical"]})
    return {f"{name}.{key}": mix for key, mix in mixes.items()}


def _all(study: dict, config: dict) -> int:
    return config["generators"][study["generator"]]["variants"]


def _arms(name: str, study: dict, draw: int, config: dict) -> Iterator[dict]:
    real, ratio = study["real"], study["ratio"]

    def arm(arm_name, kind, mix, added=0.0, size=real, generator="none", selection="none"):
        return {
            "against": None,
            "study": name,
            "name": arm_name,
            "kind": kind,
            "real": size,
            "ratio": added,
            "dataset": subset(name, size, draw),
            "generator": generator,
            "selection": selection,
            "mix": f"{name}.{mix}",
            "trainer": study["trainer"],
            "seed": draw,
        }

    def synthetic(arm_name, kind, added, generator=study["generator"], selection=RANDOM, than=None):
        found = arm(arm_name, kind, f"plus{added:g}", added, real, generator, selection)
        return found | {"against": than}

    for size in sizes(study):
        kind = {real: "real", 2 * real: "twice"}.get(size, "curve")
        yield arm(f"{size} real", kind, "real", size=size)
    yield arm("duplicated", "duplicated", "duplicated", ratio)
    if study["classical"]:
        yield arm("classical", "classical", "classical", ratio)
    yield synthetic("random", "random", ratio)
    for selection in study["selections"]:
        yield synthetic(selection, "selection", ratio, selection=selection, than="random")
    for generator in study["others"]:
        yield synthetic(generator, "generator", ratio, generator, than="random")
    for pair in study["filtered"]:
        chosen = f"{pair['generator']}, {pair['selection']}"
        yield synthetic(
            chosen, "selection", ratio, pair["generator"], pair["selection"], pair["generator"]
        )
    everything = float(_all(study, config))
    if everything != ratio:
        yield synthetic("all", "all", everything)
    for value in study["ratios"]:
        if value not in (ratio, everything):
            yield synthetic(f"ratio {value:g}", "ratio", value)
