"""Tables about somebody's data as HTML: the first rows, and who holds how many rows of which group."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and whoever has no file of their own does without

FEW = 20         # rows below which figures say little
MOST_ROWS = 40   # rows of a table that are drawn
MOST_COLUMNS = 60
LOOK = """<style>
.fl-data{overflow-x:auto;margin:4px 0;max-width:100%}.fl-data:focus-visible{outline:2px solid var(--jp-brand-color1)}
.fl-data table{border-collapse:collapse;font-size:12px;font-variant-numeric:tabular-nums;
color:var(--jp-content-font-color1);width:auto;margin:0}
.fl-data caption{text-align:left;font-weight:600;padding:3px 0;color:var(--jp-content-font-color1);white-space:nowrap}
.fl-data :is(th,td){padding:2px 8px;text-align:right;white-space:nowrap;border:0;background:none;color:inherit;
border-bottom:1px solid var(--jp-border-color2);max-width:16em;overflow:hidden;text-overflow:ellipsis}
.fl-data tr>:first-child{text-align:left}.fl-data tfoot{color:var(--jp-content-font-color2)}
.fl-data tfoot tr:first-child>*{border-top:2px solid var(--jp-border-color1)}
.fl-data .few{font-weight:700;text-decoration:underline dotted}
.fl-note{border-left:3px solid var(--jp-warn-color1);padding:2px 10px;margin:6px 0}
.fl-your-file .fl-here{margin:0 0 4px;font-weight:600}
.fl-your-file>.widget-box>.fl-explained{margin:4px 0 0}
.fl-slot>.fl-your-file{border-left:3px solid var(--jp-border-color1);padding:2px 0 6px 10px;margin:4px 0 8px}
.fl-form button.fl-upload{font-size:0;padding:2px 10px}
.fl-form button.fl-upload>i,.fl-form button.fl-upload::after{font-size:var(--jp-widgets-font-size,13px)}
.fl-form button.fl-upload::after{content:"Choose a file (up to 10 MB)"}
.fl-form .fl-out{display:grid;grid-template-columns:auto minmax(0,1fr);align-items:start;overflow:visible}
.fl-form .fl-out>.widget-label{margin:5px 0 0}.fl-form .fl-out>.fl-columns{margin:0}
.fl-form .fl-columns{display:flex;flex-flow:row wrap;gap:0 14px;max-height:9.5em;overflow-y:auto;align-items:center}
.fl-form .fl-columns .widget-checkbox{padding-left:0;width:auto}
.fl-form .fl-columns .widget-checkbox .widget-label-basic{flex:0 0 auto}
.fl-form .fl-path{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:6px;align-items:center}
.fl-form .fl-path>*{margin:0}
@container (max-width:30rem){.fl-form .fl-out{grid-template-columns:minmax(0,1fr)}}
.fl-tables{display:flex;flex-wrap:wrap;gap:4px 28px}
</style>"""


def preview(frame: pd.DataFrame, name: str, rows: int = 5) -> str:
    """The first rows in a table that scrolls, with each column's gaps and different values beneath."""
    shown = frame.iloc[:, :MOST_COLUMNS]
    head = "".join(f"<th scope=col>{_safe(c)}" for c in shown.columns)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(v)}' for v in row)}"
                   for row in shown.head(rows).itertuples(index=False, name=None))
    gaps = "".join(f"<td>{int(shown[c].isna().sum()):,}" for c in shown.columns)
    more = f" The first {MOST_COLUMNS} columns are shown." if frame.shape[1] > MOST_COLUMNS else ""
    caption = (f"{_safe(name)}: {len(frame):,} rows, {frame.shape[1]:,} columns. The first {min(rows, len(frame))}:"
               f"{more}")
    return _scrolling(
        f"<table><caption>{caption}</caption><thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{body.replace('<tr>', '<tr><td></td>')}</tbody>"
        f"<tfoot><tr><th scope=row>missing</th>{gaps}</tr></tfoot></table>", "The first rows")


def counts(rows: np.ndarray, columns: np.ndarray, row_name: str, column_name: str) -> str:
    """How many rows there are of each pair, with sums; counts below 20 are underlined."""
    import pandas as pd

    table = pd.crosstab(rows, columns)
    head = "".join(f"<th scope=col>{_safe(c)}" for c in table.columns)
    body = "".join(f"<tr><th scope=row>{_safe(r)}{''.join(map(_count, line))}<td>{sum(line):,}"
                   for r, line in zip(table.index[:MOST_ROWS], table.to_numpy().tolist(), strict=False))
    rest = f" The first {MOST_ROWS} of {len(table):,}." if len(table) > MOST_ROWS else ""
    sums = "".join(f"<td>{n:,}" for n in table.sum().tolist())
    caption = f"Rows by {_safe(row_name)} and {_safe(column_name)}.{rest}"
    return _scrolling(f"<table><caption>{caption}</caption><thead><tr><th scope=col>{_safe(row_name)}</th>{head}"
                      f"<th scope=col>all</thead><tbody>{body}</tbody><tfoot><tr><th scope=row>all</th>{sums}"
                      f"<td>{len(rows):,}</tfoot></table>", caption)


def few(values: np.ndarray, kind: str) -> str:
    """A sentence on the groups or clients with few rows; "" where there are none."""
    found, n = np.unique(values, return_counts=True)
    small = [f"{v} ({k})" for v, k in zip(found.tolist(), n.tolist(), strict=True) if k < FEW]
    if not small:
        return ""
    more = f" and {len(small) - 5:,} more" if len(small) > 5 else ""
    return (f"Few rows, fewer than {FEW}: {kind} {', '.join(small[:5])}{more}. Figures on so few people are mostly "
            "chance, and their intervals will be wide.")


def note(text: str) -> str:
    """A sentence with a line beside it; "" for none."""
    return f"<p class=fl-note>{_safe(text)}</p>" if text else ""


def _scrolling(table: str, label: str) -> str:
    return f'<div class=fl-data tabindex=0 role=region aria-label="{label}">{table}</div>'


def _count(n: int) -> str:
    return f"<td{' class=few' if n < FEW else ''}>{n:,}"


def _cell(value) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return "" if value is None else _safe(str(value)[:60])


def _safe(text) -> str:
    return html.escape(str(text))
