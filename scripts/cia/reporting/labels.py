"""What the summary says of labels: the classes by split, and what is missing or was reduced."""

from collections.abc import Mapping, Sequence

from cia.labels.reading import FEW, few_words, reduced_words
from cia.reporting.pages import Part, Table, format_number

_MOST_CLASSES = 8
_NO_OBJECT = "(no object)"


def label_parts(labels: Sequence[Mapping]) -> list[Part]:
    """Return the table of classes by split, and words on those with few examples or none.

    Parameters
    ----------
    labels : sequence of mapping
        Per real split: dataset, split, and the content of its labels.yaml.
    """
    datasets: dict[str, dict[str, Mapping]] = {}
    for entry in labels:
        datasets.setdefault(entry["dataset"], {})[entry["split"]] = entry
    if not datasets:
        return []
    splits = list(dict.fromkeys(entry["split"] for entry in labels))
    rows = [
        (dataset, name, [counts.get(name, 0) for counts in map(_counts, of.values())])
        for dataset, of in datasets.items()
        for name in dict.fromkeys(name for entry in of.values() for name in _counts(entry))
    ]
    rarest = sorted(rows, key=lambda row: row[2])[:_MOST_CLASSES]
    shown = [
        [dataset, name, *map(format_number, counts)]
        for dataset, name, counts in rows
        if (dataset, name, counts) in rarest
    ]
    parts: list[Part] = [Table(["dataset", "class", *splits], shown, (2, 3, 4))]
    if len(rows) > len(shown):
        parts.append(
            f"The {len(shown)} of {len(rows)} classes with the fewest training examples; "
            "results/real/{dataset}/{split}/labels.yaml has all."
        )
    points = [point for dataset, of in datasets.items() for point in _points(dataset, of)]
    return [*parts, points] if points else parts


def _counts(entry: Mapping) -> dict[str, int]:
    """Return the examples of each class, pictures without objects last, where there are any."""
    without = entry.get("backgrounds", 0)
    return {**entry["classes"], **({_NO_OBJECT: without} if without else {})}


def _points(dataset: str, splits: Mapping[str, Mapping]) -> list[str]:
    points = []
    for split, entry in splits.items():
        words = few_words(entry["classes"], FEW if split == "train" else 1)
        if words and split == "train":
            points.append(f"{dataset}: classes with few training examples, or none: {words}.")
        elif words:
            points.append(f"{dataset}: {split} can't tell how well these are learned: {words}.")
        if words := reduced_words(entry.get("reduced", {})):
            points.append(f"{dataset}: in {split}, {words}.")
    return points
