"""Put what the finished studies show into the README and into docs/studies, from their own files.

Usage: publish_studies.py    after `make study`

Writes docs/studies/{study}.md with its figures, and the results section of README.md between its
marks. Nothing in either is written by hand.
"""

import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from cia.files import read_yaml, write_text  # noqa: E402
from cia.reporting.pages import Table, markdown_table  # noqa: E402
from cia.reporting.study_page import study_cells, study_pages  # noqa: E402

RESULTS, DOCS, README = ROOT / "results/studies", ROOT / "docs/studies", ROOT / "README.md"
FIGURES = ("differences", "learning_curve", "ratios", "correlations")
MARKS = "<!-- studies -->", "<!-- end of studies -->"
COLUMNS = (0, 1, 2, 3, 4, 5, -2, -1)
"""What of a study's table the README shows: all but the second comparison."""


def main() -> None:
    found = sorted(RESULTS.glob("*/study.yaml"))
    if not found:
        sys.exit(f"{RESULTS} has no study; run: make study")
    studies = {path.parent.name: read_yaml(path) for path in found}
    for name, study in studies.items():
        publish(name, study)
    before, after = split(README.read_text(encoding="utf-8"))
    parts = [section(name, study) for name, study in studies.items()]
    write_text(README, "\n\n".join([before + MARKS[0], *parts, MARKS[1] + after]))


def publish(name: str, study: Mapping) -> None:
    """Write a study's page, with its figures beside it."""
    DOCS.mkdir(exist_ok=True)
    page = study_pages(study)[0].rstrip()
    for figure in FIGURES:
        shutil.copyfile(RESULTS / name / f"{figure}.png", DOCS / f"{name}_{figure}.png")
        page += f"\n\n![{figure.replace('_', ' ')}]({name}_{figure}.png)"
    write_text(DOCS / f"{name}.md", page + "\n")


def section(name: str, study: Mapping) -> str:
    """Return the README's part on one study: words, table, figure."""
    seeds, images = study["seeds"], study["test_images"]
    about = (
        f"**{name}**: {study['settings']['real']} real training images, {seeds} seeds, "
        f"{images} test images, {study['steps']} optimizer steps in every arm. "
        f"[All of it](docs/studies/{name}.md)."
    )
    whole = study_cells(study)
    keep = [column % len(whole.headers) for column in COLUMNS]
    rows = [[row[column] for column in keep] for row in whole.rows]
    headers = [whole.headers[column].replace(" [95 % interval]", "") for column in keep]
    table = Table(headers, rows, range(1, len(keep)))
    points = "\n".join(f"- {sentence}" for sentence in study["verdict"])
    figure = f"![Differences to the control](docs/studies/{name}_differences.png)"
    return "\n\n".join([about, points, markdown_table(table), figure])


def split(text: str) -> tuple[str, str]:
    """Return what stands before and after the marks."""
    pattern = re.escape(MARKS[0]) + ".*" + re.escape(MARKS[1])
    match = re.search(pattern, text, re.DOTALL)
    if not match:
        sys.exit(f"{README}: the marks {MARKS[0]} and {MARKS[1]} are gone; put them back")
    return text[: match.start()], text[match.end() :]


if __name__ == "__main__":
    main()
