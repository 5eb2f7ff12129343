"""The summary of a whole run, short enough to end it in a terminal."""

from collections.abc import Mapping, Sequence

from cia.remedies import command
from cia.reporting.arms import (
    TrainedModels,
    difference,
    estimate,
    estimate_words,
    find_baseline,
    main_metric,
    seeds_words,
)
from cia.reporting.labels import label_parts
from cia.reporting.metrics import value_words
from cia.reporting.pages import Part, Table, format_share
from cia.reporting.verdict import nothing_told

_MOST_ARMS = 10
_MOST_METRICS = 3

_WHERE = (
    "Kept images, best first: results/{dataset}/{generator}/selected/",
    "Training sets: data/mixed/; weights and test metrics: results/{dataset}/{generator}/models/",
    "Another configuration's run in this folder writes its summary and its gallery over these: "
    "copy results/report/ before, or give it a folder of its own",
)


def summary_parts(
    sets: Sequence[Mapping],
    groups: Mapping[tuple[str, str], Sequence[TrainedModels]],
    baselines: Sequence[str],
    shortages: Sequence[str] = (),
    labels: Sequence[Mapping] = (),
    configfiles: Sequence[str] = (),
) -> list[Part]:
    """Return the summary's tables and words.

    Parameters
    ----------
    sets : sequence of mapping
        Per generated set: dataset, generator, real and synthetic (numbers of images), kept
        (selection to number), metrics (feature model to the content of its metrics file).
    groups : mapping
        (dataset, trainer) to its arms.
    baselines : sequence of str
        Mixes of the real images alone, see `find_baseline`.
    shortages : sequence of str
        What `shortage` says of training sets.
    configfiles : sequence of str
        The configuration that the run is of.
    labels : sequence of mapping
        See `label_parts`.
    """
    parts: list[Part] = [f"Configuration: {', '.join(configfiles)}"] if configfiles else []
    parts.append(_sets_table(sets))
    if groups:
        parts += [_arms_table(groups, baselines), f"{_arms_words(groups)} {_tested_words(groups)}"]
    if doubts := [*_nothing_learned(groups), *shortages]:
        parts.append(doubts)
    parts += label_parts(labels)
    first = sets[0] if len(sets) == 1 else {}
    names = {name: first.get(name, f"{{{name}}}") for name in ("dataset", "generator")}
    page = command("--report report.html")
    whole = f"Every figure and table: results/report/ (`{page}` puts them on one page)"
    return [*parts, [whole, *(point.format(**names) for point in _WHERE)]]


def shortage(arm: Mapping, mix: Mapping) -> str:
    """Say that a training set got fewer synthetic images than its mix asks for, or nothing.

    Parameters
    ----------
    arm : mapping
        dataset, generator, selection, mix.
    mix : mapping
        Content of the training set's mix.yaml.
    """
    asked, got = mix["synthetic_asked"], mix["train_synthetic"]
    if got >= asked:
        return ""
    return (
        f"{arm['mix']} of {arm['dataset']} asks for {asked} synthetic images, and the selection "
        f"{arm['selection']} kept {got} of {arm['generator']}: not an arm of the size you meant."
    )


def _sets_table(sets: Sequence[Mapping]) -> Table:
    measured = list(
        dict.fromkeys(
            (features, metric)
            for entry in sets
            for features, content in entry["metrics"].items()
            for metric in content["metrics"]
        )
    )[:_MOST_METRICS]
    headers = ["dataset", "generator", "real", "synthetic", "kept"]
    headers += [f"{metric.replace('_', ' ')} ({features})" for features, metric in measured]
    rows = []
    for entry in sets:
        kept = ", ".join(f"{name} {count}" for name, count in entry["kept"].items())
        counts = [str(entry["real"]), str(entry["synthetic"]), kept]
        metrics = [
            value_words(entry["metrics"].get(features, {}).get("metrics", {}).get(metric, {}))
            for features, metric in measured
        ]
        rows.append([entry["dataset"], entry["generator"], *counts, *metrics])
    return Table(headers, rows, (2, 3, *range(5, len(headers))))


def _arms_table(groups: Mapping, baselines: Sequence[str]) -> Table:
    most = max(2, _MOST_ARMS // len(groups))
    headers = ["dataset", "trainer", "arm", "training images", "test", "to real only"]
    rows = []
    for (dataset, trainer), arms in groups.items():
        metric = main_metric(arms)
        baseline = find_baseline(arms, baselines)
        for arm in _most_telling(arms, baseline, metric, most):
            value = estimate(list(arm.values[metric].values()))
            gap = "" if baseline is None or arm is baseline else _gap(arm, baseline, metric)
            result = f"{metric} {format_share(value.mean)}"
            rows.append([dataset, trainer, arm.label, arm.images, result, gap])
    return Table(headers, rows, (4, 5))


def _most_telling(
    arms: Sequence[TrainedModels], baseline: TrainedModels | None, metric: str, most: int
) -> Sequence[TrainedModels]:
    """Return the baseline and the best arms, in their order, if there are more than `most`."""
    if len(arms) <= most:
        return arms
    means = {id(arm): estimate(list(arm.values[metric].values())).mean for arm in arms}
    ranked = sorted(arms, key=lambda arm: (arm is not baseline, -means[id(arm)]))
    shown = {id(arm) for arm in ranked[:most]}
    return [arm for arm in arms if id(arm) in shown]


def _gap(arm: TrainedModels, baseline: TrainedModels, metric: str) -> str:
    return estimate_words(difference(arm, baseline, metric), signed=True)


def _arms_words(groups: Mapping) -> str:
    words = f"{seeds_words([arm for arms in groups.values() for arm in arms]).capitalize()}."
    most = max(2, _MOST_ARMS // len(groups))
    hidden = sum(max(0, len(arms) - most) for arms in groups.values())
    if hidden:
        words += f" The real-only and best arms are shown; results/report/arms/ has {hidden} more."
    return words


def _tested_words(groups: Mapping) -> str:
    """Say how many test images the results are of: a few dozen tell no small difference."""
    images = {dataset: arms[0].n["test"] for (dataset, _), arms in groups.items()}
    counts = " and ".join(f"{count} of {dataset}" for dataset, count in images.items())
    return f"Real test images: {counts}."


def _nothing_learned(groups: Mapping) -> list[str]:
    """Say of which trainings nothing can be told, since all arms score 0.000, or the same."""
    found = []
    for (dataset, trainer), arms in groups.items():
        metric = main_metric(arms)
        words = nothing_told([estimate(list(arm.values[metric].values())).mean for arm in arms])
        if words:
            found.append(f"With {trainer} on {dataset}, {words[0].lower()}{words[1:]}")
    return found
