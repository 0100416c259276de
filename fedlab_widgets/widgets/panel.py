"""One piece of a finished run, alone in a cell."""

from __future__ import annotations

from ..evaluate.decomposition import private_of
from ..part import BadInput
from . import fairness

FIGURES = ("convergence", "disparity", "communication")
PANELS = (*FIGURES, "fairness", "what_if", "clients", "inside")


def panel(run, name: str):
    """What a cell shows for the name: a `Figure`, HTML, a `WhatIf`, the table of clients, or an `Inside`.

    Raises BadInput for an unknown name, and for a run without what the panel shows.
    """
    if name in FIGURES:
        return run.figure(name)
    if name == "fairness":
        from IPython.display import HTML

        return HTML(fairness.html(reading(run)))
    if name == "what_if":
        from .what_if import WhatIf

        return WhatIf.of(run)
    if name == "clients":
        return run.clients
    if name == "inside":
        from .inside import Inside

        return Inside.of(run)
    raise BadInput(f"panel = {name!r} is none of {', '.join(PANELS)}")


def reading(run, draws: int = 200) -> fairness.Reading:
    """The gaps and parts of a run's last held-out counts; draws: tables a band is made from, 0 for none.

    Raises BadInput without groups, a favourable label or recorded counts, and when noise leaves nobody in the tables.
    """
    from .what_if import of_run

    counts, groups, labels, favourable, ids = of_run(run)
    return fairness.read(counts, groups, labels, favourable, ids, draws=draws, held_out=True, private=private_of(run))
