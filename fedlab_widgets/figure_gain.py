"""What a model of its own gains each client: a dumbbell a client, from the model of all to its own."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .export import Figure, keys
from .figures import BLUE, CARD, INK, MOST_ROWS, SOFT, VERMILLION, _blank, _names
from .part import BadInput
from .slots import Distribute

# What a client does with its own model: the word, and colour, mark, its size and dash; the sign of the rows gained.
KINDS = (("gain", BLUE, "circle", 10, "solid", 1), ("stay", SOFT, "square", 5, "solid", 0),
         ("lose", VERMILLION, "diamond", 10, "5px,3px", -1))


def gain_table(run, against=None) -> pd.DataFrame:
    """A row a client of the panel with held-out rows, who gains most first: client (its name), n (held-out rows),
    shared and own (accuracy of the model of all, and of its own), rows (how many more of the n its own gets right),
    gain (rows / n).

    run: a Run. against: another Run of the same clients whose models stand for the model of all, as FedAvg's does; it
    must be given where layers stay at home, since then nothing whole is trained together. Raises BadInput without it
    there, where a run holds no readings of clients, and where the two runs hold other rows.
    """
    table = _clients(run)
    if against is not None:
        other = _clients(against)
        same = [c for c in table if c in ("train", "held_out") or c.startswith(("label ", "group "))]
        if not table[same].equals(other.reindex(columns=same)):
            raise BadInput(f"against = {against.path} has other clients than {run.path}, or the same ones with other "
                           "rows; give a run with the same task, partition and seed")
        shared = other.accuracy
    elif "shared_accuracy" in table:
        shared = table.shared_accuracy
    else:
        at_home = type(run.experiment.distribute).kept is not Distribute.kept
        why = ("no model of all: some layers stay at home, and what is trained together is no whole" if at_home else
               "no models of clients' own: all use the same")
        raise BadInput(f"{run.path} has {why}; give against=, a run of fedavg on the same clients, say")
    names, n = _names(run), table.held_out
    rows = ((table.accuracy - shared) * n).round()
    found = pd.DataFrame({"client": [names[i] for i in table.index], "n": n, "shared": shared, "own": table.accuracy,
                          "rows": rows, "gain": rows / n.where(n > 0)})
    found = found[found.gain.notna()].astype({"rows": int})
    return found.sort_values(["gain", "n"], ascending=False, kind="stable").reset_index(drop=True)


def gains(run, against=None) -> Figure:
    """Each client's accuracy with the model of all (a ring) and with its own, on its own held-out rows; who gains most
    is on top, and beside it stand the rows gained or lost, and how many there are.

    Of more than 40 clients the 20 that gain most and the 20 that lose most. run, against: as in `gain_table`, whose
    table is the figure's `data`; Raises BadInput as it does. Source: ours.
    """
    table = gain_table(run, against)
    if not len(table):
        raise BadInput(f"{run.path}: no client holds out rows, so that there is nothing to compare; give clients at "
                       "least five rows each")
    half = MOST_ROWS // 2
    shown = table if len(table) <= MOST_ROWS else pd.concat([table[:half], table[-half:]])
    at, fig = pd.Series(range(len(shown)), shown.index), _blank("", "")
    for _, colour, _, _, dash, sign in KINDS:
        mine = shown[np.sign(shown.rows) == sign]
        for place, a, b in zip(at[mine.index], mine.shared, mine.own, strict=True):
            fig.add_scatter(x=[a, b], y=[place, place], mode="lines", showlegend=False, hoverinfo="skip",
                            line={"color": colour, "width": 2.5, "dash": dash})
    fig.add_scatter(x=shown.shared, y=at, mode="markers", hoverinfo="skip", legendrank=1,
                    name="the model of all" if against is None else f"the model of {against.experiment.name}",
                    marker={"size": 11, "color": CARD, "line": {"color": INK, "width": 1.6}})
    for word, colour, symbol, size, _, sign in KINDS:
        mine, count = shown[np.sign(shown.rows) == sign], int((np.sign(table.rows) == sign).sum())
        if count:
            fig.add_scatter(
                x=mine.own, y=at[mine.index], mode="markers", name=f"its own: {count} {word}{'s' * (count == 1)}",
                marker={"size": size, "color": colour, "symbol": symbol}, legendrank=3 - sign,
                customdata=mine[["client", "n", "shared", "rows"]], hovertemplate="%{customdata[0]}: %{x:.1%} with its "
                "own, %{customdata[2]:.1%} with the other, %{customdata[3]:+d} of %{customdata[1]} rows<extra></extra>")
    for place, rows, n in zip(at, shown.rows, shown.n, strict=True):
        fig.add_annotation(x=1, xref="paper", xanchor="left", xshift=8, y=place, showarrow=False,
                           text=(f"{rows:+d}" if rows else "±0").replace("-", "−") + f" of {n:,}")
    low = min(shown.shared.min(), shown.own.min())
    fig.update_xaxes(title_text=_words(table, len(shown)), tickformat=".0%", range=[max(low - 0.05, -0.03), 1.03])
    fig.update_yaxes(tickvals=list(at), ticktext=list(shown.client), range=[len(shown) - 0.4, -0.6], showgrid=False)
    fig.update_layout(hovermode="closest", margin_r=84, plot_bgcolor=CARD, showlegend=True)
    height = 19 * len(shown) + 148
    return Figure("gains", keys(fig, 700, height, 13).update_layout(height=height), table)


def _clients(run) -> pd.DataFrame:
    table = run.clients
    if "accuracy" not in table:
        raise BadInput(f"{run.path} holds no readings of its clients; let it finish a round, and read at most a panel "
                       "whose tables are kept (evaluate.clients)")
    return table


def _words(table: pd.DataFrame, shown: int) -> str:
    of = "" if shown == len(table) else f"; {shown} of {len(table):,} clients"
    mean = f"{100 * table.gain.mean():+.1f}".replace("-", "−")
    return (f"accuracy on a client’s own held-out rows{of}<br>right: rows gained, of how many<br>"
            f"mean gain {mean} points, each client counting once")
