"""The best accuracy within limits on global and local disparity, as contours, and a run's way through them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from .evaluate.limits import Frontier
from .export import keys
from .figures import CARD, INK, SOFT, VERMILLION, _axis, _blank, _legend
from .part import BadInput
from .widgets.fairness import percent

# One hue, laid once more over itself at each line: it reads in grey, for the colour-blind, and on light and dark paper.
HUE, FULL = "65,147,198", 0.75   # and how much it covers in the end
LINES = 8      # contours, about
APART = 0.13   # of an axis, between ticks
CHOSEN = "the limits set"
COLUMNS = ("round", "global_disparity", "local_disparity", "accuracy")


def figure(front: Frontier, path: pd.DataFrame | None = None, chosen: tuple[float, float] | None = None) -> go.Figure:
    """Contours of `front` over both limits, in bits; the strictest corner with its accuracy.

    path: one row a round, with the columns round, global_disparity, local_disparity and accuracy (0 to 1, on the people
    of the frontier): drawn on the contours, its first and its last round marked; where it has a column `best`, with
    what could be reached at their disparities. chosen: a pair of limits (global, local) to be marked, in bits; beyond
    the map, at its edge. The axes are of the square root of the limits, as accuracy rises like it
    from zero; ticks are in bits.
    Raises BadInput for a frontier of one row or column, and a path without these columns or without a round.
    """
    rows = _rounds(path)
    x, y, z = front.local_limits, front.global_limits, front.accuracy
    if min(z.shape) < 2:
        raise BadInput(f"front has {z.shape[0]} x {z.shape[1]} limits; contours need two of each; give more limits")
    fig = _blank("limits", "limit on global disparity, in bits")
    low, high = float(z.min()), float(z.max())
    step, shade = _step(high - low), f"rgba({HUE},{veil(len(levels(front)))})"
    fig.add_contour(
        x=np.sqrt(x), y=np.sqrt(y), z=z, zmin=low, zmax=max(high, low + 1e-9), showscale=False, showlegend=False,
        colorscale=[[0, shade], [1, shade]],
        line={"color": SOFT, "width": 1, "smoothing": 0},
        contours={"start": np.ceil(low / step) * step, "end": high, "size": step, "showlabels": True,
                  "labelformat": ".1%" if step < 0.01 else ".0%", "labelfont": {"size": 11, "color": INK}},
        customdata=np.stack(np.broadcast_arrays(y[:, None], x[None]), 2),
        hovertemplate="global ≤ %{customdata[0]:.4f}, local ≤ %{customdata[1]:.4f} bits<br>at best %{z:.2%}"
                      "<extra></extra>")
    ends = [np.sqrt([a[0], max(a[-1], *(rows[c] if len(rows) else [0]))]) for a, c in
            ((x, "local_disparity"), (y, "global_disparity"))]
    corner = "no disparity" if x[0] == y[0] == 0 else "strictest"
    fig.add_scatter(x=[np.sqrt(x[0])], y=[np.sqrt(y[0])], mode="markers", cliponaxis=False, hoverinfo="skip",
                    marker={"symbol": "square", "size": 12, "color": INK, "line": {"width": 1.5, "color": CARD}},
                    showlegend=False)
    fig.add_annotation(x=np.sqrt(x[0]), y=np.sqrt(y[0]), text=f"<b>{corner}: {percent(z[0, 0], 2)}</b>", ax=16, ay=-18,
                       arrowhead=0, arrowwidth=1, arrowcolor=INK, bgcolor="rgba(255,255,255,.96)", borderpad=2,
                       xanchor="left", font={"color": INK})
    if len(rows):
        _draw_path(fig, rows)
    if chosen is not None:
        at = roots(front, *chosen)
        fig.add_scatter(x=[at[0]], y=[at[1]], mode="markers", cliponaxis=False, name=CHOSEN, hoverinfo="skip",
                        marker={"symbol": "x", "size": 13, "color": CARD, "opacity": 1,
                                "line": {"width": 2, "color": INK}})
    for axis, (start, end) in zip(("xaxis", "yaxis"), ends, strict=True):
        room = 0.02 * (end - start)
        at = _ticks(end**2)
        fig.layout[axis].update(range=[start - room, end + room], tickvals=np.sqrt(at), ticktext=[f"{b:g}" for b in at],
                                tickangle=0, showgrid=False, title=_axis("")["title"])
    fig.update_xaxes(title_text="limit on local disparity, in bits")
    fig.update_yaxes(title_text="limit on global disparity, in bits")
    fig.update_layout(height=420, hovermode="closest", margin={"r": 14}, legend=_legend())
    return keys(fig, 700, 420, 13).update_layout(showlegend=len(rows) > 0 or chosen is not None)


def levels(front: Frontier) -> np.ndarray:
    """The accuracies that lines are drawn at."""
    low, high = float(front.accuracy.min()), float(front.accuracy.max())
    step = _step(high - low)
    return np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step


def veil(lines: int) -> float:
    """How much one layer of the hue covers, so that the map and a layer at each line cover FULL together."""
    return round(1 - (1 - FULL) ** (1 / (lines + 1)), 3)


def roots(front: Frontier, most_global: float, most_local: float) -> tuple[float, float]:
    """(x, y) of two limits on the map, or on its edge."""
    ends = front.local_limits, front.global_limits
    return tuple(float(np.sqrt(np.clip(most, a[0], a[-1]))) for most, a in
                 zip((most_local, most_global), ends, strict=True))


def _draw_path(fig, rows) -> None:
    """A line with a dot a round; the first is a circle, the last a diamond, and what they reached is in the key."""
    x, y = np.sqrt(rows.local_disparity), np.sqrt(rows.global_disparity)
    for colour, width in ((CARD, 6), (VERMILLION, 2.5)):    # a plate, then the line
        fig.add_scatter(x=x, y=y, mode="lines", line={"color": colour, "width": width}, hoverinfo="skip",
                        showlegend=False)
    last = len(rows) - 1
    for at, size, symbol, fill, edge in ((slice(1, last), 7, "circle", VERMILLION, CARD),
                                         (slice(0, min(1, last)), 13, "circle", CARD, VERMILLION),
                                         (slice(last, None), 14, "diamond", VERMILLION, CARD)):
        some = rows.iloc[at]
        fig.add_scatter(
            x=x.iloc[at], y=y.iloc[at], mode="markers", cliponaxis=False, name=_reached(some), showlegend=size > 7,
            customdata=some[[*COLUMNS]], marker={"size": size, "symbol": symbol, "color": fill, "opacity": 1,
                                                 "line": {"width": 2, "color": edge}},
            hovertemplate="round %{customdata[0]:.0f}: right on %{customdata[3]:.2%}<br>global %{customdata[1]:.4f}, "
                          "local %{customdata[2]:.4f} bits<extra></extra>")


def _reached(rows) -> str:
    """What the first of some rounds reached."""
    if not len(rows):
        return ""
    row = rows.iloc[0]
    best = f", at best {percent(row.best)}" if row.best == row.best else ""
    return f"round {row['round']:.0f}: {percent(row.accuracy)}{best}"


def _rounds(path) -> pd.DataFrame:
    """The rounds of a path that were read."""
    if path is None:
        return pd.DataFrame(columns=[*COLUMNS, "best"])
    missing = [c for c in COLUMNS if c not in getattr(path, "columns", ())]
    if missing:
        raise BadInput(f"path lacks {', '.join(missing)}; give a table with the columns {', '.join(COLUMNS)}")
    rows = path.reindex(columns=[*COLUMNS, "best"]).dropna(subset=[*COLUMNS]).astype(float)
    if not len(rows):
        raise BadInput("path has no round with its disparity and accuracy; leave it away, or run the experiment on")
    return rows


def _step(span: float) -> float:
    """A round distance between contours, about LINES of them."""
    return next((s for s in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05) if span / s <= LINES), 0.1)


def _ticks(end: float) -> list[float]:
    """Bits to be named: 0 and round numbers that lie apart on a scale of square roots."""
    power = int(np.floor(np.log10(end))) if end > 0 else 0
    kept = [0.0]
    for bits in (round(d * 10.0**p, -p) for p in range(power, power - 4, -1) for d in (5, 3, 2, 1)):
        above = np.sqrt(kept[-1]) if len(kept) > 1 else np.inf
        if bits <= end * 1.001 and APART * np.sqrt(end) < np.sqrt(bits) <= above - APART * np.sqrt(end):
            kept.append(bits)
    return kept
