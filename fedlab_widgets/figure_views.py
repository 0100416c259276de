"""Live readings as figures for print: pure functions from what was recorded to a plotly figure and its table.

The pictures of the lab (`widgets/view_pictures.py`) in ink: the same colours, dashes, places and words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from textwrap import wrap

import pandas as pd
import plotly.graph_objects as go

from .figures import BLUE, CARD, GREEN, INK, ORANGE, PURPLE, SKY, SOFT, VERMILLION, YELLOW, _blank, _ends
from .widgets.view_words import Reading, extremes, number, over_rounds, samples, short, without_itself

FEW = 8     # lines that are coloured and named; of more, only the extremes
PAINTS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, SOFT, YELLOW)
DASHES = ("solid", "7px,3px", "2px,3px", "9px,3px,2px,3px", "4px,2px", "1px,3px", "12px,4px", "6px,2px,1px,2px")
BLUES = [[0, "#f0f6fb"], [1, BLUE]]
BOTH = [[0, ORANGE], [0.5, "#ffffff"], [1, BLUE]]   # where some are negative


def view_figure(read: Sequence[Reading]) -> go.Figure:
    """The figure of a live reading, (round, View) in the order of rounds: lines over all rounds, else the last one."""
    figure = FIGURES[read[-1][1].kind](read)
    return figure.update_layout(hovermode="x unified" if read[-1][1].kind == "lines" else "closest")


def view_data(read: Sequence[Reading]) -> pd.DataFrame:
    """The numbers of `view_figure`. Lines: round, a column a label. Matrix: label, a column a label. Graph: node,
    value, linked (names of the nodes it shares a link with). Tree: level, first, last, counts. Text: round,
    label, text."""
    view = read[-1][1]
    names = list(map(str, view.labels))
    if view.kind == "lines":
        lines = over_rounds(read)
        return pd.DataFrame({name: dict(line) for name, line in lines.items()}, [r for r, _ in read],
                            dtype=float).rename_axis("round").reset_index()
    if view.kind == "matrix":
        columns = names if len(names) == len(view.values[0]) else range(len(view.values[0]))
        return pd.DataFrame(view.values, columns=columns, dtype=float).assign(label=names or None).set_index(
            "label").reset_index()
    if view.kind == "graph":
        nodes = names or list(map(str, range(len(view.values))))
        pairs = {(a, b) for i, j in view.links for a, b in ((i, j), (j, i))}
        return pd.DataFrame({"node": nodes, "value": _values(view, len(nodes)),
                             "linked": [", ".join(nodes[b] for a, b in sorted(pairs) if a == i)
                                        for i in range(len(nodes))]})
    if view.kind == "text":
        return pd.DataFrame([(round, *pair) for round, each in read for pair in each.values],
                            columns=["round", "label", "text"])
    return pd.DataFrame(view.values, columns=["level", "first", "last", "counts"])


def _lines(read):
    table, lines = view_data(read), over_rounds(read)
    named = extremes(lines) if len(lines) > FEW else list(lines)
    fig = _blank("rounds", read[-1][1].title)
    for name in (n for n in lines if n not in named):
        fig.add_scatter(x=table["round"], y=table[name], mode="lines", showlegend=False, connectgaps=True, name=name,
                        line={"color": SOFT, "width": 1}, opacity=0.4, hoverinfo="skip")
    for i, name in enumerate(named):
        fig.add_scatter(x=table["round"], y=table[name], mode="lines" if len(table) > 1 else "markers", name=name,
                        connectgaps=True, line={"color": PAINTS[i], "width": 2.5, "dash": DASHES[i]},
                        hovertemplate="%{y:.4g}")
    if len(lines) > len(named):
        fig.add_scatter(x=[None], y=[None], mode="lines", name=f"the other {len(lines) - len(named)}",
                        line={"color": SOFT, "width": 1})
    _ends(fig, table.assign(round=table["round"]), "rounds")
    fig.update_xaxes(range=[table["round"].iloc[0], max(table["round"].iloc[-1], table["round"].iloc[0] + 1)])
    return fig


def _matrix(read):
    view = read[-1][1]
    kind, names = short(view.labels)
    own = without_itself(view)
    rows = [[None if own and i == j else v for j, v in enumerate(row)] for i, row in enumerate(view.values)]
    known = [v for row in rows for v in row if v is not None]
    far = max(map(abs, known), default=1)
    signed = bool(known) and min(known) < 0
    fig = _blank("", "")
    across = names if len(names) == len(rows[0]) else list(map(str, range(len(rows[0]))))
    fig.add_heatmap(z=rows, x=across, y=names or None, colorscale=BOTH if signed else BLUES, xgap=1, ygap=1,
                    hovertemplate="%{y} and %{x}: %{z:.4g}<extra></extra>",
                    colorbar={"thickness": 12, "outlinewidth": 0}, **({"zmin": -far, "zmax": far} if signed else {}))
    said = f"{kind}<br>{view.title}" + ("; each with itself is left out" if own else "")
    fig.update_xaxes(title_text=said.removeprefix("<br>"), type="category", showgrid=False, nticks=16)
    fig.update_yaxes(title_text=kind, type="category", autorange="reversed", showgrid=False, nticks=16)
    return fig.update_layout(height=480, width=560)


def _graph(read):
    view = read[-1][1]
    nodes = max(len(view.labels), len(view.values))
    kind, names = short(view.labels or [str(i) for i in range(nodes)])
    at = [(math.sin(2 * math.pi * i / nodes), math.cos(2 * math.pi * i / nodes)) for i in range(nodes)]
    fig, values = _blank("", ""), _values(view, nodes)
    ends = [(at[i], at[j]) for i, j in view.links]
    fig.add_scatter(x=[x for a, b in ends for x in (a[0], b[0], None)],
                    y=[y for a, b in ends for y in (a[1], b[1], None)], mode="lines", hoverinfo="skip",
                    showlegend=False, line={"color": SOFT, "width": 1})
    known = [v for v in values if v is not None]
    far = max(map(abs, known), default=1)
    signed = bool(known) and min(known) < 0
    fig.add_scatter(
        x=[1.13 * x for x, _ in at], y=[1.13 * y for _, y in at], mode="text", text=names, hoverinfo="skip",
        showlegend=False)
    fig.add_scatter(
        x=[x for x, _ in at], y=[y for _, y in at], mode="markers", showlegend=False,
        customdata=[f"{kind} {n}".strip() + f": {number(v)}" for n, v in zip(names, values, strict=True)],
        hovertemplate="%{customdata}<extra></extra>", marker={
            "size": 18, "color": values if known else CARD, "colorscale": BOTH if signed else BLUES,
            "line": {"color": INK, "width": 1.2}, "showscale": bool(known), "colorbar": {"thickness": 12},
            "cmin": -far if signed else 0, "cmax": far})
    fig.update_xaxes(visible=False, range=[-1.3, 1.3]).update_yaxes(visible=False, range=[-1.3, 1.3], scaleanchor="x")
    fig.add_annotation(text=view.title, x=0, y=-1.3, showarrow=False, yanchor="top")
    return fig.update_layout(height=520, width=560, margin_b=40)


def _tree(read):
    round, view = read[-1]
    unit = view.labels[0] if view.labels else "rounds"   # of what the tree's leaves are
    fig = _blank(unit, "level")
    levels = sorted({level for level, *_ in view.values})
    most = max(abs(on) for *_, on in view.values) or 1
    edge = {"color": BLUE if view.labels else INK, "width": 1}   # boxes too thin to be drawn are seen by it
    for on, name, look in ((True, "counts now", {"color": BLUE, "line": edge}),
                           (False, "does not", {"color": CARD, "line": {"color": SOFT, "width": 1}})):
        some = [node for node in view.values if bool(node[3]) == on]
        if not some:
            continue
        if on:
            look = look | {"opacity": [max(abs(n[3]) / most, 0.25) for n in some]}
        fig.add_bar(y=[level for level, *_ in some], x=[last - first + 0.9 for _, first, last, _ in some], name=name,
                    base=[first - 0.45 for _, first, *_ in some], orientation="h", marker=look, width=0.8,
                    customdata=[[first, last] for _, first, last, _ in some],
                    hovertemplate=unit + " %{customdata[0]} to %{customdata[1]}<extra></extra>")
    if not view.labels:
        fig.add_vline(x=round + 0.5, line={"color": VERMILLION, "width": 1.5, "dash": "4px,3px"},
                      annotation_text="now", annotation_position="top left")
    fig.update_layout(barmode="overlay", height=120 + 34 * len(levels), margin_t=24)
    fig.update_xaxes(range=[0.4, max(last for _, _, last, _ in view.values) + 0.6])
    if not view.labels:
        return fig.update_yaxes(dtick=1, showgrid=False)
    step = levels[1] - levels[0] if len(levels) > 1 else 1
    fig.update_xaxes(title_text=f"{unit}, in their order").update_traces(width=0.8 * step)
    return fig.update_yaxes(tickvals=levels, showgrid=False)


def _values(view, nodes: int) -> list:
    return [view.values[i] if i < len(view.values) else None for i in range(nodes)]


def _text(read):
    fig = _blank("rounds", "").update_xaxes(visible=False).update_yaxes(visible=False)
    lines = []
    for label, text in samples(read):
        rows = [row for piece in text.split("\n") for row in (wrap(piece, 76) or [""])]
        lines += [f"<b>{escape(label, quote=False)}</b>", *(escape(row, quote=False) for row in rows), ""]
    return fig.add_annotation(text="<br>".join(lines), x=0, y=1, xref="paper", yref="paper", xanchor="left",
                              yanchor="top", align="left", showarrow=False,
                              font={"size": 12, "color": INK}).update_layout(height=16 + 17 * len(lines))


FIGURES = {"text": _text, "lines": _lines, "matrix": _matrix, "graph": _graph, "tree": _tree}
