"""Put every image of every set on one page, with its scores and what a selection would keep."""

from cia.reporting.gallery import ImageSet, write_gallery
from cia.runtime.jobs import run
from cia.tables import read_table


def main(job):
    scores = iter(job.input.scores)
    sets = []
    for number, entry in enumerate(job.params.sets):
        tables = {
            name: read_table(job.input[name][number], kind)
            for name, kind in (
                ("plan", "plan"),
                ("manifest", "manifest"),
                ("labels", "labels"),
                ("real", "manifest"),
                ("real_labels", "labels"),
            )
        }
        settings = {key: value for key, value in entry.items() if key != "features"}
        scored = {name: read_table(next(scores)) for name in entry["features"]}
        sets.append(ImageSet(**settings, **tables, scores=scored))
    write_gallery(job.output.page, sets, job.threads)


if "snakemake" in globals():
    run(main, snakemake)  # noqa: F821
