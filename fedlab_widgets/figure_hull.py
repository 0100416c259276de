"""The picture of the unique disparity: the ROC curves of the prediction and of the client, and their hull.

The arithmetic is in `evaluate/hull.py`. What the prediction adds over the client is shaded; where nothing is, a
sentence says so. The words stand below the diagonal, where no curve comes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .evaluate.hull import Hull, one_against_rest
from .evaluate.pid import Disparity, band, decompose
from .export import INCHES, PIXELS
from .figures import BLUE, CARD, INK, SOFT, VERMILLION, _axis
from .part import BadInput
from .widgets.fairness import bits

SHADE, SHADE_DOTS = "#cfe3f1", "#5b9fcb"
MOST_PEOPLE = 10**9   # that chance is drawn for
COLUMN = round(INCHES["column"] * PIXELS)   # pixels of a column of print
MANY = 40         # clients beyond which their dots are small
ALREADY = "What the prediction tells of the group, the client tells already."
NOTHING = "On their own the predictions tell nothing of the group."
HIDDEN = "No curve shows what they tell once the client is known: {} bits, masked."
NO_MORE = "The predictions tell no more of the group than chance would."
SEEMS = "The client seems to tell what the prediction tells, but it is no finding."
LIFTED = "Chance alone would lift the clients' curve this far, with so few rows a client."


def hull_figure(table, groups: Sequence[str], clients: Sequence[str], predictions: Sequence[str]) -> go.Figure:
    """The ROC curves of prediction and client and their hull, from counts [group, prediction, client] and all names.

    Two groups: one square; the later group is counted upwards. More: a square for each group against the rest, and a
    line above with the exact decomposition of all groups together and its certified error. Hover tells who is counted
    at a corner. Whole numbers, or probabilities (then without what chance reaches).
    Raises BadInput for a bad table, names that do not fit it, and fewer than two groups that somebody is in.
    """
    table = np.asarray(table)
    names = [[str(n) for n in some] for some in (groups, predictions, clients)]
    if table.shape != tuple(map(len, names)):
        raise BadInput(f"table is {list(table.shape)}; with these names it must be [{len(names[0])} groups, "
                       f"{len(names[1])} predictions, {len(names[2])} clients]")
    try:
        found = one_against_rest(table)
    except ValueError as error:
        raise BadInput(str(error).replace("counts", "table", 1)) from None
    across = min(len(found), 3)
    down = math.ceil(len(found) / across)
    fig = make_subplots(down, across, horizontal_spacing=0.09, vertical_spacing=0.3 / down)
    some = np.flatnonzero(table.sum((1, 2)) > 0)
    for i, (z, told) in enumerate(found.items()):
        pair = np.stack([np.delete(table, z, 0).sum(0), table[z]])
        other = names[0][some[0]] if len(found) == 1 else "all others"
        _square(fig, i // across + 1, i % across + 1, told, pair, (other, names[0][z]), names[2], names[1], i == 0,
                len(found) > 1)
    if len(found) > 1:
        fig.add_annotation(text=_all_groups(decompose(table), len(some)), xref="paper", yref="paper", x=0, y=1,
                           yshift=60, xanchor="left", yanchor="bottom", showarrow=False, align="left")
    said = max((a.text.count("<br>") + 1 for a in fig.layout.annotations if a.yanchor == "top"), default=0)
    under = 60 + 18 * said if across == 1 else 104
    left, right = 62, 14
    # A square as wide as a column, with its words in smaller print beneath. `export.sized` lays this over the rest.
    below = 58 + 14 * said
    column = {"height": 36 + COLUMN - left - right + below, "margin": {"b": below}} if across == 1 else {}
    fig.update_traces(showlegend=False)   # `export.keys` would name them again
    return fig.update_layout(
        paper_bgcolor=CARD, plot_bgcolor=CARD, hovermode="closest", showlegend=False,
        font={"family": "Open Sans, Arial, sans-serif", "size": 13 if across == 1 else 11, "color": INK},
        width=560 if across == 1 else 60 + 290 * across, height=510 + under if across == 1 else 130 + 390 * down,
        margin={"l": left, "r": right, "t": 36 if across == 1 else 112, "b": under}, meta={"column": column})


def hull_data(table, groups: Sequence[str], clients: Sequence[str], predictions: Sequence[str]) -> pd.DataFrame:
    """The numbers of `hull_figure`: a row for each corner of each curve, and how many people were counted last."""
    table, rows = np.asarray(table), []
    for z, told in one_against_rest(table).items():
        for curve in ("clients", "predictions", "hull"):
            for v in getattr(told, curve):
                here = None if v.index is None else table[:, v.index] if v.source == "prediction" else table[:, :,
                                                                                                           v.index]
                names = predictions if v.source == "prediction" else clients
                rows.append({"group": groups[z], "curve": curve, "share of others": v.x, "share of group": v.y,
                             "counted last": "" if here is None else names[v.index],
                             "people": 0 if here is None else here.sum(), "of the group": 0 if here is None
                             else here[z].sum()})
    return pd.DataFrame(rows)


def sentence(told: Hull) -> str:
    """What the picture says where nothing is shaded, of the masked part, which it never shows, and of a clients' curve
    that chance alone would lift as far; else "".
    """
    d = told.told
    by_chance = {side: _within_chance(d.counts, axis) for side, axis in (("predictions", 2), ("clients", 1))}
    said = []
    if not told.added:
        nothing = d.global_disparity < 1e-9
        said = [NOTHING if nothing else NO_MORE if by_chance["predictions"] else
                SEEMS if by_chance["clients"] else ALREADY]
        said += [HIDDEN.format(bits(d.masked))] if nothing and d.masked > 1e-9 else []
    return " ".join(said + ([LIFTED] if by_chance["clients"] else []))


def _within_chance(counts, axis: int) -> bool:
    """Whether one thing tells the group, but no more than it would after the groups were dealt out at random."""
    if counts is None or counts.sum() >= MOST_PEOPLE:
        return False
    alone = counts.sum(axis)[:, :, None]
    told = decompose(alone).global_disparity
    return 1e-9 < told <= band(alone)["global_disparity"][1]


def headline(told: Hull, counts) -> str:
    """The unique disparity in bits and, of whole numbers, what chance reaches."""
    text = f"Unique disparity: {bits(told.unique)} bits"
    if told.told.counts is None or counts.sum() >= MOST_PEOPLE:
        return text
    reach = band(told.told.counts)["unique"][1]   # as in `pid.chance`, of which it is a third
    if told.unique > reach + 1e-12:
        return f"{text} (chance reaches {bits(reach)})"
    return text if told.unique < 1e-9 else f"{text}, not to be told from zero (chance reaches {bits(reach)})"


def _all_groups(d: Disparity, n: int) -> str:
    sure = "solved exactly" if d.gap < 1e-12 else f"certified to within {d.gap:.0e} bits"
    return (f"<b>All {n} groups at once: unique {bits(d.unique)}, redundant {bits(d.redundant)}, masked "
            f"{bits(d.masked)} bits</b> ({sure}).<br>Below, each group against all others: a question of its own, "
            "whose parts do not add up to these.")


def _square(fig, row, col, told: Hull, pair, groups, clients, predictions, first, small):
    """One pair of curves. pair [2, prediction, client], groups: the names of the other and of the group."""
    where = {"row": row, "col": col}
    rest, group = groups
    ring = [*told.hull, *reversed(told.clients)]
    if told.added:
        fig.add_scatter(x=[v.x for v in ring], y=[v.y for v in ring], mode="lines", fill="toself", hoverinfo="skip",
                        line={"width": 0, "color": SHADE}, fillcolor=SHADE, name="what the prediction adds",
                        fillpattern={"shape": "/", "fgcolor": SHADE_DOTS, "bgcolor": SHADE, "size": 6,
                                     "solidity": 0.15}, **where)
    fig.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": SOFT, "width": 1}, hoverinfo="skip",
                    name="no better than chance", **where)
    fig.add_scatter(x=[v.x for v in told.hull], y=[v.y for v in told.hull], mode="lines", hoverinfo="skip",
                    line={"color": "#9a9a9a", "width": 5}, name="hull", **where)
    for curve, names, axis, label, colour, dash, mark in (
            (told.predictions, predictions, 2, "prediction", BLUE, "solid", "diamond"),
            (told.clients, clients, 1, "client", VERMILLION, "6px,4px", "circle")):   # on top, as dashes let through
        size = (12 if label == "prediction" else 4 if len(curve) > MANY else 7) - small
        fig.add_scatter(
            x=[v.x for v in curve], y=[v.y for v in curve], mode="lines+markers", name=label,
            line={"color": colour, "width": 3 if label == "prediction" else 2, "dash": dash},
            marker={"symbol": mark, "color": colour, "opacity": 1,
                    "line": {"color": CARD, "width": 1 if size > 4 else 0}, "size": [0] + [size] * (len(curve) - 1)},
            text=[_hover(v, pair.sum(axis), names, label, groups) for v in curve],
            hovertemplate="%{text}<extra></extra>", **where)
    ticks = {"tickvals": [0, 0.25, 0.5, 0.75, 1], "tickformat": ".0%", "range": [-0.015, 1.015], "constrain": "domain"}
    fig.update_xaxes(**_axis(f"share of {rest} counted so far"), **ticks, constraintoward="left", **where)
    fig.update_yaxes(**_axis(f"share of {group} counted so far"), **ticks, scaleratio=1, constraintoward="top",
                     scaleanchor=fig.get_subplot(row, col).xaxis.plotly_name.replace("axis", ""), **where)
    for update in (fig.update_xaxes, fig.update_yaxes):
        update(title_font_size=11 if small else 13, **where)
    _words(fig, where, [headline(told, pair), sentence(told)], group, small)
    if first:
        _key(fig, where, bool(told.added), small)


def _hover(v, mix, names, label, groups) -> str:
    if v.index is None:
        return "nobody counted yet"
    here = mix[:, v.index]
    n = f"{here.sum():,} rows" if mix.dtype.kind != "f" else f"{here.sum():.1%} of the rows"
    shares = ", ".join(f"{here[i] / here.sum():.1%} {groups[i]}" for i in (1, 0))
    what = f"client {names[v.index]}" if label == "client" else f"predicted “{names[v.index]}”"
    return f"<b>{what}</b><br>{n}: {shares}<br>counted so far: {v.y:.1%} of {groups[1]}, {v.x:.1%} of {groups[0]}"


def _words(fig, where, lines, group, small):
    """The number above the square, and below the axis the sentence and how to read the picture."""
    wide = 36 if small else 46   # a column of print takes that
    head, said = (_wrap(line, wide) for line in lines)
    at = {"xref": "x domain", "yref": "y domain", "xanchor": "left", "showarrow": False, "align": "left", **where}
    title = f"<b>{_wrap(group + ' against all others', wide)}</b><br>{head}" if small else f"<b>{head}</b>"
    fig.add_annotation(text=title, x=0, y=1, yshift=4, yanchor="bottom", **at)
    how = "" if small else _wrap(f"Clients and predictions are counted from the one with the largest share of {group} "
                                 "down; the higher a curve, the more it tells of the group.", 50)
    below = "<br>".join(t for t in (f"<b>{said}</b>" if said else "", how) if t)
    if below:
        fig.add_annotation(text=below, x=0, y=0, yshift=-50, yanchor="top", **at)


def _key(fig, where, shaded, small):
    """The names of the lines, drawn in the corner where no curve comes."""
    rows = [("the predictions", BLUE, "solid", "diamond", 2), ("the clients", VERMILLION, "6px,3px", "circle", 2),
            ("hull of both", "#9a9a9a", "solid", None, 5)]
    rows += [("what predictions add", SHADE, "solid", None, 11)] if shaded else []
    rows += [("telling nothing", SOFT, "solid", None, 1)]
    step = 0.07 if small else 0.05
    for i, (name, colour, dash, mark, width) in enumerate(rows):
        y = 0.04 + step * (len(rows) - 1 - i)
        left = 0.4 if small else 0.56
        fig.add_scatter(x=[left, left + 0.05, left + 0.1], y=[y] * 3, mode="lines+markers" if mark else "lines",
                        hoverinfo="skip", line={"color": colour, "width": width, "dash": dash},
                        marker={"symbol": mark, "color": colour, "size": [0, 7, 0], "opacity": 1} if mark else {},
                        **where)
        fig.add_annotation(text=name, x=left + 0.12, y=y, xanchor="left", yanchor="middle", showarrow=False, **where)


def _wrap(text: str, wide: int) -> str:
    import textwrap

    return "<br>".join(textwrap.wrap(text, wide))
