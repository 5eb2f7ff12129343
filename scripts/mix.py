"""Put real and selected synthetic images together as one training set."""

import logging
import shutil
from pathlib import Path

import pandas as pd

from cia.errors import about
from cia.files import write_yaml
from cia.labels.reading import few_words
from cia.mixing.mixes import (
    YOLO_FILES,
    asked_synthetic,
    choose_entries,
    digest_entries,
    labeled,
    require_disjoint,
    require_from_train,
    summarize_mix,
    write_mix,
)
from cia.runtime.jobs import run
from cia.runtime.made import forget, record
from cia.tables import read_table

logger = logging.getLogger("cia")

SPLITS = ("train", "val", "test")
PICTURE = ("id", "image", "sha256")
"""What a mix has to know of a picture."""


def main(job):
    manifests = {
        name: read_table(job.input[f"{name}_manifest"], "manifest", PICTURE) for name in SPLITS
    }
    splits = {
        name: labeled(manifests[name], read_table(job.input[f"{name}_labels"], "labels"))
        for name in SPLITS
    }
    require_disjoint(manifests)
    synthetic = None
    if "selected" in job.input.keys():
        selected = read_table(job.input.selected, "selected", ["id", "image"])
        synthetic = labeled(selected, read_table(job.input.synthetic_labels, "labels"))
        sources = read_table(job.input.sources, "sources")
        require_from_train(synthetic, sources, manifests["train"])
    settings = dict(job.params.settings)
    keypoints = settings.pop("labels", None)
    folder = Path(job.output.dataset).parent
    classical, drawn = None, folder / ".classical"
    if settings.get("classical"):
        from cia.mixing.augmenting import augment_pictures  # torch, which other mixes need not load

        classical = augment_pictures(
            splits["train"], settings["classical"], job.params.task, job.params.seed, drawn
        )
    forget(folder)
    with about(f"mixes.{job.wildcards.mix}"):
        entries = choose_entries(splits, synthetic, settings, job.params.seed, classical)
    write_mix(folder, entries, job.params.task, job.params.classes, keypoints)
    shutil.rmtree(drawn, ignore_errors=True)
    asked = asked_synthetic(settings, len(splits["train"]))
    summary = summarize_mix(entries, settings, asked, job.params.task, job.params.classes)
    if words := few_words({name: sum(of.values()) for name, of in summary["classes"].items()}):
        logger.warning("Classes with few training examples, or none: %s", words)
    left_out = {name: len(manifests[name]) - len(splits[name]) for name in SPLITS}
    tables = [*manifests.values()]
    if synthetic is not None:
        tables.append(read_table(job.input.synthetic_manifest, "manifest", PICTURE))
    if classical is not None:
        tables.append(classical)
    digests = pd.concat([table[["image", "sha256"]] for table in tables]).set_index("image")
    content = digest_entries(entries, digests["sha256"])
    of_labels = {"labels": keypoints} if keypoints else {}
    summary |= {"without_label": left_out, "content": content, **of_labels}
    write_yaml(job.output.summary, summary)
    record(folder, names=("images", "labels", *YOLO_FILES))


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
