"""The names that entries of the configuration have of each other: known, free, fit for each other.

Light on purpose: the Snakefile imports it for every dry run.
"""

from collections.abc import Iterator

from cia.catalog import EXPORTS, JUDGES, SOURCES, TRAINERS, VARIATIONS, judge_of, score_numbers
from cia.config.model_names import model_for, model_task
from cia.config.studies import RANDOM, made_entries, one_replicate, sizes
from cia.errors import suggest
from cia.picking import picked_files
from cia.shares import count_of_ratio, count_of_share

EXPERIMENT_KEYS = (
    "dataset",
    "generators",
    "features",
    "judges",
    "selections",
    "mixes",
    "trainers",
)
"""What an experiment names, each in a table of its own."""

NONE = "none"
"""Stands in a path where an arm has no generator and no selection: no synthetic images."""

_FILES = {"provenance.yaml", "prune_store.csv"}
"""Files of their own in results/, where each dataset has a folder."""

_RESERVED = {
    "datasets": {"real", "generated", "report", "studies", "models", "made", *_FILES},
    "generators": {NONE},
    "selections": {NONE, RANDOM},
}
"""Names that mean something else in paths."""


def reference_errors(config: dict) -> Iterator[str]:
    """Yield a sentence for each name that is unknown, taken, or unfit where it stands."""
    for table, reserved in _RESERVED.items():
        for name in sorted(reserved.intersection(config[table])):
            yield f"{table}.{name}: this name has a meaning of its own in paths; choose another"
    for name, generator in config["generators"].items():
        yield from _unknown(config, f"generators.{name}.condition", "conditions", generator)
        yield from _unknown(config, f"generators.{name}.prompts", "prompts", generator)
        if generator["variation"] is not None:
            yield from _unknown(config, f"generators.{name}.variation", "variations", generator)
            yield from _unfit_prompts(config, name, generator)
    for name, selection in config["selections"].items():
        owner = {"features": selection_features(selection)}
        yield from _unknown(config, f"selections.{name}.features", "features", owner)
        yield from _unknown_scores(name, selection)
    for name, dataset in config["datasets"].items():
        yield from _source_errors(f"datasets.{name}", dataset)
    for name, judge in config["judges"].items():
        yield from _judge_errors(config, name, judge)
    for name, study in config["studies"].items():
        yield from _study_errors(config, name, study)
    for index, experiment in enumerate(config["experiments"]):
        for key in EXPERIMENT_KEYS:
            table = "datasets" if key == "dataset" else key
            yield from _unknown(config, f"experiments.{index}.{key}", table, experiment)
        yield from _unfit_trainers(config, f"experiments.{index}.trainers", experiment)
        yield from _unfit_judges(config, f"experiments.{index}.judges", experiment)
        yield from _unjudged(config, f"experiments.{index}", experiment)
        yield from _unfit_variations(config, f"experiments.{index}.generators", experiment)
        yield from _mirrored_keypoints(config, experiment)
        yield from _unfit_exports(config, f"experiments.{index}.exports", experiment)


def _source_errors(key: str, dataset: dict) -> Iterator[str]:
    source, classes = dataset.get("source"), dataset.get("classes")
    if source is None:
        if classes is None:
            yield f"{key}: `classes` is missing; only a `source` could name them"
        elif isinstance(classes, dict):
            yield f"{key}.classes: without a `source` there is nothing to rename; write a list"
        if "split" in dataset:
            yield f"{key}.split: only a dataset with a `source` can be split"
        if dataset.get("near_duplicates") == "together":
            yield f"{key}.near_duplicates: together needs a `source` with a `split`"
        return
    if dataset.get("near_duplicates") == "together" and "split" not in dataset:
        yield (
            f"{key}.near_duplicates: together needs `split`; splits of the source stay as they are"
        )
    if "prepare" in dataset:
        yield f"{key}: it has `prepare` and `source`; leave one out"
    tasks = SOURCES[source["format"]].tasks
    if dataset["task"] not in tasks:
        fits = [name for name, entry in SOURCES.items() if dataset["task"] in entry.tasks]
        yield (
            f"{key}.source.format: {source['format']!r} has no labels for {dataset['task']}; "
            f"those that have are {', '.join(fits)}"
        )


def _unknown_scores(name: str, selection: dict) -> Iterator[str]:
    known = score_numbers()
    for column in _scores_of(selection):
        if column not in known:
            yield f"selections.{name}: there is no score {column!r}{suggest(column, known)}"


def _judge_errors(config: dict, name: str, judge: dict) -> Iterator[str]:
    if not _has_model(judge):
        return
    yield from _unknown(config, f"judges.{name}.trainer", "trainers", judge)
    yield from _unknown(config, f"judges.{name}.mix", "mixes", judge)
    if config["mixes"].get(judge["mix"], {}).get("synthetic"):
        yield (
            f"judges.{name}.mix: {judge['mix']!r} has synthetic images; a judge of labels must "
            "be trained on real ones alone"
        )


def _has_model(judge: dict) -> bool:
    """Say whether a judge looks at images with a model that a trainer of the config trains."""
    return "model" in JUDGES[judge["kind"]].needs


def _study_errors(config: dict, name: str, study: dict) -> Iterator[str]:
    key = f"studies.{name}"
    tables = {"dataset": "datasets", "generator": "generators", "others": "generators"}
    tables |= {"features": "features", "judges": "judges", "selections": "selections"}
    for field, table in (tables | {"trainer": "trainers"}).items():
        yield from _unknown(config, f"{key}.{field}", table, study)
    if study["generator"] in study["others"]:
        yield (
            f"{key}.others: {study['generator']!r} is the study's `generator`, whose images the "
            "arm 'random' has; take it out of `others`"
        )
    for pair in study["filtered"]:
        yield from _unknown(config, f"{key}.filtered.selection", "selections", pair)
        if pair["generator"] == study["generator"]:
            yield (
                f"{key}.filtered: {pair['generator']!r} is the study's `generator`; put "
                f"{pair['selection']!r} into `selections`"
            )
        elif pair["generator"] not in study["others"]:
            yield f"{key}.filtered: {pair['generator']!r} is none of `others`; add it there"
    if config["trainers"].get(study["trainer"], {}).get("steps", 0) is None:
        yield (
            f"{key}.trainer: {study['trainer']!r} trains for epochs, which are more steps for a "
            "larger training set; give it `steps`, so that all arms see as many"
        )
    if config["trainers"].get(study["trainer"], {}).get("patience"):
        yield (
            f"{key}.trainer: {study['trainer']!r} has `patience`, by which some arms would stop "
            "early; set it to 0, so that all arms see as many steps"
        )
    arms_of_study = one_replicate(name, study, config)
    names = [arm["name"] for arm in arms_of_study]
    for twice in sorted({arm for arm in names if names.count(arm) > 1}):
        yield (
            f"{key}: two arms would be named {twice!r}; give the selection or generator another "
            "name, or the ratio another value"
        )
    found = (_too_small(config, key, arm) for arm in arms_of_study)
    yield from dict.fromkeys(filter(None, found))
    yield from _unfit_trainers(config, f"{key}.trainer", {**study, "trainers": [study["trainer"]]})
    everything = [study["generator"], *study["others"]]
    yield from _unfit_judges(config, f"{key}.judges", study)
    yield from _picked_in_study(config, key, study)
    yield from _unjudged(config, key, study)
    yield from _taken(config, name, study)
    yield from _stock_too_small(config, key, study)
    owner = {**study, "generators": everything}
    yield from _unfit_variations(config, f"{key}.others", owner)
    yield from _mirrored_keypoints(config, {**owner, "arms": name})


def _too_small(config: dict, key: str, arm: dict) -> str | None:
    """Arms are compared at one size, so each needs enough images, after a selection too."""
    ratio, generator = arm["ratio"], arm["generator"]
    if generator not in config["generators"]:
        return None  # an arm of real images, or a name that is reported elsewhere
    variants = config["generators"][generator]["variants"]
    if variants < ratio:
        return (
            f"{key}: a ratio of {ratio:g} takes more images than the {variants} `variants` "
            f"of {generator!r}"
        )
    asked, candidates = count_of_ratio(ratio, arm["real"]), variants * arm["real"]
    kept = kept_at_most(config["selections"].get(arm["selection"], {"method": "all"}), candidates)
    if kept < asked:
        return (
            f"{key}: selection {arm['selection']!r} keeps {kept} of {candidates} images of "
            f"{generator!r} ({variants} `variants` of {arm['real']} real ones), which is fewer "
            f"than the {asked} that a ratio of {ratio:g} takes; raise one or the other"
        )
    return None


def kept_at_most(selection: dict, candidates: int) -> int:
    """Return how many of so many candidates a selection can keep, as far as its settings say."""
    method = selection["method"]
    if selection.get("per_class"):
        return candidates  # depends on the labels: an image of several classes counts for each
    if method in ("random", "top_k") and selection["value"] >= 1:
        return min(int(selection["value"]), candidates)
    if method in ("random", "top_p"):
        return count_of_share(selection["value"], candidates)
    if method == "band":
        low, high = (count_of_share(selection[end], candidates) for end in ("low", "high"))
        return high - low
    if method == "sequence":
        for step in selection["steps"]:
            candidates = kept_at_most(step, candidates)
    return candidates


def _unfit_judges(config: dict, key: str, experiment: dict) -> Iterator[str]:
    known = [config["judges"][name] for name in experiment["judges"] if name in config["judges"]]
    kinds = [judge["kind"] for judge in known]
    for kind in sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        yield f"{key}: two judges of kind {kind!r}, whose scores would have the same names"
    trainers = [judge["trainer"] for judge in known if _has_model(judge)]
    yield from _unfit_trainers(config, key, {**experiment, "trainers": trainers})


def _unjudged(config: dict, key: str, owner: dict) -> Iterator[str]:
    """A selection by a score that no judge gives would be found out when all images are made."""
    kinds = {config["judges"].get(name, {}).get("kind") for name in owner["judges"]}
    pairs = [pair["selection"] for pair in owner.get("filtered", [])]
    for name in dict.fromkeys([*owner["selections"], *pairs]):
        for column in _scores_of(config["selections"].get(name, {})):
            if judge_of(column) not in {None, *kinds}:
                yield (
                    f"{key}: selection {name!r} goes by {column!r}, which a judge of kind "
                    f"{judge_of(column)!r} gives; name such a one in `judges`"
                )


def _picked_in_study(config: dict, key: str, study: dict) -> Iterator[str]:
    """A study makes image sets of its own, of draws of the real images, which no page shows."""
    pairs = [pair["selection"] for pair in study["filtered"]]
    for name in dict.fromkeys([*study["selections"], *pairs]):
        if picked_files(config["selections"].get(name, {"method": "all"})):
            yield (
                f"{key}: selection {name!r} has verdicts by hand, and the gallery shows only the "
                "images of `experiments`, not those of a study; use another selection"
            )


def _scores_of(selection: dict) -> list[str]:
    scores = [step.get("score", []) for step in selection.get("steps", [selection])]
    return [name for score in scores for name in ([score] if isinstance(score, str) else score)]


def _taken(config: dict, name: str, study: dict) -> Iterator[str]:
    if study["generator"] not in config["generators"] or study["dataset"] not in config["datasets"]:
        return
    for table, entries in made_entries(name, study, config).items():
        for taken in sorted(entries.keys() & config[table].keys()):
            yield f"{table}.{taken}: studies.{name} makes one of this name; choose another"


def _stock_too_small(config: dict, key: str, study: dict) -> Iterator[str]:
    """As far as the config says how many pictures there are; rule `subset` counts them all."""
    stock = config["datasets"].get(study["dataset"], {}).get("prepare", {}).get("train")
    largest = max(sizes(study))
    if stock is not None and stock < largest:
        yield (
            f"{key}: {largest} real images (2N and `curve` count) cannot be drawn from the {stock} "
            f"of {study['dataset']!r}; lower `real` or `curve`, or raise "
            f"datasets.{study['dataset']}.prepare.train"
        )


def _unknown(config: dict, key: str, table: str, owner: dict) -> Iterator[str]:
    names = owner[key.rsplit(".", 1)[1]]
    for name in names if isinstance(names, list) else [names]:
        if name not in config[table]:
            known = list(config[table])
            yield f"{key}: {table} has no entry {name!r}{suggest(name, known)}"


def _unfit_prompts(config: dict, name: str, generator: dict) -> Iterator[str]:
    """A new layout holds other objects than its source, so the source's caption would be wrong."""
    kind = config["variations"].get(generator["variation"], {}).get("kind")
    prompts = config["prompts"].get(generator["prompts"])
    new_layouts = kind and VARIATIONS[kind].other_objects
    if new_layouts and prompts and uses_captions(prompts):
        yield (
            f"generators.{name}.prompts: {generator['prompts']!r} takes the real images' "
            f"captions, which are wrong for the new layouts of variation "
            f"{generator['variation']!r}; use kind vocabulary with {{objects}} in `templates` and "
            "without `replace`, or kind fixed"
        )


def _unfit_variations(config: dict, key: str, experiment: dict) -> Iterator[str]:
    task = config["datasets"].get(experiment["dataset"], {}).get("task")
    for name in experiment["generators"]:
        variation = config["generators"].get(name, {}).get("variation")
        kind = config["variations"].get(variation, {}).get("kind")
        if task and kind and task not in (VARIATIONS[kind].tasks or (task,)):
            fits = [o for o, entry in VARIATIONS.items() if task in (entry.tasks or (task,))]
            yield (
                f"{key}: {name!r} has variation {variation!r} of kind {kind!r}, which is for "
                f"{' or '.join(VARIATIONS[kind].tasks)}, but dataset {experiment['dataset']!r} is "
                f"for {task}: use kind {' or '.join(map(repr, fits))}"
            )


def _mirrored_keypoints(config: dict, experiment: dict) -> Iterator[str]:
    """A mirrored left hand looks like a right one, so its keypoint has to become the other one."""
    dataset = config["datasets"].get(experiment["dataset"], {})
    if dataset.get("task") != "pose" or dataset.get("flip_idx"):
        return
    generators = [config["generators"].get(name, {}) for name in experiment["generators"]]
    names = dict.fromkeys(entry.get("variation") for entry in generators)
    flips = {f"variations.{name}": config["variations"].get(name, {}) for name in names}
    for name in experiment.get("mixes", ()):
        classical = config["mixes"].get(name, {}).get("classical") or {}
        flips[f"mixes.{name}.classical.augmentation"] = classical.get("augmentation", {})
    if "arms" in experiment:
        flips[f"studies.{experiment['arms']}.classical"] = experiment["classical"] or {}
    for key, settings in flips.items():
        if settings.get("flip"):
            yield (
                f"{key}.flip: dataset {experiment['dataset']!r} has keypoints, and nothing says "
                "which one each becomes in a mirror image. Set `flip: 0`, or give the dataset its "
                "`flip_idx`: [1, 0] says that the two swap"
            )


def _unfit_exports(config: dict, key: str, experiment: dict) -> Iterator[str]:
    task = config["datasets"].get(experiment["dataset"], {}).get("task")
    fits = [form for form, export in EXPORTS.items() if task in export.tasks]
    for form in experiment["exports"]:
        if form not in EXPORTS:
            yield f"{key}: there is no format {form!r}{suggest(form, EXPORTS)}"
        elif task and form not in fits:
            yield (
                f"{key}: format {form!r} holds {EXPORTS[form].holds}, but dataset "
                f"{experiment['dataset']!r} is for {task}: use {' or '.join(map(repr, fits))}"
            )


def _unfit_trainers(config: dict, key: str, experiment: dict) -> Iterator[str]:
    task = config["datasets"].get(experiment["dataset"], {}).get("task")
    fits = [kind for kind, trainer in TRAINERS.items() if task in trainer.tasks]
    for name in experiment["trainers"]:
        trainer = config["trainers"].get(name, {})
        kind = trainer.get("kind")
        if task and kind and kind not in fits:
            yield (
                f"{key}: trainer {name!r} is of kind {kind!r}, but dataset "
                f"{experiment['dataset']!r} is for {task}, which takes kind "
                f"{' or '.join(map(repr, fits))}"
            )
        elif task and kind == "yolo":
            yield from _unfit_model(key, name, trainer["model"], experiment["dataset"], task)
            yield from _unmirrored(config, key, name, experiment["dataset"])


def _unfit_model(key: str, trainer: str, model: str, dataset: str, task: str) -> Iterator[str]:
    """A model of ultralytics whose name tells that it is for another task."""
    found = model_task(model)
    if found not in (None, task):
        other = model_for(model, task)
        yield (
            f"{key}: trainers.{trainer}.model is {model!r}, which is for {found}, but dataset "
            f"{dataset!r} is for {task}" + (f"; take {other!r}" if other else "")
        )


def _unmirrored(config: dict, key: str, trainer: str, dataset: str) -> Iterator[str]:
    """Ultralytics mirrors no picture with keypoints without `flip_idx`, whatever it is told."""
    entry, options = config["datasets"][dataset], config["trainers"][trainer]["options"]
    for option in ("fliplr", "flipud"):
        if entry["task"] == "pose" and not entry.get("flip_idx") and options.get(option):
            yield (
                f"{key}: trainer {trainer!r} has options.{option}, but dataset {dataset!r} has "
                "keypoints, and nothing says which one each becomes in a mirror image. Give it "
                "its `flip_idx` ([1, 0] says that the two swap), or leave the option out"
            )


def selection_features(selection: dict) -> list[str]:
    """List the feature models whose scores a selection reads."""
    steps = selection.get("steps", [selection])
    return list(dict.fromkeys(step["features"] for step in steps if "features" in step))


def uses_captions(prompts: dict) -> bool:
    """Say whether an entry of `prompts` reads the real images' captions."""
    templates = prompts.get("templates") or ["{caption}"]
    captioned = prompts.get("replace") or any("{caption}" in text for text in templates)
    return prompts["kind"] == "captions" or (prompts["kind"] == "vocabulary" and bool(captioned))
