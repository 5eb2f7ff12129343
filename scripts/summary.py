"""Sum up the whole run in a few lines: images, metrics, and what each training set led to."""

from cia.files import read_yaml, write_text
from cia.reporting.arms import collect_arms
from cia.reporting.pages import html_page, markdown_page
from cia.reporting.summary import shortage, summary_parts
from cia.runtime.jobs import run
from cia.tables import read_table


def main(job):
    real = {
        entry["dataset"]: len(read_table(path, "manifest"))
        for entry, path in zip(job.params.datasets, job.input.real, strict=True)
    }
    sets = {}
    for entry, path in zip(job.params.sets, job.input.generated, strict=True):
        counts = {"real": real[entry["dataset"]], "synthetic": len(read_table(path, "manifest"))}
        sets[_key(entry)] = {**entry, **counts, "kept": {}, "metrics": {}}
    for entry, path in zip(job.params.selections, job.input.selected, strict=True):
        sets[_key(entry)]["kept"][entry["selection"]] = len(read_table(path, "selected"))
    for entry, path in zip(job.params.metrics, job.input.metrics, strict=True):
        sets[_key(entry)]["metrics"][entry["features"]] = read_yaml(path)
    groups, shortages = {}, {}
    for arm, path, mix in zip(job.params.arms, job.input.models, job.input.mixes, strict=True):
        groups.setdefault((arm["dataset"], arm["trainer"]), []).append((arm, read_yaml(path)))
        if mix not in shortages:  # one training set has several seeds and trainers
            shortages[mix] = shortage(arm, read_yaml(mix))
    labels = [
        {**entry, **read_yaml(path)}
        for entry, path in zip(job.params.labels, job.input.labels, strict=True)
    ]
    arms = {key: collect_arms(models) for key, models in groups.items()}
    parts = summary_parts(
        list(sets.values()),
        arms,
        job.params.baselines,
        list(filter(None, shortages.values())),
        labels,
        job.params.configfiles,
    )
    write_text(job.output.summary, markdown_page("Summary", parts))
    write_text(job.output.html, html_page("Summary", parts))


def _key(entry):
    return entry["dataset"], entry["generator"]


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
