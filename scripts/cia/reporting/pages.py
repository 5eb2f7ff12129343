"""Tables for people: Markdown that also reads well in a terminal, and plain HTML."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1f2328; --muted: #656d76; --line: #d0d7de; --paper: #fff;
  --band: #f6f8fa }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6edf3; --muted: #9198a1; --line: #3d444d;
  --paper: #0d1117; --band: #151b23 }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.25rem; margin: 0 0 .5rem }}
p, ul {{ margin: 0 0 1rem; color: var(--muted) }}
div {{ overflow-x: auto; margin: 0 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ padding: .4rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top }}
th {{ border-bottom-width: 2px; white-space: nowrap }}
tbody tr:nth-child(even) {{ background: var(--band) }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }}
{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def format_number(value: float | int | None) -> str:
    """Write a number so that a person can compare it: three digits that count.

    What is missing, or not a number, is a dash.
    """
    if value is None or not math.isfinite(value):
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1000:
        digits = max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:.{digits}f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2e}"


def format_share(value: float | None, signed: bool = False) -> str:
    """Write a number between -1 and 1, such as an accuracy, with three decimals."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:{'+' if signed else ''}.3f}"


@dataclass(frozen=True)
class Table:
    """Cells for people.

    Attributes
    ----------
    headers : sequence of str
    rows : sequence of sequence of str
    numbers : sequence of int
        Columns that are set flush right.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()


@dataclass(frozen=True)
class Heading:
    """Heads what follows it on a page."""

    text: str


@dataclass(frozen=True)
class Markup:
    """HTML as it is, for what a page of HTML alone shows, such as pictures."""

    html: str


Part = str | list[str] | Table | Heading | Markup
"""Part of a page: a paragraph, a list of points, a table; of HTML also a heading, or markup."""


def markdown_page(title: str, parts: Sequence[Part]) -> str:
    """Return a page in Markdown."""
    texts = [f"# {title}"]
    for part in parts:
        if isinstance(part, Table):
            texts.append(markdown_table(part))
        else:
            texts.append(part if isinstance(part, str) else "\n".join(f"- {x}" for x in part))
    return "\n\n".join(texts) + "\n"


def markdown_table(table: Table) -> str:
    """Return a Markdown table whose columns are padded, so that the source is a table to the eye.

    `|` and line breaks in cells are escaped.
    """
    cells = [[_cell(text) for text in row] for row in [table.headers, *table.rows]]
    columns = range(len(table.headers))
    widths = [max(3, *(len(row[column]) for row in cells)) for column in columns]
    rule = ["-" * (widths[c] - 1) + (":" if c in table.numbers else "-") for c in columns]
    lines = [
        [
            text.rjust(width) if column in table.numbers else text.ljust(width)
            for column, text, width in zip(columns, row, widths, strict=True)
        ]
        for row in [cells[0], rule, *cells[1:]]
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def html_page(title: str, parts: Sequence[Part], style: str = "") -> str:
    """Return a self-contained HTML page, for light and dark screens; `style` is CSS for markup."""
    body = "\n".join(_html_part(part) for part in parts)
    return _PAGE.format(title=html.escape(title), body=body, style=style)


def _html_part(part: Part) -> str:
    if isinstance(part, Markup):
        return part.html
    if isinstance(part, Heading):
        return f"<h2>{html.escape(part.text)}</h2>"
    if isinstance(part, str):
        return f"<p>{html.escape(part)}</p>"
    if isinstance(part, list):
        points = "".join(f"<li>{html.escape(point)}</li>" for point in part)
        return f"<ul>{points}</ul>"
    head = _html_row(part, part.headers, "th")
    rows = "\n".join(f"<tr>{_html_row(part, row, 'td')}</tr>" for row in part.rows)
    return (
        f"<div><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _html_row(table: Table, row: Sequence[str], tag: str) -> str:
    return "".join(
        f"<{tag}{' class=number' if column in table.numbers else ''}>{html.escape(text)}</{tag}>"
        for column, text in enumerate(row)
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
