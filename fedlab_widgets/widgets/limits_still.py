"""The panel of limits as a picture that needs no kernel, no widget and no network: inline SVG, for light and dark.

It is the map of `figure_limits.py`: the same lines, hue, marks and words. Text keeps its size on a narrow page, where
the picture scrolls.
"""

from __future__ import annotations

from html import escape

import numpy as np

from ..evaluate.limits import Frontier
from ..figure_limits import CHOSEN, HUE, _reached, _step, _ticks, levels, roots, veil
from .fairness import percent

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 640, 380, 62, 14, 12, 44
SHORT = 60   # pixels of a line that bears its number
# A page shows the panel or the picture of it; one without a kernel would else say that it found no model.
STYLE = """<style>.jp-OutputArea:has(.fl-limits) .fl-limits-still,
.jp-OutputArea:has(.fl-limits-still):not(:has(.fl-limits)) .jupyter-widgets{display:none}
.fl-limits-still{--ink:var(--jp-content-font-color1,var(--vscode-editor-foreground,#1a1a1a));
--ground:var(--jp-layout-color0,var(--vscode-editor-background,#fff))}
@media (prefers-color-scheme:dark){.fl-limits-still{--ink:var(--jp-content-font-color1,
var(--vscode-editor-foreground,#ececec));--ground:var(--jp-layout-color0,var(--vscode-editor-background,#151515))}}
</style>"""
INK, GROUND, ORANGE = "var(--ink,#1a1a1a)", "var(--ground,#fff)", "#d55e00"


def still(front: Frontier, rows, chosen: tuple[float, float], said: str, name: str) -> str:
    """The map and what is said of the limits, as HTML.

    rows: the path with its column `best`, as in `figure_limits.figure`, or None. chosen: (global, local) limits, bits.
    said: HTML beneath the map. name: whose answers.
    """
    whole = f"The best accuracy within limits on global and local disparity: {escape(name)}"
    return (f'{STYLE}<figure class=fl-limits-still style="margin:8px 0;max-width:{WIDTH}px;font-size:13px" '
            f'aria-label="A picture of the panel"><figcaption><b>{whole}</b><br>A picture of the panel. To set limits, '
            f'run the cell.</figcaption><div style="overflow-x:auto" tabindex=0 role=group aria-label="{whole}">'
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" style="max-width:none;display:block'
            f';fill:{INK}" role=img aria-label="{whole}" font-size=12>{_map(front, rows, chosen)}</svg></div>'
            f'{_key(rows)}{said}</figure>')


def region(front: Frontier, level: float) -> np.ndarray:
    """The line of an accuracy through the grid, [n, 2] in roots of (local, global) bits, from the upper left to the
    lower right; what lies above and right of it is at least as accurate. Empty where the whole grid is.

    The accuracy never falls with a limit, so that each row and column crosses the line once at most.
    """
    x, y, z = np.sqrt(front.local_limits), np.sqrt(front.global_limits), front.accuracy
    at = []
    for i, j in np.argwhere((z[:, :-1] < level) & (z[:, 1:] >= level)):
        at.append((x[j] + (level - z[i, j]) / (z[i, j + 1] - z[i, j]) * (x[j + 1] - x[j]), y[i]))
    for i, j in np.argwhere((z[:-1] < level) & (z[1:] >= level)):
        at.append((x[j], y[i] + (level - z[i, j]) / (z[i + 1, j] - z[i, j]) * (y[i + 1] - y[i])))
    return np.array(sorted(at, key=lambda p: (p[0], -p[1]))).reshape(-1, 2)


def _map(front: Frontier, rows, chosen) -> str:
    ends = np.sqrt([front.local_limits[-1], front.global_limits[-1]])
    if rows is not None:
        ends = np.maximum(ends, np.sqrt([rows.local_disparity.max(), rows.global_disparity.max()]))
    low = np.sqrt([front.local_limits[0], front.global_limits[0]])

    def place(points) -> np.ndarray:
        share = (np.reshape(points, (-1, 2)) - low) / (ends - low)
        return np.stack([LEFT + share[:, 0] * (WIDTH - LEFT - RIGHT),
                         HEIGHT - FOOT - share[:, 1] * (HEIGHT - FOOT - TOP)], 1)

    top = np.sqrt([front.local_limits[-1], front.global_limits[-1]])
    cuts, layer = levels(front), f'fill="rgb({HUE})" fill-opacity="{veil(len(levels(front)))}"'
    marks = [f'<polygon points="{_points(place([low, (low[0], top[1]), top, (top[0], low[1])]))}" {layer}/>']
    names = []
    for cut in cuts:
        line = region(front, cut)
        if not len(line):
            continue
        whole = [*line, (top[0], line[-1, 1]), top, (line[0, 0], top[1])]
        marks.append(f'<polygon points="{_points(place(whole))}" {layer}/><polyline points="{_points(place(line))}" '
                     f'fill="none" style="stroke:{INK}" stroke-opacity=".45"/>')
        steps = np.r_[0, np.hypot(*np.diff(place(line), axis=0).T).cumsum()]
        middle = place(line)[np.abs(steps - steps[-1] / 2).argmin()]
        if steps[-1] < SHORT:
            continue
        digits = 1 if _step(float(np.ptp(front.accuracy))) < 0.01 else 0
        names.append(_text(*middle, percent(cut, digits), "middle", 4))
    marks += names
    marks += [_text(place((np.sqrt(b), low[1]))[0, 0], HEIGHT - FOOT + 16, f"{b:g}", "middle") for b in
              _ticks(ends[0]**2) if np.sqrt(b) >= low[0]]
    marks += [_text(LEFT - 6, place((low[0], np.sqrt(b)))[0, 1] + 4, f"{b:g}", "end") for b in _ticks(ends[1]**2)
              if np.sqrt(b) >= low[1]]
    middle = (HEIGHT - FOOT + TOP) / 2
    marks += [_text((WIDTH + LEFT) / 2, HEIGHT - 8, "limit on local disparity, in bits", "middle"),
              f'<g transform="rotate(-90 14 {middle})">'
              f'{_text(14, middle, "limit on global disparity, in bits", "middle")}</g>']
    corner = place(low)[0]
    none = "no disparity" if not low.any() else "strictest"
    marks += [f'<rect x="{corner[0] - 5}" y="{corner[1] - 5}" width="10" height="10"/>',
              _text(corner[0] + 10, corner[1] - 8, f"{none}: {percent(front.accuracy[0, 0], 2)}", "start", 5, 600)]
    if rows is not None:
        at = place(np.sqrt(rows[["local_disparity", "global_disparity"]].to_numpy()))
        marks += [f'<polyline points="{_points(at)}" fill="none" style="stroke:{colour}" stroke-width="{width}"/>'
                  for colour, width in ((GROUND, 6), (ORANGE, 2.5))]
        marks += [_mark(*at[0], "first")] * (len(at) > 1) + [_mark(*at[-1], "last")]
    return "".join([*marks, _mark(*place(roots(front, *chosen))[0], "chosen")])


def _mark(x: float, y: float, kind: str) -> str:
    """A circle for the first round, a diamond for the last, a cross for the limits."""
    if kind == "first":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" style="fill:#fff;stroke:{ORANGE}" stroke-width="2.5"/>'
    if kind == "last":
        return (f'<path d="M{x:.1f} {y - 8:.1f}l8 8-8 8-8-8z" style="fill:{ORANGE};stroke:#fff" stroke-width="2"/>')
    return "".join(f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0-8l-8 8" stroke-linecap="square" style="stroke:{colour}" '
                   f'stroke-width="{width}"/>' for colour, width in (("#1f1f1f", 7.5), ("#fff", 3.5)))


def _text(x: float, y: float, text: str, anchor: str, plate: float = 0, weight: int = 400) -> str:
    behind = f';stroke:{GROUND};stroke-width:{plate}px;stroke-linejoin:round;paint-order:stroke' if plate else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" style="fill:{INK}{behind}">'
            f'{escape(text)}</text>')


def _points(at) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in at)


def _key(rows) -> str:
    named = [] if rows is None else [("first", _reached(rows[:1]))] * (len(rows) > 1) + [("last", _reached(rows[-1:]))]
    pieces = [f'<span style="display:inline-block;margin-right:14px"><svg width="20" height="20" aria-hidden=true '
              f'style="vertical-align:middle">{_mark(10, 10, kind)}</svg> {escape(name)}</span>'
              for kind, name in (*named, ("chosen", CHOSEN))]
    return f'<div style="margin:4px 0 8px">{"".join(pieces)}</div>'
