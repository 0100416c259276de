"""The heat map of a sweep as HTML for light and dark, and the widget that shows it and says which cell is chosen.

The picture is made in Python alone, so that the one that stays in a saved notebook is the same. It is the map of
`figure_attacks.py`: the same hue, numbers and last row; in the dark, what is bad is bright.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from html import escape

import anywidget
import pandas as pd
import traitlets

from ..figure_attacks import LEAST, NO_SHARES, SCALE, WORST, badness, cells, number, shares

NIGHT = ((0.0, "#26201c"), (0.25, "#54310f"), (0.5, "#96500f"), (0.75, "#db8128"), (1.0, "#ffc27d"))
# Arrows move in the map, as in any grid; the cell with the focus is the chosen one. Cells are changed in place: the
# focus stays, and a screen reader says nothing anew.
CODE = """
function render({ model, el }) {
  const cells = () => [...el.querySelectorAll("[data-at]")];
  const mark = () => {
    const at = model.get("chosen"), all = cells();
    all.forEach((c) => {
      c.classList.toggle("is-chosen", c.dataset.at === at);
      c.role = "gridcell";
      c.ariaSelected = String(c.dataset.at === at);
      c.tabIndex = c.dataset.at === (at || "0,0") ? 0 : -1;
    });
  };
  let was = [];
  const draw = () => {
    const fresh = document.createElement("div"), old = el.querySelectorAll("td");
    fresh.innerHTML = model.get("html");
    const now = [...fresh.querySelectorAll("td")], next = now.map((c) => c.outerHTML);
    if (next.length !== was.length) el.replaceChildren(...fresh.childNodes);
    else {
      now.forEach((c, i) => {
        if (next[i] === was[i]) return;
        old[i].className = c.className;
        old[i].style.cssText = c.style.cssText;
        old[i].ariaLabel = c.ariaLabel;
        old[i].innerHTML = c.innerHTML;
      });
      el.querySelector("figcaption").innerHTML = fresh.querySelector("figcaption").innerHTML;
    }
    was = next;
    el.querySelector("table").role = "grid";
    mark();
  };
  const choose = (e) => {
    const cell = e.target.closest("[data-at]");
    if (!cell || cell.dataset.at === model.get("chosen")) return;
    model.set("chosen", cell.dataset.at);
    model.save_changes();
  };
  el.addEventListener("focusin", choose);
  el.addEventListener("click", (e) => e.target.closest("[data-at]")?.focus());
  el.addEventListener("keydown", (e) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
    const here = e.target.closest("[data-at]");
    if (!here || e.ctrlKey || e.metaKey || e.altKey) return;
    const [r, c] = here.dataset.at.split(",").map(Number), row = [...here.parentElement.querySelectorAll("[data-at]")];
    const to = step ? el.querySelector(`[data-at="${r + step[0]},${c + step[1]}"]`)
      : e.key === "Home" ? row[0] : e.key === "End" ? row.at(-1) : null;
    if (step || to) { e.preventDefault(); e.stopPropagation(); }
    to?.focus();
  });
  model.on("change:html", draw);
  model.on("change:chosen", mark);
  draw();
}
export default { render };
"""
LOOK = """
.fl-map-of{--ink:var(--jp-content-font-color1,var(--vscode-editor-foreground,#1a1a1a));
--ground:var(--jp-layout-color0,var(--vscode-editor-background,#fff));
--line:var(--jp-border-color1,#9a9a9a);margin:0;color:var(--ink);font:13px/1.3 var(--jp-content-font-family,system-ui,
sans-serif)}
.fl-map-of .wide{overflow-x:auto;padding:3px}
.fl-map-of table{border-collapse:separate;border-spacing:2px;margin:0;font-variant-numeric:tabular-nums;color:inherit;
table-layout:auto;width:auto;font-size:inherit}
.fl-map-of tr{background:none!important}
.fl-map-of :is(th,td){padding:4px 6px;text-align:center;vertical-align:middle;border:0;line-height:1.25}
.fl-map-of thead th{vertical-align:bottom;font-weight:400;width:6.4em;min-width:6.4em;background:none;
white-space:normal}
.fl-map-of tbody th{text-align:right;font-weight:400;white-space:normal;max-width:8em;position:sticky;left:0;
background:var(--ground);z-index:1}
.fl-map-of td{height:44px;box-sizing:border-box;--shade:var(--day);--on:var(--on-day);
background:var(--shade);color:var(--on);
white-space:nowrap}
.fl-map-of td[data-at]{cursor:pointer}
.fl-map-of td b{font-weight:400;display:block}.fl-map-of small{display:block;font-size:.85em;line-height:1.2}
.fl-map-of .worst :is(th,td){font-weight:600}.fl-map-of .worst td{height:30px}
.fl-map-of td.empty{background:none;color:inherit;border:1px dashed var(--line)}
.fl-map-of td.running{border:2px solid var(--jp-brand-color1,#1976d2)}
.fl-map-of td.broken{background:repeating-linear-gradient(135deg,transparent 0 5px,color-mix(in srgb,var(--ink) 22%,
transparent) 5px 7px);color:var(--ink);border:1px solid var(--line)}
.fl-map-of td:focus-visible,.fl-map-of td.is-chosen{outline:3px solid var(--ink);outline-offset:-1px}
@media (max-width:600px){.fl-map-of tbody th{max-width:5.5em;font-size:.92em}}
.fl-map-of figcaption{margin:4px 0 0;line-height:1.4;max-width:46rem}
"""
DARK = ".fl-map-of td{--shade:var(--night);--on:var(--on-night)}"
LOOK += (f'[data-jp-theme-light="false"] {DARK}\n@media (prefers-color-scheme:dark){{'
         'body:not([data-jp-theme-light]) .fl-map-of{--ink:var(--vscode-editor-foreground,#ececec);'
         f'--ground:var(--vscode-editor-background,#151515)}}body:not([data-jp-theme-light]) {DARK}}}\n')


class SweepMap(anywidget.AnyWidget):
    """The map on the page; `chosen` is "row,column" of the cell that has or had the focus."""

    _esm, _css = CODE, LOOK
    html = traitlets.Unicode("").tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)


def page(axes: Mapping[str, tuple[str, ...]], data: pd.DataFrame, column: str, good: str, seeds: int,
         told: str, running: tuple[str, ...] | None = None) -> str:
    """The map: mean over the seeds done so far, deviation and n in each cell; below, the worst mean of each column.

    axes: of two fields, the names of their values. data: a row a run, as `Sweep.data`; none yet is fine. column: what
    is read; good: "high" or "low". seeds: how many are due. told: what was read. running: the cell at work.
    """
    (down, rows), (across, columns) = axes.items()
    by, share = {}, column not in NO_SHARES
    if len(data):
        found = cells(data.assign(**{column: data.get(column, math.nan)}), (down, across), column)
        share = shares(found["mean"], column)
        found["bad"] = badness(found["mean"], good, LEAST if share else 1e-12)
        by = dict(zip(zip(found[down], found[across], strict=True), found.itertuples(), strict=True))
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr><th scope=row>{escape(row)}</th>" + "".join(
            _cell((row, name), f"{i},{j}", by.get((row, name)), share, seeds, (row, name) == running)
            for j, name in enumerate(columns)) + "</tr>" for i, row in enumerate(rows))
    last = "".join(_worst(name, [by[row, name] for row in rows if (row, name) in by], share, len(rows))
                   for name in columns)
    words = (f"{escape(told[:1].upper() + told[1:])}{', in %' if share else ''}: mean ± standard deviation over n of "
             f"{seeds} seed{'s' * (seeds > 1)}; strong colour is {'low' if good == 'high' else 'high'}")
    name = f"{_spoken(told)}, {_spoken(down)} by {_spoken(across)}"
    return (f'<figure class=fl-map-of><div class=wide><table aria-label="{name}">'
            f"<thead><tr><th></th>{head}</tr></thead><tbody>{body}"
            f"<tr class=worst><th scope=row>{WORST}</th>{last}</tr></tbody></table></div>"
            f"<figcaption>{words}.</figcaption></figure>")


def shades(bad: float) -> str:
    """The colour of badness 0 to 1 as CSS for a light and a dark page, and black or white, whichever reads better."""
    (day, on_day), (night, on_night) = (_shade(bad, scale) for scale in (SCALE, NIGHT))
    return f"--day:{day};--on-day:{on_day};--night:{night};--on-night:{on_night}"


def _shade(bad: float, scale) -> tuple[str, str]:
    (low, below), (high, above) = next(pair for pair in itertools.pairwise(scale) if bad <= pair[1][0])
    share = (bad - low) / (high - low)
    mixed = [round((1 - share) * int(below[i:i + 2], 16) + share * int(above[i:i + 2], 16)) for i in (1, 3, 5)]
    light = sum(k * ((c / 255 + 0.055) / 1.055) ** 2.4 for k, c in zip((0.2126, 0.7152, 0.0722), mixed, strict=True))
    return "#" + "".join(f"{c:02x}" for c in mixed), "#000" if light > 0.179 else "#fff"   # where both are 4.6 to 1


def _cell(names: tuple[str, str], at: str, cell, share: bool, seeds: int, running: bool) -> str:
    if cell is None:
        kind, style, inside, said = "empty", "", "", "to come"
    elif cell.failed and not cell.n:
        kind, style, inside, said = "broken", "", f"<b>{cell.failed} failed</b>", f"{cell.failed} failed"
    elif not cell.n:
        kind, style, inside, said = "empty", "", "<b>–</b>", "without this reading"
    else:
        spread = "" if math.isnan(cell.std) else f"± {number(cell.std, share)}, "
        failed = f", {cell.failed} failed" if cell.failed else ""
        mean = number(cell.mean, share)
        kind, style = "", shades(cell.bad)
        inside = f"<b>{mean}</b><small>{spread}n {cell.n}{failed}</small>"
        said = f"mean {mean}{' %' * share}, {spread.replace('±', 'deviation')}{cell.n} of {seeds} seeds{failed}"
    if running:
        kind, said = f"{kind} running", f"{said}, at work"
        inside = inside or "<small>at work</small>"
    return (f'<td class="{kind}" style="{style}" data-at="{at}" '
            f'aria-label="{escape(" with ".join(names))}: {said}">{inside}</td>')


def _worst(name: str, some: list, share: bool, due: int) -> str:
    """The worst mean of a column, of the rows there are so far."""
    read = [cell for cell in some if cell.n]
    if not read:
        return f'<td class=empty style="" aria-label="{WORST}, {escape(name)}: to come"></td>'
    cell = max(read, key=lambda cell: cell.bad)
    of = "" if len(read) == due else f"<small>{len(read)} of {due}</small>"
    mean = number(cell.mean, share)
    return (f'<td class="" style="{shades(cell.bad)}" aria-label="{WORST}, {escape(name)}: {mean}'
            f'{" %" * share}">{mean}{of}</td>')


def _spoken(text: str) -> str:
    return escape(text.replace("_", " ").replace(".", " "))
