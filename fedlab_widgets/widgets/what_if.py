"""Drag who holds whom, and watch what moves and what does not. No retraining: predictions are frozen."""

from __future__ import annotations

import asyncio
import html as markup
from collections.abc import Callable
from importlib import import_module
from threading import Thread

import ipywidgets as w
from IPython.display import HTML, display

from ..evaluate.decomposition import private_of
from ..evaluate.pid import decompose
from ..evaluate.private_tables import Private
from ..events import Evaluated, Started
from ..part import BadInput
from ..partition import IID, ByGroup, Dirichlet, Masked, Natural
from ..tasks import Adult, Arrays
from ..world import rows_of
from . import fairness, fairness_html
from .controls import Scale, Slider
from .form_look import Names
from .mixing import Frozen
from .why import explained
from .words import spelled

PINNED = "The model did not change. Nobody's prediction changed."
OWN = ("<p role=note>Here each client has a model of its own. People who move keep the answer that their old client's "
       "model gave; the new client's model might answer otherwise.</p>")
AS_IS, ALIKE, BY_GROUP, MASKED, LABELS = "as it was", "alike", "by group", "masked", "by label"
ANEW = ("people are dealt anew at random, by seed; so it differs a little from “as it was”, even where that was the "
        "same split")
HELP = {AS_IS: "the clients as they were",
        ALIKE: "every client is a small copy of the whole",
        BY_GROUP: "each group has a home among the clients; skew is the share of its rows that live there",
        MASKED: "half of the clients hold those whose label and group agree, half the others; lambda = share at home",
        LABELS: "every client has a label mix of its own (Dirichlet); small alpha = more different"}
TERM = {BY_GROUP: "skew", MASKED: "masked", LABELS: "dirichlet alpha"}
DRAWS = 200      # tables that the band of the clients as they were is made from: the one in a run's record
FEW_DRAWS = 20   # tables a band is made from with three groups or more: each one is an optimisation, 2 ms and more
FEW_SAID = (f" With three groups or more chance is drawn from {FEW_DRAWS} tables here, and from up to {DRAWS} in the "
            "record of a run, so that what it reaches differs a little.")
REST = 0.3       # seconds without a move after which these are drawn, and the picture that stays in the notebook
# A page shows the panel or the picture of it; one without a kernel would else say that it found no model.
STILL = """<style>.jp-OutputArea:has(.fl-what-if) .fl-what-if-still,
.jp-OutputArea:has(.fl-what-if-still):not(:has(.fl-what-if)) .jupyter-widgets{display:none}
.fl-what-if-still .fl-pinned{font-weight:600}</style>
<figure class=fl-what-if-still style="margin:8px 0" aria-label="A picture of the panel"><figcaption><b>A picture of who
is given the answer; who holds whom: """


class Strength(w.Box):
    """How strong a split is: a number box, and a slider that stands for the number on a scale."""

    def __init__(self, name: str, scale: Scale, value: float):
        self.scale = scale
        self.box = w.BoundedFloatText(value=value, min=scale.low, max=scale.high, step=0.01, description=name,
                                      style={"description_width": "initial"}, layout={"width": "11em"})
        self.slider = Slider(label=f"{name}, slider", layout={"width": "auto", "min_width": "0"})
        self.slider.add_class("fl-slider").observe(self._dragged, "position")
        self.box.observe(self._follow, "value")
        self._follow()
        super().__init__([self.box, self.slider], layout={"width": "auto"})
        self.add_class("fl-strength")

    @property
    def value(self) -> float:
        return self.box.value

    def _dragged(self, change) -> None:
        self.box.value = self.scale.number(change.new)

    def _follow(self, _=None) -> None:
        """Where the handle stands for the number already leave it, or it jumps under the pointer."""
        if self.scale.number(self.slider.position) != self.value:
            self.slider.position = self.scale.position(self.value)
        self.slider.said = spelled(self.value)


class WhatIf(w.VBox):
    """A panel on counts [client, group, label, prediction]: choose a split and its strength, read the disparity.

    What stands still is on top, then the split, then what moves. groups, labels, favourable (an index) and clients as
    in `fairness.read`. on_train(partition_part) is called by the button "Train on this split", which is hidden without
    it. own: whether each client's rows were predicted by its own model. held_out and private: as in `fairness.read`;
    tables of another split get the same noise, so that they are what a release would have shown of it. `reading`,
    `partition` and `frozen` hold what is shown. Raises BadInput as `fairness.read` does.
    """

    def __init__(self, counts, groups, labels, favourable: int, clients=None,
                 on_train: Callable[[object], None] | None = None, seed: int = 0, own: bool = False,
                 held_out: bool = False, private: Private | None = None):
        self.frozen, self.on_train, self.seed = Frozen(counts, groups, labels, favourable, clients), on_train, seed
        self.held_out, self.private = held_out, private
        self.reading: fairness.Reading | None = None
        self._draws = max(20, min(DRAWS, 10_000 // len(self.frozen.counts)))    # a slider must not wait
        self._timer: asyncio.TimerHandle | None = None
        self._still = None   # where the picture stands, beneath the panel
        self._pinned = f"<p role=note class=fl-pinned>{PINNED}</p>{OWN * own}"
        self._many = len(self.frozen.groups) > 2
        binary = len(self.frozen.labels) == len(self.frozen.groups) == 2
        self.choice = w.ToggleButtons(options=[s for s in HELP if s != MASKED or binary], description="Split",
                                      tooltips=[HELP[s] for s in HELP if s != MASKED or binary],
                                      style={"button_width": "auto", "description_width": "initial"},
                                      layout={"width": "auto"})
        self._strengths = _strengths(len(self.frozen.groups))
        self.strength = w.VBox(layout={"min_height": "36px"})
        self.standing, self.hint, self.view = w.HTML(), w.HTML(), w.HTML(layout={"width": "auto"})
        self.train = w.Button(description="Train on this split", icon="play", layout={"width": "auto"},
                              tooltip="Start a run whose clients hold the rows this way")
        train = explained(self.train, "train on this split")
        train.layout.display = None if on_train else "none"
        Thread(target=lambda: import_module("scipy.special"), daemon=True).start()   # Dirichlet needs it: 0.1 s
        self._scale = {kind: self._widest(kind == MASKED) for kind in self.choice.options}
        self.choice.observe(self._chosen, "value")
        for strength in self._strengths.values():
            strength.box.observe(self._moved, "value")
        self.train.on_click(self._train)
        super().__init__([
            _heading("Who is given the answer", "fairness panel", "rate gap", "interval", "parity", "withheld"),
            self.standing, _heading("What if others held the same people?", "what if"),
            w.HTML(self._pinned), explained(self.choice, "split"),
            self.hint, self.strength, train, _heading("What moves", "redundant", "unique", "masked", "global disparity",
                                                      "local disparity", "bits", "band"), self.view, Names()])
        self.add_class("fl-what-if")
        self._chosen()
        self.standing.value = fairness_html.standing(self.reading)

    @classmethod
    def of(cls, source, on_train: Callable[[object], None] | None = None) -> WhatIf:
        """The panel of a run (its last held-out counts) or of an `Audit`.

        Raises BadInput for a run without groups, without a favourable label, or whose counts were not recorded.
        """
        if hasattr(source, "events"):
            return cls(*of_run(source), on_train=on_train, seed=source.experiment.seed,
                       own=source.experiment.own_models, held_out=True,
                       private=private_of(source))
        return cls(source.counts, source.groups, source.labels, source.favourable, source.clients, on_train=on_train)

    @property
    def partition(self):
        """The split that is shown, as a part of the catalogue."""
        n, kind = len(self.frozen.counts), self.choice.value
        strength = self._strengths[kind].value if kind in self._strengths else None
        return {AS_IS: lambda: Natural(), ALIKE: lambda: IID(clients=n),
                BY_GROUP: lambda: ByGroup(clients=n, skew=strength),
                MASKED: lambda: Masked(clients=max(n, 2), lam=strength),
                LABELS: lambda: Dirichlet(clients=n, alpha=strength)}[kind]()

    def _chosen(self, _=None):
        kind = self.choice.value
        held = self._strengths.get(kind)
        self.strength.children = [explained(held, TERM[kind], name=held.box.description)] if held else []
        said = "." if kind == AS_IS else f"; {ANEW}."
        said += FEW_SAID * self._many
        self.hint.value = f"<p class=fl-hint>{markup.escape(kind.capitalize())}: {HELP[kind]}{said}</p>"
        self.train.disabled = kind == AS_IS
        self._moved()

    def _moved(self, _=None):
        """Show the parts; bands that take long, and the picture in the notebook, wait until the slider rests."""
        draws = FEW_DRAWS if self._many else DRAWS if self.choice.value == AS_IS else self._draws
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:   # nobody could call back
            return self._show(draws)
        if self._timer:
            self._timer.cancel()
        self._timer = loop.call_later(REST, self._rested)
        self._show(0 if self._many else draws)

    def _rested(self):
        if self._many:
            self._show(FEW_DRAWS)
        if self._still is not None:
            self._still.update(HTML(self.picture()))

    def _show(self, draws: int):
        f, partition = self.frozen, self.partition
        counts = f.counts if self.choice.value == AS_IS else f.split(partition, self.seed)
        names = f.clients if len(counts) == len(f.clients) else None
        self.reading = fairness.read(counts, f.groups, f.labels, f.favourable, names, draws=draws,
                                     held_out=self.held_out, private=self.private)
        self.view.value = fairness_html.moving(self.reading, self._scale[self.choice.value])

    def picture(self) -> str:
        """What the panel shows, as HTML that needs no kernel and no widgets."""
        held = self._strengths.get(self.choice.value)
        split = self.choice.value + (f", {held.box.description} = {spelled(held.value)}" if held else "")
        return (f"{STILL}{split}</b><br>To move people, run the cell.</figcaption>"
                f"{fairness_html.standing(self.reading)}{self._pinned}"
                f"{fairness_html.moving(self.reading, self._scale[self.choice.value])}</figure>")

    def _ipython_display_(self) -> None:
        """The panel, and beneath it the picture that a notebook shows when nobody runs it."""
        if self._many:
            self._show(FEW_DRAWS)
        display(self._repr_mimebundle_(), raw=True)
        self._still = display(HTML(self.picture()), display_id=True)

    def _train(self, _):
        if self.on_train:
            self.on_train(self.partition)

    def _widest(self, masked: bool) -> float:
        """Bits of the tallest stack to be met, at the end of the slider: a scale that holds still while dragging."""
        n, ends = len(self.frozen.counts), [self.frozen.counts]
        if masked:
            ends.append(self.frozen.split(Masked(clients=max(n, 2), lam=1.0), self.seed))
        elif len(self.frozen.groups) == 2:
            ends.append(self.frozen.split(ByGroup(clients=n, skew=0.9), self.seed))
        found = (decompose(counts.sum(2).transpose(1, 2, 0)) for counts in ends)
        return max(d.unique + d.redundant + d.masked for d in found)


def _strengths(groups: int) -> dict[str, Strength]:
    """For each split that has one."""
    return {BY_GROUP: Strength("skew", Scale(round(1 / groups, 2), 1, False), 0.9),
            MASKED: Strength("lambda", Scale(0.5, 1, False), 0.9),
            LABELS: Strength("alpha", Scale(0.01, 100, True), 0.5)}


def _heading(text: str, *terms: str) -> w.Widget:
    return explained(w.HTML(f"<h3>{text}</h3>").add_class("fl-heading"), *terms, name=f"in “{text}”")


def of_run(run) -> tuple:
    """counts, groups, labels, favourable and the clients' names or numbers of a run's last reading."""
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
                       "give from_arrays a group (from_file: sensitive) and two labels")
    names = {c["client"]: c.get("name") or c["client"] for c in start.clients}   # as the data call them, where they do
    return run.counts(), start.groups, start.labels, favourable, [names.get(i, i) for i in last.clients]
