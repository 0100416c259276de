"""How privacy is spread over the clients, where each has an account of its own: how many end at which epsilon."""

from __future__ import annotations

import numpy as np

from .export import Figure
from .figures import BLUE, CARD, INK, VERMILLION, _blank
from .part import BadInput
from .privatise.per_client import client_epsilons

BINS = 14


def epsilons(run) -> Figure:
    """How many clients of the panel ended at which epsilon; dashed, the largest, which is what holds for all of these.

    run: a Run for which `client_epsilons` has an answer; that table is the figure's `data`. Raises BadInput as it does,
    and where no epsilon is finite and above 0. Source: ours.
    """
    table = client_epsilons(run)
    shown = table[np.isfinite(table.epsilon) & (table.epsilon > 0)]
    if not len(shown):
        raise BadInput(f"{run.path} has no client with a finite epsilon above 0: without noise there is no privacy to "
                       "draw, and who never came spent nothing")
    worst, delta, idle = shown.epsilon.max(), shown.delta.iloc[0], int((table.epsilon == 0).sum())
    count, edges = np.histogram(shown.epsilon, np.linspace(0, worst, BINS + 1))
    last = np.minimum(np.digitize(shown.epsilon, edges), BINS) - 1
    rows = shown.rows.groupby(last).agg(["min", "max"]).reindex(range(BINS))
    fig = _blank("", "clients" + (f" ({idle} never came)" if idle else ""))
    fig.add_bar(x=(edges[1:] + edges[:-1]) / 2, y=count, width=np.diff(edges), showlegend=False,
                marker={"color": BLUE, "line": {"color": CARD, "width": 2}},
                customdata=np.stack([edges[:-1], edges[1:], rows["min"], rows["max"]], 1),
                hovertemplate="%{y} clients, epsilon %{customdata[0]:.3g} to %{customdata[1]:.3g}, with "
                              "%{customdata[2]} to %{customdata[3]} rows<extra></extra>")
    of = ", so for all" if len(table) < run.experiment.evaluate.clients else f" of a panel of {len(table)}"
    line = {"color": VERMILLION, "width": 2.5, "dash": "7px,4px"}
    fig.add_scatter(x=[worst] * 2, y=[0, 1.08 * count.max()], mode="lines", line=line, hoverinfo="skip", name="largest")
    fig.add_annotation(x=worst, y=1.08 * count.max(), text=f"largest{of}: {worst:.3g}", showarrow=False,
                       xanchor="right", yanchor="bottom", font={"color": INK})
    whose = f"epsilon at delta = {delta:.2g}, of<br>{table.attrs['whose']}"
    fig.update_xaxes(title_text=whose, range=[0, 1.03 * worst])
    fig.update_yaxes(range=[0, 1.2 * count.max()], tickformat="~d")
    return Figure("client_epsilons", fig.update_layout(hovermode="closest", showlegend=False, height=360), table)
