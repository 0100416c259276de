"""Attacks by defences: a heat map of mean and deviation over seeds, with the numbers in its cells."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from .export import Figure
from .figures import CARD, INK, SOFT, _blank
from .part import BadInput

# One hue, from paper to dark: it reads in grey and for the colour-blind. What is broken is dark, and stands out.
SCALE = ((0.0, "#fdf6ee"), (0.25, "#f9d3ae"), (0.5, "#ec9a5c"), (0.75, "#c65a18"), (1.0, "#7a2d00"))
WHITE_FROM = 0.7       # of the scale, from where on white is easier to read than ink
WORST, GAP = "worst of these", 0.25   # the last row, and how far below the others it stands
LEAST = 0.5            # of shares: how much worse than the best is dark, or a map of like numbers would look broken
NO_SHARES = ("loss", "global_disparity", "local_disparity", "unique", "redundant", "masked")   # though below 1
ROW, LINE, BELOW, LETTERS = 42, 18, 54, 56   # pixels: a row of cells, a line of names, the words; letters in a line


def cells(data: pd.DataFrame, axes: tuple[str, ...], value: str) -> pd.DataFrame:
    """A row a cell, in the order of `data`: mean, std (with n - 1), n runs that finished, and how many failed.

    Raises BadInput for a column that `data` has not, or that holds no numbers.
    """
    for column in (*axes, value, "status"):
        if column not in data:
            raise BadInput(f"data has no column {column!r}; it has {', '.join(data)}")
    if not pd.api.types.is_numeric_dtype(data[value]):
        raise BadInput(f"data: {value} holds no numbers; choose another reading")
    by = data.groupby(list(axes), sort=False)
    found = by[value].agg(["mean", "std", "count"]).rename(columns={"count": "n"})
    return found.assign(failed=by["status"].agg(lambda status: int((status == "failed").sum()))).reset_index()


def heat_map(data: pd.DataFrame, rows: str, columns: str, value: str = "accuracy", good: str = "high",
             told: str = "") -> Figure:
    """Cells of rows by columns, each with mean ± standard deviation over its runs, shares (0 to 1) in percent; below,
    the worst mean of each column: a defence is worth what it is worth against the attack that suits it least.

    data: a row a run, as `Sweep.data`. good: whether "high" or "low" values are good; bad ones are dark. told: what
    stands below, before the number of seeds. A cell with failed runs says how many; where all failed it is darkest.
    Raises BadInput for columns that are not there, values that are all missing, and another `good`.
    """
    if good not in ("high", "low"):
        raise BadInput(f"good = {good!r} is neither \"high\" nor \"low\"")
    found = cells(data, (rows, columns), value)
    if found["mean"].isna().all():
        raise BadInput(f"data: no run has a reading of {value}; choose another, or run longer")
    down, across = (list(dict.fromkeys(found[axis])) for axis in (rows, columns))
    share = shares(found["mean"], value)
    found["bad"] = badness(found["mean"], good, LEAST if share else 1e-12)
    last = found.loc[[found["bad"].where(found[columns] == name).idxmax() for name in across]]
    fig = _blank("", "")
    at = {name: float(i) for i, name in enumerate(down)}
    under = len(down) + GAP
    for some, where in ((found, found[rows].map(at)), (last, pd.Series(under, last.index))):
        grid = some.assign(row=where).pivot(index="row", columns=columns, values="bad")[across]
        fig.add_heatmap(z=grid, x=list(range(len(across))), y=list(grid.index), dy=1, zmin=0, zmax=1, colorscale=SCALE,
                        xgap=2, ygap=2, showscale=False, hoverinfo="skip")
    for x, y, cell in zip(found[columns].map(across.index), found[rows].map(at), found.itertuples(), strict=True):
        _write(fig, x, y, cell.bad, _told(cell, share))
    for i, cell in enumerate(last.itertuples()):
        _write(fig, i, under, cell.bad, f"<b>{number(cell.mean, share)}</b>" if cell.n else "failed")
    fig.update_xaxes(tickvals=list(range(len(across))), ticktext=[name.replace(" ", "<br>") for name in across],
                     side="top", range=[-0.5, len(across) - 0.5], autotickangles=[0, -90])
    fig.update_yaxes(tickvals=[*at.values(), under], ticktext=[*down, f"<b>{WORST}</b>"], range=[under + 0.5, -0.5])
    for axis in (fig.layout.xaxis, fig.layout.yaxis):
        axis.update(showgrid=False, showline=False, ticks="", fixedrange=True)
    seeds = found.n + found.failed
    many = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    words = (f"{told or value.replace('_', ' ')}{', in %' if share else ''}: mean"
             + (f" ± standard deviation over {many} seeds" if seeds.max() > 1 else " of one seed")
             + f"; dark is {'low' if good == 'high' else 'high'}")
    text = "<br>".join(_lines(words))   # from the right, so that it may reach under the names of rows
    fig.add_annotation(text=f"<span style='font-size:0.9em'>{text}</span>", x=1, xref="paper", xanchor="right", y=0,
                       yref="paper", yanchor="top", yshift=-6, align="right", showarrow=False, font={"color": SOFT})
    above = 8 + LINE * max(len(name.split()) for name in across)
    fig.update_layout(height=above + BELOW + round(ROW * (under + 1)), hovermode=False,
                      margin={"t": above, "b": BELOW, "l": 8, "r": 8})
    return Figure(f"{value}_by_{rows}_and_{columns}".replace(".", "_"), fig, found.drop(columns="bad"))


def shares(means: pd.Series, value: str) -> bool:
    """Whether readings are shares of 1, to be written in percent."""
    return value not in NO_SHARES and not ((means < 0) | (means > 1)).any()


def badness(means: pd.Series, good: str, least: float) -> pd.Series:
    """How bad each mean is, from 0 (the best there is) to 1 (the worst, if that is `least` worse); 1 where all runs
    failed."""
    behind = means.max() - means if good == "high" else means - means.min()
    return (behind / max(behind.max(), least)).fillna(1.0)


def _told(cell, share: bool) -> str:
    """What stands in a cell: mean, deviation, and how many runs failed."""
    failed = f"{cell.failed} failed" if cell.failed else ""
    if not cell.n:
        return failed or "–"
    spread = "" if math.isnan(cell.std) else f"± {number(cell.std, share)}"
    below = ", ".join(filter(None, (spread, failed)))
    return number(cell.mean, share) + (f"<br><span style='font-size:0.85em'>{below}</span>" if below else "")


def number(x: float, share: bool) -> str:
    return f"{100 * x:.1f}" if share else f"{x:.3g}"


def _write(fig: go.Figure, x: float, y: float, bad: float, text: str) -> None:
    fig.add_annotation(x=x, y=y, text=text, showarrow=False, font={"color": CARD if bad >= WHITE_FROM else INK})


def _lines(words: str) -> list[str]:
    """Words in lines of LETTERS letters at most."""
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > LETTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
