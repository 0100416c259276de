"""Drag who holds whom, and watch what moves and what does not. No retraining: predictions are frozen."""

from __future__ import annotations

import asyncio
import html as markup
from collections.abc import Callable
from importlib import import_module
from threading import Thread

import ipywidgets as w

from ..evaluate.pid import decompose
from ..events import Evaluated, Started
from ..part import BadInput
from ..partition import IID, ByGroup, Dirichlet, Masked, Natural
from ..tasks import Adult, Arrays
from ..world import rows_of
from . import fairness
from .mixing import Frozen

PINNED = "The model did not change. Nobody's prediction changed."
AS_IS, ALIKE, BY_GROUP, MASKED, LABELS = "as it was", "alike", "by group", "masked", "by label"
HELP = {AS_IS: "the clients as they were",
        ALIKE: "every client is a small copy of the whole",
        BY_GROUP: "each group has a home among the clients; skew is the share of its rows that live there",
        MASKED: "half of the clients hold those whose label and group agree, half the others; lambda = share at home",
        LABELS: "every client has a label mix of its own (Dirichlet); small alpha = more different"}
FEW_DRAWS = 20   # tables a band is made from with three groups or more: each one is an optimisation, 2 ms and more
REST = 0.3       # seconds without a move after which these are drawn


class WhatIf(w.VBox):
    """A panel on counts [client, group, label, prediction]: choose a split and its strength, read the disparity.

    groups, labels, favourable (an index) and clients as in `fairness.read`. on_train(partition_part) is called by the
    button "Train on this split", which is hidden without it. `reading`, `partition` and `frozen` hold what is shown.
    Raises BadInput as `fairness.read` does.
    """

    def __init__(self, counts, groups, labels, favourable: int, clients=None,
                 on_train: Callable[[object], None] | None = None, seed: int = 0):
        self.frozen, self.on_train, self.seed = Frozen(counts, groups, labels, favourable, clients), on_train, seed
        self.reading: fairness.Reading | None = None
        self._draws = max(20, min(200, 10_000 // len(self.frozen.counts)))    # 10 clients 10 ms, 100 clients 25 ms
        self._timer: asyncio.TimerHandle | None = None
        binary = len(self.frozen.labels) == len(self.frozen.groups) == 2
        self.choice = w.ToggleButtons(options=[s for s in HELP if s != MASKED or binary], description="Split",
                                      tooltips=[HELP[s] for s in HELP if s != MASKED or binary],
                                      style={"button_width": "auto"})
        self._strengths = _strengths(len(self.frozen.groups))
        self.strength = w.HBox(layout={"min_height": "36px", "flex_flow": "row wrap"})
        self.hint = w.HTML()
        self.standing = w.HTML()
        self.view = w.HTML(layout={"width": "100%", "overflow": "hidden auto"})
        self.train = w.Button(description="Train on this split", icon="play", layout={"width": "auto"},
                              tooltip="Start a run whose clients hold the rows this way")
        self.train.layout.display = None if on_train else "none"
        pinned = w.HTML(f"<p role=note style='margin:4px 0;font-weight:600;line-height:1.4'>{PINNED}</p>")
        Thread(target=lambda: import_module("scipy.stats"), daemon=True).start()   # Dirichlet needs it: half a second
        self._scale = {kind: self._widest(kind == MASKED) for kind in self.choice.options}
        self.standing.value = self._still()
        self.choice.observe(self._chosen, "value")
        for pair in self._strengths.values():
            pair[0].observe(self._moved, "value")
        self.train.on_click(self._train)
        super().__init__([self.choice, self.hint, self.strength, pinned, self.standing, self.train, self.view])
        self._chosen()

    @classmethod
    def of(cls, source, on_train: Callable[[object], None] | None = None) -> WhatIf:
        """The panel of a run (its last held-out counts) or of an `Audit`.

        Raises BadInput for a run without groups, without a favourable label, or whose counts were not recorded.
        """
        if hasattr(source, "events"):
            return cls(*_of_run(source), on_train=on_train, seed=source.experiment.seed)
        return cls(source.counts, source.groups, source.labels, source.favourable, source.clients, on_train=on_train)

    @property
    def partition(self):
        """The split that is shown, as a part of the catalogue."""
        n, kind = len(self.frozen.counts), self.choice.value
        strength = self._strengths[kind][0].value if kind in self._strengths else None
        return {AS_IS: lambda: Natural(), ALIKE: lambda: IID(clients=n),
                BY_GROUP: lambda: ByGroup(clients=n, skew=strength),
                MASKED: lambda: Masked(clients=max(n, 2), lam=strength),
                LABELS: lambda: Dirichlet(clients=n, alpha=strength)}[kind]()

    def _chosen(self, _=None):
        kind = self.choice.value
        self.strength.children = self._strengths.get(kind, ())
        self.hint.value = f"<div style='font-size:12px;line-height:1.4'>{markup.escape(kind)}: {HELP[kind]}</div>"
        self.train.disabled = kind == AS_IS
        self._moved()

    def _moved(self, _=None):
        if len(self.frozen.groups) == 2 or not self._wait():
            self._show(self._draws if len(self.frozen.groups) == 2 else FEW_DRAWS)

    def _wait(self) -> bool:
        """Show the parts without bands and draw these once the slider rests; False where no loop could call back."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self._timer:
            self._timer.cancel()
        self._timer = loop.call_later(REST, self._show, FEW_DRAWS)
        self._show(0)
        return True

    def _show(self, draws: int):
        f, partition = self.frozen, self.partition
        counts = f.counts if self.choice.value == AS_IS else f.split(partition, self.seed)
        names = f.clients if len(counts) == len(f.clients) else None
        self.reading = fairness.read(counts, f.groups, f.labels, f.favourable, names, draws=draws)
        self.view.value = fairness.html(self.reading, self._scale[self.choice.value], parts_first=True)

    def _train(self, _):
        if self.on_train:
            self.on_train(self.partition)

    def _still(self) -> str:
        """The figures that no split moves. They are computed once, from sums over clients: see `mixing.standing`."""
        s = self.frozen.standing
        cells = (("accuracy", fairness.percent(s.accuracy)), ("rate gap", f"{100 * s.rate_gap:.1f} points"),
                 ("global disparity", f"{s.global_disparity:.4f} bits"))
        big = "margin:0;font-size:18px;font-weight:600;font-variant-numeric:tabular-nums"
        each = (f"<div><div style='font-size:11px'>{name}</div><div style='{big}'>{value}</div></div>"
                for name, value in cells)
        row = "display:flex;flex-wrap:wrap;gap:4px 24px;line-height:1.3;margin:4px 0"
        return f"<div style='{row}'>{''.join(each)}</div>"

    def _widest(self, masked: bool) -> float:
        """Bits of the tallest stack to be met, at the end of the slider: a scale that holds still while dragging."""
        n, ends = len(self.frozen.counts), [self.frozen.counts]
        if masked:
            ends.append(self.frozen.split(Masked(clients=max(n, 2), lam=1.0), self.seed))
        elif len(self.frozen.groups) == 2:
            ends.append(self.frozen.split(ByGroup(clients=n, skew=0.9), self.seed))
        found = (decompose(counts.sum(2).transpose(1, 2, 0)) for counts in ends)
        return max(d.unique + d.redundant + d.masked for d in found)


def _strengths(groups: int) -> dict[str, tuple]:
    """For each split that has one: a slider and a number box that follow each other."""
    long = {"width": "min(340px, 100%)"}
    skew = w.FloatSlider(value=0.9, min=round(1 / groups, 2), max=1, step=0.01, description="skew", layout=long)
    lam = w.FloatSlider(value=0.9, min=0.5, max=1, step=0.01, description="lambda", layout=long)
    alpha = w.FloatLogSlider(value=0.5, base=10, min=-2, max=2, step=0.02, description="alpha", layout=long)
    return {kind: _pair(slider, low, high)
            for kind, slider, low, high in ((BY_GROUP, skew, 0, 1), (MASKED, lam, 0, 1), (LABELS, alpha, 0.01, 100))}


def _pair(slider, low: float, high: float) -> tuple:
    if isinstance(slider, w.FloatSlider):
        low, high = slider.min, slider.max
    slider.readout = False
    box = w.BoundedFloatText(value=slider.value, min=low, max=high, step=0.01, layout={"width": "90px"},
                             tooltip=f"{slider.description}, as a number")
    w.link((slider, "value"), (box, "value"))
    return slider, box


def _of_run(run) -> tuple:
    """counts, groups, labels, favourable and client ids of a run's last reading."""
    start = next((e for e in run.events if isinstance(e, Started)), None)
    last = next((e for e in reversed(run.events) if isinstance(e, Evaluated) and e.counts is not None), None)
    if start is None or last is None:
        raise BadInput(f"{run.path} holds no counts of predictions (no round was read, or the table was too large to "
                       "record); run it on, or with a smaller panel")
    task = run.experiment.task
    favourable = 1 if isinstance(task, Adult) else getattr(task, "favourable", None)   # its load takes half a second
    if favourable is None and len(start.groups) > 1 and not isinstance(task, Arrays):
        favourable = rows_of(task).favourable
    if len(start.groups) < 2 or favourable is None:
        raise BadInput(f"the task of {run.path} has no groups or no favourable label to compare; choose task=adult, or "
                       "give from_arrays a group and two labels")
    return run.counts(), start.groups, start.labels, favourable, last.clients
