"""What accuracy the bytes of several runs bought: one line a run over the megabytes its clients sent, on a log axis.

`Run.figure("accuracy_per_mb")` shows one run, up and down together; this compares codecs, which change what goes up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from .export import Figure, keys
from .figures import (
    BLUE,
    CARD,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    SOFT,
    VERMILLION,
    YELLOW,
    _blank,
    _read,
    _start,
)
from .part import BadInput
from .run import Run

TINTS = (INK, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, YELLOW)
DASHES = ("solid", "7px,3px", "2px,2px", "9px,3px,2px,3px", "4px,2px")
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon", "hourglass", "triangle-down")


def accuracy_per_megabyte(runs: Mapping[str, Run] | Iterable[Run]) -> Figure:
    """Accuracy on the test set (0 to 1) over the megabytes sent up so far, by all clients together: the mean of a run's
    seeds, a line a run, and a mark where it ends.

    runs: names and runs, or runs alone, which then go by the name of their codec. `data` has a row for each run and
    reading, with the lowest and highest seed. Raises BadInput for no runs, two of one name, runs without readings of
    accuracy, and runs that sent nothing. Source: ours.
    """
    if not isinstance(runs, Mapping):
        runs = list(runs)
        named = {run.experiment.encode.name: run for run in runs}
        if len(named) < len(runs):
            raise BadInput("runs share a codec, so that its name does not tell them apart; give a dictionary of names "
                           "and runs")
        runs = named
    if not runs:
        raise BadInput("runs is empty; give at least one finished run")
    table = pd.concat([_bought(name, run) for name, run in runs.items()], ignore_index=True)
    fig = _blank("", "accuracy")
    for i, (name, rows) in enumerate(table.groupby("run", sort=False)):
        line = {"color": TINTS[i % len(TINTS)], "width": 2, "dash": DASHES[i % len(DASHES)]}
        fig.add_scatter(
            x=rows["MB up"], y=rows["accuracy"], name=name, mode="lines", line=line, showlegend=False,
            customdata=rows[["round", "lowest", "highest"]], hovertemplate="%{y:.1%} (%{customdata[1]:.1%} to "
            "%{customdata[2]:.1%}), round %{customdata[0]}, %{x:.3~g} MB")
        fig.add_scatter(   # the end alone, so that the key shows the mark on the line
            x=rows["MB up"].tail(1), y=rows["accuracy"].tail(1), name=name, mode="lines+markers", line=line,
            cliponaxis=False, hoverinfo="skip", legendrank=i + 1,
            marker={"size": 9, "symbol": MARKS[i % len(MARKS)], "color": line["color"], "opacity": 1,
                    "line": {"color": CARD, "width": 1}})
    rows = {_start(run).test_rows for run in runs.values()}
    of = f" of {rows.pop():,} test rows" if len(rows) == 1 else ""
    fig.update_xaxes(type="log", title_text="MB sent up so far, by all clients", dtick=1, minor={
        "ticks": "outside", "ticklen": 3, "tickcolor": SOFT, "dtick": "D1"}, tickformat="~g", exponentformat="none")
    fig.update_yaxes(title_text=f"right{of}", tickformat=".2~%")
    fig.update_layout(hovermode="closest")
    return Figure("accuracy_per_megabyte", keys(fig, 700, 400, 13).update_layout(height=400), table)


def _bought(name: str, run: Run) -> pd.DataFrame:
    """A row a reading: the round, MB up so far, and accuracy over the seeds."""
    some = []
    for one in (run, *run.replicates):
        if not len(one.history):
            raise BadInput(f"{one.path} has no finished round yet; run it on first")
        read, sent = _read(one, "accuracy"), one.history.bytes_up.cumsum() / 1e6
        if not sent.iloc[-1]:
            raise BadInput(f"{one.path} sent nothing up, and an axis of MB in powers of ten has no place for that; "
                           "leave it away")
        some.append(pd.DataFrame({"round": read["round"].astype(int), "MB up": sent[read.index],
                                  "accuracy": read.accuracy}))
    by = pd.concat(some).query("`MB up` > 0").groupby("round")
    return pd.DataFrame({"run": name, "round": list(by.groups), "MB up": by["MB up"].mean().values,
                         "accuracy": by.accuracy.mean().values, "lowest": by.accuracy.min().values,
                         "highest": by.accuracy.max().values, "seeds": by.size().values})
