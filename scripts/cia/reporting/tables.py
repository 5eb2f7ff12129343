"""Tables for people: Markdown that also reads well in a terminal, and plain HTML."""

import html
import math
from collections.abc import Sequence

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
p {{ margin: 0 0 1rem; color: var(--muted) }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ padding: .4rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top }}
th {{ border-bottom-width: 2px; white-space: nowrap }}
tbody tr:nth-child(even) {{ background: var(--band) }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{intro}</p>
<div><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
</body>
</html>
"""


def format_number(value: float | int | None, signed: bool = False) -> str:
    """Write a number so that a person can compare it: three digits that count, no exponent.

    What is missing, or not a number, is a dash.
    """
    if value is None or not math.isfinite(value):
        return "-"
    sign = "+" if signed else ""
    if isinstance(value, int):
        return f"{value:{sign},}"
    if value == 0 or 1e-4 <= abs(value) < 1000:
        digits = 3 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:{sign}.{min(digits, 6)}f}"
    return f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}.2e}"


def format_share(value: float | None, signed: bool = False) -> str:
    """Write a number between -1 and 1, such as an accuracy, with three decimals."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:{'+' if signed else ''}.3f}"


def markdown_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()
) -> str:
    """Return a Markdown table whose columns are padded, so that the source is a table to the eye.

    Parameters
    ----------
    headers : sequence of str
    rows : sequence of sequence of str
        Cells; `|` and line breaks in them are escaped.
    numbers : sequence of int
        Columns that are set flush right.
    """
    cells = [[_cell(text) for text in row] for row in [headers, *rows]]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(headers))]
    rule = ["-" * (w - 1) + ":" if c in numbers else "-" * w for c, w in enumerate(widths)]
    lines = [
        [
            text.rjust(width) if column in numbers else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in [cells[0], rule, *cells[1:]]
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def html_page(
    title: str,
    intro: str,
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[int] = (),
) -> str:
    """Return a self-contained HTML page with one table, for light and dark screens."""

    def line(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=number' if column in numbers else ''}>{html.escape(text)}</{tag}>"
            for column, text in enumerate(row)
        )

    return _PAGE.format(
        title=html.escape(title),
        intro=html.escape(intro),
        head=line(headers, "th"),
        body="\n".join(f"<tr>{line(row, 'td')}</tr>" for row in rows),
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
