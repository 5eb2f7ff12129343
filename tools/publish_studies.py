"""Put what the finished studies show into the README and into docs/studies, from their own files.

Usage: publish_studies.py    after `make study`

Writes docs/studies/{study}.md with all words, the table and the figures, and into README.md,
between its marks, a paragraph and one figure of each study. Nothing in either is written by hand.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from cia.files import read_yaml, write_text  # noqa: E402
from cia.reporting.study_page import study_pages  # noqa: E402
from cia.reporting.verdict import SHOWN, equivalent_words, with_interval  # noqa: E402

RESULTS, DOCS, README = ROOT / "results/studies", ROOT / "docs/studies", ROOT / "README.md"
FIGURES = ("differences", "learning_curve", "ratios", "correlations")
MARKS = "<!-- studies -->", "<!-- end of studies -->"
WIDTH = 110
NAMES = "The names of the arms are explained in [studies.md](../studies.md#arms)."


def main() -> None:
    found = sorted(RESULTS.glob("*/study.yaml"))
    if not found:
        sys.exit(f"{RESULTS} has no study; run: make study")
    studies = {path.parent.name: read_yaml(path) for path in found}
    before, after = split(README.read_text(encoding="utf-8"))
    DOCS.mkdir(exist_ok=True)
    for name, study in studies.items():
        write_text(DOCS / f"{name}.md", page(name, study))
        for figure in FIGURES:
            shutil.copyfile(RESULTS / name / f"{figure}.png", DOCS / f"{name}_{figure}.png")
    parts = [section(name, study) for name, study in studies.items()]
    write_text(README, "\n\n".join([before + MARKS[0], *parts, MARKS[1] + after]))


def page(name: str, study: Mapping) -> str:
    """Return a study's own page: where its words are explained, all that it says, its figures."""
    title, rest = study_pages(study)[0].rstrip().split("\n", 1)
    figures = [f"![{figure.replace('_', ' ')}]({name}_{figure}.png)" for figure in FIGURES]
    return "\n\n".join([title, NAMES, rest.lstrip("\n"), *figures]) + "\n"


def section(name: str, study: Mapping) -> str:
    """Return the README's part on one study: two sentences and a figure.

    They are about the arm `random` and not about the best arm, which chance has helped. What as
    many images made in other ways reach stands beside it.
    """
    rows = {row["name"]: row for row in study["arms"]}
    random, control = rows["random"], rows[study["control"]]
    real, added, metric = random["n_real"], random["n_added"], study["metric"]
    selections = [rows[arm] for arm in study["families"]["selection_against_random"]]
    words = (
        f"**{name}**: Models trained on {real} real and {added} synthetic images (`random`) reach "
        f"a test {metric} of {with_interval(random, '.3f')}; the control, trained on the same "
        f"{real} real images repeated, reaches {with_interval(control, '.3f')}"
        f"{others(rows.values())}. {worth(random)}{choices(selections)} "
        f"([all numbers](docs/studies/{name}.md))."
    )
    lines = textwrap.wrap(words, WIDTH, break_long_words=False, break_on_hyphens=False)
    figure = f"![Differences to the control: {name}](docs/studies/{name}_differences.png)"
    return "\n".join(lines) + f"\n\n{figure}"


def worth(row: Mapping) -> str:
    """Say how many real images alone score like an arm, where the learning curve can tell."""
    if not row["equivalent_real"]:
        return "How many real images alone reach the same score can't be said here"
    words = equivalent_words(row["equivalent_real"])
    return f"It takes {words} real images alone to reach the same score"


def others(rows: Iterable[Mapping]) -> str:
    """Say what classical augmentation and other generators reach, if the study has such arms."""
    found = [row for row in rows if row["kind"] in ("classical", "generator")]
    means = ", ".join(f"`{row['name']}` {row['mean']:.3f}" for row in found)
    return f", and other images in place of the synthetic ones reach: {means}" if found else ""


def choices(rows: Sequence[Mapping]) -> str:
    """Say which selections by score are shown to be better than a choice at random, if any."""
    if not rows:
        return ""
    better = [f"`{row['name']}`" for row in rows if is_better(row["against_random"])]
    if not better:
        return ", and no selection by score was shown to beat a choice at random"
    count = f"{len(better)} of {len(rows)} selections by score"
    return f", and {count} beat a choice at random: {'; '.join(better)}"


def is_better(difference: Mapping) -> bool:
    """Say whether a difference is shown, and for the better."""
    p = difference["p_holm"]
    return p is not None and p < SHOWN and difference["mean"] > 0


def split(text: str) -> tuple[str, str]:
    """Return what stands before and after the marks."""
    pattern = re.escape(MARKS[0]) + ".*" + re.escape(MARKS[1])
    match = re.search(pattern, text, re.DOTALL)
    if not match:
        sys.exit(f"{README}: the marks {MARKS[0]} and {MARKS[1]} are gone; put them back")
    return text[: match.start()], text[match.end() :]


if __name__ == "__main__":
    main()
