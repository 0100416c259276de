"""Static figures of a run: pure functions from its record to a plotly figure and the table of the numbers in it.

They are the live board's pictures (`widgets/static/board.js`) and read the same: colours of Okabe and Ito's palette,
a dash or a pattern beside every colour, the same words. A drawer makes its table first and draws nothing but columns
of it. `Figure.save` is in `export.py`.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from .evaluate.measure import accuracies
from .events import Evaluated, Started
from .export import Figure, keys
from .part import BadInput
from .widgets import fairness
from .widgets.board import ATOMS, LINES
from .widgets.panel import reading
from .widgets.preview import COLOURS
from .widgets.what_if import of_run

INK, SOFT, GRID, CARD = "#1f1f1f", "#575757", "#e4e4e4", "#ffffff"
BLUE, SKY, ORANGE, GREEN, VERMILLION, PURPLE, YELLOW = (
    "#0072b2", "#56b4e9", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#c9b800")
TINTS, DASHES = (SKY, GREEN, PURPLE, ORANGE, YELLOW, BLUE), ("solid", "6px,3px", "2px,3px")
TINT = {"redundant": ORANGE, "unique": BLUE, "masked": PURPLE}
EDGE = {"redundant": "solid", "unique": "7px,3px", "masked": "2px,2px"}
FILL = {"redundant": {"shape": "/", "fgcolor": ORANGE, "bgcolor": "#fbe9c6", "size": 7, "solidity": 0.3},
        "unique": {"shape": "", "bgcolor": "#408fc5"},
        "masked": {"shape": ".", "fgcolor": PURPLE, "bgcolor": "#f4e2eb", "size": 6, "solidity": 0.4}}
PATTERNS = ("", "/", ".", "x", "-", "\\", "|", "+")
AXES = {"rounds": "round", "MB": "MB", "seconds": "seconds", "time": "virtual time"}
MOST_ROWS, MOST_BARS = 40, 100   # clients in a forest plot, in bars


def figure(run, name: str, x: str = "rounds") -> Figure:
    """The named figure of a run; x: "rounds", "MB" (up and down, so far), "seconds" (of training) or "time" (virtual).

    Raises BadInput for an unknown name, an axis that the figure does not have, and a run without what it shows.
    """
    if name not in DRAWERS and name not in run.views:
        raise BadInput(f"figure = {name!r} is none of {', '.join([*DRAWERS, *run.views])}")
    if x not in AXES:
        raise BadInput(f"x = {x!r} is no axis; choose rounds, MB, seconds or time")
    draw, axes = DRAWERS.get(name, (partial(shown, name=name), ("rounds",)))
    if x not in axes:
        way = f"choose {' or '.join(axes)}" if len(axes) > 1 else "leave x away"
        raise BadInput(f"x = {x!r} makes no sense for the figure {name}; {way}")
    if not len(run.history):
        raise BadInput(f"{run.path} has no finished round yet, so that there is nothing to draw; run it on first")
    drawn, table = draw(run, x)
    return Figure(name, keys(drawn, 700, 360, 13), table)


# --- over the rounds ------------------------------------------------------------------------------------------------

def convergence(run, x):
    """Accuracy: test set, mean client, each client or (of many) the band from worst to best, and always guessing."""
    read = _read(run, "accuracy")
    each, table = client_accuracy(run), _table(run, read, x)
    table["test set"], table["mean client"] = read.accuracy.values, read.mean_client.values
    table["always guessing"] = run.majority
    last = each.iloc[-1].dropna() if len(each) else pd.Series(dtype=float)
    fig = _blank(x, "accuracy")
    few = 0 < each.shape[1] <= LINES
    if few:
        clients = each.reindex(table["round"]).reset_index(drop=True)
        table = pd.concat([table, clients], axis=1)
        for i, name in enumerate(clients):
            _line(fig, table, x, name, TINTS[i % 6], 1, DASHES[i // 6 % 3], opacity=0.6, showlegend=False)
        fig.add_scatter(x=[None], y=[None], mode="lines", name="clients", line={"color": SKY, "width": 1},
                        legendrank=3)
    elif read.worst_client.notna().any():
        table["worst client"], table["best client"] = read.worst_client.values, read.best_client.values
        _line(fig, table, x, "best client", SKY, 1, showlegend=False)
        _line(fig, table, x, "worst client", VERMILLION, 1.5, fill="tonexty", fillcolor="rgba(86,180,233,.22)",
              legendrank=4, label=f"worst now: {worst_of(run, last)}" if len(last) else "worst client")
        fig.add_scatter(x=[None], y=[None], mode="lines", name="worst to best client", legendrank=3,
                        line={"color": "rgba(86,180,233,.5)", "width": 6})
    _line(fig, table, x, "always guessing", SOFT, 1.5, "9px,5px", legendrank=5,
          label=f"always guessing: {fairness.percent(run.majority)}")
    if few and len(last):
        label = f"worst: {worst_of(run, last)}"
        _line(fig, table, x, last.idxmin(), VERMILLION, 2, legendrank=4, label=label, dot=True)
    _line(fig, table, x, "mean client", BLUE, 2, "7px,4px", legendrank=2)
    _line(fig, table, x, "test set", INK, 3, legendrank=1)
    low, high = np.nanmin(table.iloc[:, 1 + (x != "rounds"):].values), np.nanmax(table.iloc[:, 1 + (x != "rounds"):])
    more = max(0.08 * (high - low), 0.02)
    fig.update_yaxes(tickformat=".2~%", range=[max(low - more, 0), min(high + more, 1.005)])
    _ends(fig, table, x)
    return fig, table


def disparity(run, x):
    """The parts of the disparity, stacked; ticks where chance alone would end them; brackets for global and local."""
    read = run.history[run.history["unique"].notna()]
    if not len(read):
        raise BadInput(f"{run.path} holds no decomposition of disparity: its data name no groups, or it was not among "
                       "the readings; choose task=adult, or give from_arrays a group")
    table, fig = _table(run, read, x), _blank(x, "disparity, in bits")
    for atom in ATOMS:
        table[atom] = read[atom].values
    table["global"], table["local"] = (read[f"{n}_disparity"].values for n in ("global", "local"))
    floor, top = np.zeros(len(table)), table[[*ATOMS]].sum(axis=1)
    for atom in ATOMS:
        fig.add_scatter(x=table[AXES[x]], y=table[atom], name=atom, mode="lines", stackgroup="atoms",
                        line={"color": TINT[atom], "width": 1.5, "dash": EDGE[atom]}, fillpattern=FILL[atom],
                        fillcolor=FILL[atom]["bgcolor"], hovertemplate="%{y:.4f} bits",
                        legendrank=3 - ATOMS.index(atom))
        table[f"chance, {atom}"] = read[f"{atom}_hi"].values
        reach = floor + table[f"chance, {atom}"]
        for size, width, colour in ((12, 5, CARD), (10, 2.5, TINT[atom])):   # a plate, then the tick
            fig.add_scatter(x=table[AXES[x]], y=reach, mode="markers", showlegend=False, hoverinfo="skip",
                            cliponaxis=False, marker={"symbol": "line-ew", "size": size,
                                                      "line": {"width": width, "color": colour}})
        floor = floor + table[atom]
    bands = table[[f"chance, {a}" for a in ATOMS]].notna().all(axis=1).any()
    if bands:
        fig.add_scatter(x=[None], y=[None], mode="markers", name="chance alone reaches", legendrank=4, marker={
            "symbol": "line-ew", "size": 10, "line": {"width": 2.5, "color": INK}})
    high = max(np.nanmax(top), np.nanmax(reach) if bands else 0) or 0.01
    end, full = table.iloc[-1], 1.12 * high
    for place, name, low, tall in ((8, "global", 0, end["redundant"] + end["unique"]),
                                   (36, "local", end["redundant"], end["redundant"] + end["unique"] + end["masked"])):
        _bracket(fig, place, name, low, tall, full)
    fig.update_yaxes(range=[0, full])
    fig.update_layout(margin_r=64)
    _ends(fig, table, x)
    return fig, table


def _bracket(fig, place, name, low, high, full):
    """A bracket right of the plot, `place` pixels away, its name along it, kept inside the plot."""
    at = {"xref": "paper", "yref": "y", "xanchor": 1, "xsizemode": "pixel"}
    path = f"M {place - 5},{high} L {place},{high} L {place},{low} L {place - 5},{low}"
    fig.add_shape(type="path", path=path, line={"color": INK, "width": 1.4}, **at)
    half = 0.2 * full            # what half of the words take of the smallest figure's height
    middle = min(max((low + high) / 2, half), full - half)
    fig.add_annotation(text=f"{name} {high - low:.4f}", xref="paper", yref="y", x=1, y=middle, xanchor="center",
                       yanchor="middle", xshift=place + 11, textangle=-90, showarrow=False)


def communication(run, x):
    """Bytes so far, up and down, in MB."""
    table, fig = _table(run, run.history, x), _blank(x, "sent so far, in MB")
    for name, column in (("down, to the clients", "bytes_down"), ("up, from the clients", "bytes_up")):
        table[name] = run.history[column].cumsum().values / 1e6
    _line(fig, table, x, "down, to the clients", SKY, 4, hover="%{y:.4~g} MB")
    _line(fig, table, x, "up, from the clients", VERMILLION, 2, "7px,4px", hover="%{y:.4~g} MB")
    fig.update_yaxes(rangemode="tozero")
    _ends(fig, table, x)
    return fig, table


def accuracy_per_mb(run, x):
    """What accuracy the bytes bought: test set and mean client over the MB sent, up and down together."""
    read = _read(run, "accuracy")
    table, fig = _table(run, read, "MB"), _blank("MB", "accuracy")
    table["test set"], table["mean client"] = read.accuracy.values, read.mean_client.values
    table["always guessing"] = run.majority
    _line(fig, table, "MB", "always guessing", SOFT, 1.5, "9px,5px", legendrank=5,
          label=f"always guessing: {fairness.percent(run.majority)}")
    _line(fig, table, "MB", "mean client", BLUE, 2, "7px,4px", legendrank=2)
    _line(fig, table, "MB", "test set", INK, 3, legendrank=1)
    fig.update_yaxes(tickformat=".2~%")
    _ends(fig, table, "MB")
    return fig, table


def epsilon(run, x):
    """Privacy spent so far: epsilon at the run's delta."""
    if run.experiment.privatise is None:
        raise BadInput(f"{run.path} has no privacy mechanism, so that there is no epsilon to draw; run it with "
                       "privatise=fl.Gaussian(), or start from fl.recipe(\"dp-fedavg\")")
    read = run.history[run.history.epsilon.notna()]
    if not len(read):
        raise BadInput(f"{run.path} has an infinite epsilon: no noise was added, and there is no privacy to draw")
    delta = _start(run).settings.get("delta") or run.experiment.privatise.delta
    table, fig = _table(run, read, x), _blank(x, f"epsilon at delta = {delta:.2g}" if delta else "epsilon")
    table["epsilon so far"] = read.epsilon.values
    _line(fig, table, x, "epsilon so far", BLUE, 2.5, hover="%{y:.3f}", showlegend=False)
    fig.update_yaxes(rangemode="tozero")
    _ends(fig, table, x)
    return fig, table


# --- over the clients -----------------------------------------------------------------------------------------------

def partition(run, _):
    """Who holds what: each client's rows by label and, where there are groups, by group."""
    table = run.clients.reset_index()
    kinds = {kind: [c for c in table if c.startswith(kind + " ")] for kind in ("label", "group")}
    kinds = {kind: columns for kind, columns in kinds.items() if columns}
    table = table[["client", *(c for columns in kinds.values() for c in columns)]].head(MOST_BARS)
    fig = _blank("clients", "")
    fig.update_xaxes(title_text=_some(MOST_BARS, len(run.clients)), type="category", tickangle=0, showgrid=False,
                     nticks=12 if len(table) > 20 else 0)
    for i, (kind, columns) in enumerate(kinds.items()):
        for j, column in enumerate(columns):
            fig.add_bar(x=table["client"], y=table[column], name=column.removeprefix(kind + " "), yaxis=f"y{i + 1}",
                        legend=f"legend{i + 1}" if i else "legend", hovertemplate="%{y:,} rows",
                        marker={"color": COLOURS[j % len(COLOURS)], "line": {"width": 0}, "pattern": {
                            "shape": PATTERNS[j % len(PATTERNS)], "fgcolor": CARD, "size": 5, "solidity": 0.2,
                            "bgcolor": COLOURS[j % len(COLOURS)]}})
    if len(kinds) > 1:   # label mix above, group mix below, a key over each
        fig.update_layout(height=420, yaxis_domain=[0.6, 1], yaxis2={**_axis("rows, by group"), "domain": [0, 0.4]},
                          xaxis_anchor="y2")
    fig.update_layout(legend=_legend(), legend2=_legend(0.42), yaxis_title_text="rows, by label", barmode="stack",
                      bargap=0.16)
    return fig, table


def clients(run, _):
    """Each client's gap between the two groups furthest apart, with its 95 % interval; filled where it leaves 0 out."""
    told = reading(run, draws=0)
    shown = [fairness.Client("all", told.rates, told.gap), *told.clients[:MOST_ROWS]]
    gaps = [c.gap for c in shown]
    table = pd.DataFrame({"client": [c.client for c in shown]})
    for g, group in enumerate(told.groups):
        table[f"n, {group}"] = [c.rates[g].n for c in shown]
        table[f"predicted {told.favourable}, {group}"] = [c.rates[g].positives for c in shown]
    for column in ("points", "low", "high"):
        table[column] = [getattr(gap, column) if gap else math.nan for gap in gaps]
    first, second = told.gap.first.group, told.gap.second.group
    fig = _blank("clients", _some(MOST_ROWS, len(told.clients)))
    fig.add_vline(x=0, line={"color": SOFT, "width": 1.5})
    rows = list(range(len(shown)))
    for clear, label in ((True, "the 95 % interval leaves 0 out"), (False, "it does not")):
        at = [i for i in rows if gaps[i] and gaps[i].clear == clear]
        some = table.iloc[at]
        fig.add_scatter(
            x=some["points"], y=at, mode="markers", name=label, hovertemplate="%{x:+.1f} points",
            marker={"size": 8, "color": INK if clear else CARD, "line": {"color": INK, "width": 1.4}},
            error_x={"type": "data", "symmetric": False, "array": some["high"] - some["points"],
                     "arrayminus": some["points"] - some["low"], "color": INK, "thickness": 1.4, "width": 0})
    alone = [i for i in rows if gaps[i] is None]
    fig.add_scatter(x=[0] * len(alone), y=alone, mode="text", text=["one group only"] * len(alone), showlegend=False,
                    textposition="middle right", hoverinfo="skip")
    fig.update_yaxes(tickvals=rows, ticktext=list(table["client"]), range=[len(shown) - 0.4, -0.6], showgrid=False)
    fig.update_xaxes(title_text=f"{first} − {second}, percentage points<br>in being predicted “{told.favourable}”")
    fig.update_layout(height=19 * len(shown) + 110, hovermode="closest")
    return fig, table


def hull(run, x):
    """What predictions tell of the group beyond what the client tells: two ROC curves and their hull."""
    from .figure_hull import hull_data, hull_figure  # which imports this

    counts, groups, labels, _, names = of_run(run)[:5]
    table = np.asarray(counts).sum(2).transpose(1, 2, 0)     # [group, prediction, client]
    return hull_figure(table, groups, names, labels), hull_data(table, groups, names, labels)


def gains(run, x):
    """Each client's accuracy with the model of all and with its own."""
    from .figure_gain import gains as drawn  # which imports this

    found = drawn(run)
    return found.figure, found.data


def shown(run, _, name: str):
    """A live reading of what a part remembers."""
    from .figure_views import view_data, view_figure  # which imports this

    return view_figure(run.views[name]), view_data(run.views[name])


def client_accuracy(run) -> pd.DataFrame:
    """Accuracy of each client of the panel on its held-out rows: one row a reading (index: round), one column a client
    (its name, or its number), NaN without rows. Empty where the tables were too large to be recorded."""
    rows, names = {}, _names(run)
    for event in run.events:
        if isinstance(event, Evaluated) and event.counts is not None:
            rows[event.round] = pd.Series(accuracies(np.array(event.counts).reshape(event.shape)),
                                          [names.get(i, f"client {i}") for i in event.clients])
    return pd.DataFrame(rows).T.rename_axis("round")


# --- small things ---------------------------------------------------------------------------------------------------

def _start(run) -> Started:
    return next(e for e in run.events if isinstance(e, Started))


def _names(run) -> dict[int, str]:
    return {c["client"]: str(c.get("name") or f"client {c['client']}") for c in _start(run).clients}


def _read(run, column):
    read = run.history[run.history[column].notna()]
    if not len(read):
        raise BadInput(f"{run.path} holds no reading of {column}; put fl.Accuracy() among evaluate.readings")
    return read


def _table(run, read, x) -> pd.DataFrame:
    """The rounds of some rows of the history and, where it is another, the horizontal axis."""
    table, history = pd.DataFrame({"round": read["round"].values.astype(int)}), run.history
    if x == "MB":
        sent = (history.bytes_up + history.bytes_down).cumsum() / 1e6
        if not sent.iloc[-1]:
            raise BadInput(f"{run.path} sent nothing, so that MB are no axis; choose the figure convergence over "
                           "rounds, seconds or time")
        table["MB"] = sent[read.index].values
    elif x == "time":
        table["virtual time"] = history["time"][read.index].values
    elif x == "seconds":
        table["seconds"] = history.seconds.cumsum()[read.index].values
    return table


def _some(most: int, of: int) -> str:
    return "client" if of <= most else f"client (the first {most} of {of:,})"


def worst_of(run, last) -> str:
    """The worst of some clients with the rows behind its accuracy."""
    worst = last.idxmin()
    number = next(i for i, name in _names(run).items() if name == worst)
    return f"{worst}, n = {run.clients.held_out.loc[number]:,}"


def _line(fig, table, x, column, colour, width, dash="solid", label=None, dot=False, hover="%{y:.1%}", **more):
    """One column of the table over the horizontal axis; a single point is a dot, and `dot` marks the last one."""
    y, place = table[column], table[AXES[x]]
    sizes = [7.0 if (dot or y.notna().sum() == 1) and i == y.last_valid_index() else 0 for i in range(len(y))]
    fig.add_scatter(x=place, y=y, name=label or column, mode="lines+markers" if any(sizes) else "lines",
                    connectgaps=True, hovertemplate=hover, line={"color": colour, "width": width, "dash": dash},
                    **({"marker": {"size": sizes, "color": colour, "opacity": 1}} if any(sizes) else {}), **more)


def _legend(y=1.0) -> dict:
    return {"orientation": "h", "x": 0, "xanchor": "left", "y": y, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)",
            "traceorder": "normal"}


def _axis(title) -> dict:
    return {"title": {"text": title, "standoff": 6}, "gridcolor": GRID, "linecolor": SOFT, "zeroline": False,
            "automargin": True, "ticks": "outside", "tickcolor": GRID, "ticklen": 4}


def _ends(fig, table, x):
    """From the first round, or from nothing sent, to the last: no room beside the lines."""
    first, last = (table["round"].iloc[0] if x == "rounds" else 0), table[AXES[x]].iloc[-1]
    fig.update_xaxes(range=[first, last if last > first else first + 1],
                     **({"dtick": 1} if x == "rounds" and last - first < 8 else {}))


def _blank(x, y) -> go.Figure:
    """An empty figure on white, in ink that prints."""
    whole = {"rangemode": "normal"} if x != "rounds" else {"tickformat": "d"}
    return go.Figure(layout={
        "template": {"layout": {"height": 360}}, "paper_bgcolor": CARD, "plot_bgcolor": CARD, "hovermode": "x unified",
        "font": {"family": "Open Sans, Arial, sans-serif", "size": 13, "color": INK},
        "margin": {"l": 8, "r": 10, "t": 8, "b": 8},
        "xaxis": {**_axis(AXES.get(x, "")), **whole}, "yaxis": _axis(y)})


DRAWERS = {"convergence": (convergence, tuple(AXES)), "disparity": (disparity, tuple(AXES)),
           "communication": (communication, ("rounds", "seconds", "time")),
           "accuracy_per_mb": (accuracy_per_mb, ("rounds",)),
           "epsilon": (epsilon, tuple(AXES)), "partition": (partition, ("rounds",)), "clients": (clients, ("rounds",)),
           "hull": (hull, ("rounds",)), "gains": (gains, ("rounds",))}
