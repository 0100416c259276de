"""What is possible at best: the accuracy that no strategy could exceed on a run's rows, within limits that are typed in
or clicked, and where the run stands."""

from __future__ import annotations

import asyncio
import html as markup
import threading
import time
from typing import NamedTuple

import ipywidgets as w
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML, display

from ..evaluate.limits import Best, Frontier, favoured, frontier, limits, tables
from ..evaluate.limits_cone import Program
from ..events import Evaluated
from ..figure_limits import COLUMNS, figure, roots
from ..part import BadInput
from .fairness import bits, percent
from .fairness_html import STYLE, framed
from .file_chooser import Status
from .form_look import Names
from .limits_still import still
from .what_if import Strength, of_run
from .why import explained
from .words import Word

ANY, OWN, EACH = "any model", "this one, corrected", "this one, corrected at each client"
WIDE = 700               # pixels of the map; a narrower page scrolls it
PATIENCE = 5             # seconds that a cell waits for the map, for the picture beneath it
POINTS, MANY = 16, 30    # of the grid along each limit; with more clients than MANY it has 10
ABOUT = ("Of all answers that could be given to these rows, by whatever model and however trained, some are the most "
         "accurate that keep within two limits. They may know label, group and client of everybody: a model that must "
         "guess will stay below. Nothing is trained here.")
WORDS = {
    "the limits": Word(
        "The most that answers may tell about the group, in bits: over everybody (global), and inside the clients "
        "(local). 0 bits: nothing at all.",
        "Global 0, local 1: over everybody the groups are treated alike; single clients may do as they like.",
        "Set one of them to 0: does that cost as much accuracy as setting both?"),
    "whose answers": Word(
        "Any model: whatever answers are possible. This one, corrected: what can be made of the run's answers by "
        "changing some at random, by group; false and true positive rates then stay in the parallelogram of the model. "
        "At each client: by somebody who may change them differently at every client, so that the rates of each client "
        "stay in that client's parallelogram.",
        "A model with 10 % false and 60 % true positives cannot be brought to 90 % true positives by such changes.",
        "Switch, and see how much of the accuracy is lost by starting from this model."),
    "the map": Word(
        "Each line joins limits that allow the same accuracy at best; the stronger the blue, the more accurate. The "
        "cross stands at the limits set. The orange path is the run: each round's disparities, the circle its first, "
        "the diamond its last.",
        "A path that turns to the lower left loses disparity.",
        "Click the map to set both limits, or move the cross with the two sliders (by keyboard: their arrow keys)."),
}
# The map is plotly's, which knows no theme: its words and lines take the page's ink here, its paper is clear.
LOOK = """<style>.fl-limits{--fl-ink:var(--jp-content-font-color1,var(--vscode-editor-foreground,#1f1f1f));
--fl-ground:var(--jp-layout-color1,var(--vscode-editor-background,#fff))}
.fl-limits .js-plotly-plot .main-svg{background:none!important}
.fl-limits .js-plotly-plot .main-svg text{fill:var(--fl-ink)!important}
.fl-limits .js-plotly-plot .hoverlayer text{fill:#1f1f1f!important}
.fl-limits .js-plotly-plot .contourlevel path{stroke:var(--fl-ink)!important;stroke-opacity:.45!important}
.fl-limits .js-plotly-plot .annotation-text-g .bg{fill:var(--fl-ground)!important}
.fl-limits .js-plotly-plot .annotation-arrow-g path{stroke:var(--fl-ink)!important}
.fl-limits .js-plotly-plot :is(.xlines-above,.ylines-above){stroke:var(--fl-ink)!important}
.fl-limits .fl-bits{display:flex;align-items:center;gap:6px;margin:0}.fl-limits .fl-bits>*{margin:0}
.fl-limits .fl-bits .widget-inline-hbox{flex-wrap:nowrap}.fl-limits .fl-bits .widget-label{min-width:4.6em}
.fl-limits .fl-map{overflow-x:auto}.fl-limits .fl-map:focus-visible{outline:2px solid var(--jp-brand-color1,#1976d2)}
</style>"""


class Roots(NamedTuple):
    """Positions 0 to 1 along an axis of the map as bits: its scale is of square roots."""

    high: float
    low: float = 0.0

    def number(self, position: float) -> float:
        return float(f"{self.high * position**2:.3g}")

    def position(self, number: float) -> float:
        return min(number / self.high, 1.0) ** 0.5


class LimitsPanel(w.VBox):
    """A panel on people [group, label, client] and, if given, a model's predictions of them and the way of a run.

    of: predictions [group, label, prediction, client]. path: as in `figure_limits.figure`, its accuracy on the same
    people. Work is done on a thread; `best` and `front` hold what is shown, `wait` waits. Raises BadInput as `limits`.
    """

    def __init__(self, people, of=None, path: pd.DataFrame | None = None):
        self.people, self.predicted, self.path = people, of, path
        self.best: Best | None = None
        self.front: Frontier | None = None
        self._lock, self._thread, self._asked, self._drawn = threading.Lock(), None, None, None
        self._grids: dict[str, Frontier] = {}
        self._still = self._loop = None   # where the picture stands beneath the panel, and who may draw it anew
        limits(people, 0, 0, of)     # what is wrong with the tables is said at once
        self._tops = self._ends()
        start = [0.01, 0.01]
        if path is not None:
            start = path.dropna().iloc[-1][["global_disparity", "local_disparity"]] / 2
        held = [_limit(name, top, at) for name, top, at in zip(("global", "local"), self._tops, start, strict=True)]
        self.boxes = [limit.box for limit in held]
        self.whose = w.ToggleButtons(options=[ANY, OWN, EACH], description="Answers of", style={
            "button_width": "auto", "description_width": "initial"}, layout={"width": "auto"})
        self.status, self.view, self.map = Status(), w.HTML(layout={"width": "auto"}), w.VBox()
        self.map.add_class("fl-map")
        whose = explained(self.whose, WORDS["whose answers"], name="whose answers")
        whose.layout.display = None if of is not None else "none"
        super().__init__([
            explained(w.HTML("<h3>What is possible at best</h3>").add_class("fl-heading"), "global disparity",
                      "local disparity", "bits", name="in “What is possible at best”"),
            w.HTML(f"{LOOK}<p class=fl-hint>{ABOUT}</p>"),
            explained(w.VBox(held, layout={"width": "40rem", "max_width": "100%"}), WORDS["the limits"],
                      name="a limit"),
            whose, self.view, self.status, explained(self.map, WORDS["the map"], name="the map"), Names()])
        self.add_class("fl-what-if").add_class("fl-limits")
        for control in (*self.boxes, self.whose):
            control.observe(self._ask, "value")
        self._ask()

    @classmethod
    def of(cls, source) -> LimitsPanel:
        """The panel of a run (its held-out rows and its way over the rounds) or of an `Audit`.

        Raises BadInput for a run without groups, without a favourable label, or whose counts were not recorded.
        """
        people, predicted = tables(source)
        if predicted is None:
            raise BadInput(f"source is a {type(source).__name__}; give a run or an Audit, or tables to LimitsPanel(…)")
        return cls(people, predicted, way(source) if hasattr(source, "events") else None)

    def wait(self, seconds: float = 60) -> None:
        """Wait until what was asked for is shown."""
        end = time.monotonic() + seconds
        while self._thread is not None and time.monotonic() < end:
            time.sleep(0.01)

    def _ask(self, _=None) -> None:
        with self._lock:
            self._asked = (*(box.value for box in self.boxes), self.whose.value)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, daemon=True, name="fedlab limits")
                self._thread.start()

    def _serve(self) -> None:
        """Answer what was asked for last, until nothing else was."""
        while True:
            with self._lock:
                asked, self._asked = self._asked, None
                if asked is None:
                    self._thread = None
                    return
            self.status.guarded(lambda asked=asked: self._answer(*asked))

    def _answer(self, most_global: float, most_local: float, whose: str) -> None:
        how = self._how(whose)
        self.best = limits(self.people, most_global, most_local, **how)
        self.view.value = page(self.best, None if self.path is None else self._stands(how), whose)
        if whose not in self._grids:
            self._grids[whose] = self._grid(how)
        self.front = self._grids[whose]
        if self._drawn != whose:
            self._rows = self._reached(how)
            drawn = go.FigureWidget(figure(self.front, self._rows, (most_global, most_local)))
            drawn.update_layout(width=WIDE, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
            drawn.data[0].on_click(self._clicked)
            self.map.children, self._drawn = (drawn,), whose
        else:
            x, y = roots(self.front, most_global, most_local)
            self.map.children[0].data[-1].update(x=[x], y=[y])
        self.status.say("")
        if self._still is not None:
            self._loop.call_soon_threadsafe(self._still.update, HTML(self.picture()))

    def picture(self) -> str:
        """What the panel shows, as HTML that needs no kernel and no widgets. Empty before the map is drawn."""
        if self._drawn is None:
            return ""
        return still(self.front, self._rows, (self.best.most_global, self.best.most_local), self.view.value,
                     "" if self.predicted is None else f"answers of {self._drawn}")

    def _ipython_display_(self) -> None:
        """The panel, and beneath it the picture that a notebook shows when nobody runs it."""
        display(self._repr_mimebundle_(), raw=True)
        self.wait(PATIENCE)   # what comes after the cell has ended is lost where nobody looks on
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:   # nobody could call back
            return display(HTML(self.picture()))
        self._still = display(HTML(self.picture()), display_id=True)

    def _how(self, whose: str) -> dict:
        """Whose answers, as arguments of `limits`."""
        return {} if whose == ANY else {"of": self.predicted, "each_client": whose == EACH}

    def _ends(self) -> list[float]:
        """How far the map goes, global and local: to where perfect predictions or the run are, whichever is further."""
        share = np.asarray(self.people) / np.sum(self.people)
        tops = Program(share).disparities(np.broadcast_to([[[0.0], [1.0]]], share.shape))
        if self.path is not None:
            tops = [max(top, 1.02 * self.path[f"{n}_disparity"].max())
                    for top, n in zip(tops, ("global", "local"), strict=True)]
        return [max(float(top), 1e-3) for top in tops]

    def _grid(self, how: dict) -> Frontier:
        """The map, and meanwhile how long it will take."""
        start, points = time.monotonic(), POINTS if np.shape(self.people)[2] <= MANY else 10
        axes = [top * np.linspace(0, 1, points) ** 2 for top in self._tops]

        def told(done: int, rows: int) -> None:
            left = (time.monotonic() - start) / done * (rows - done)
            if left > 0.5:
                self.status.say(f"Drawing the map: {done} of {rows} rows, about {left:.0f} s left …")

        self.status.say("Drawing the map …")
        return frontier(self.people, *axes, **how, on_row=told)

    def _stands(self, how: dict) -> pd.Series:
        """The last round of the path, with the best accuracy at its disparities."""
        last = self.path.dropna().iloc[-1].copy()
        last["best"] = limits(self.people, last.global_disparity, last.local_disparity, **how).accuracy
        return last

    def _reached(self, how: dict) -> pd.DataFrame | None:
        """The path, with the best accuracy at the disparities of its first and its last round."""
        if self.path is None:
            return None
        rows = self.path.dropna().assign(best=np.nan)
        for i in rows.index[[0, -1]]:
            at = rows.loc[i]
            rows.loc[i, "best"] = limits(self.people, at.global_disparity, at.local_disparity, **how).accuracy
        return rows

    def _clicked(self, _, points, __) -> None:
        """Set both limits to where the map was clicked: its axes are of square roots."""
        if points.xs and points.ys:
            for box, root in zip(self.boxes, (points.ys[0], points.xs[0]), strict=True):
                box.value = float(f"{root**2:.3g}")


def _limit(name: str, top: float, value: float) -> Strength:
    """A box for a limit, its unit, and a slider along its axis of the map: what a click does, from the keyboard."""
    held = Strength(f"{name} ≤", Roots(top), float(f"{value:.2g}"))
    held.box.max, held.box.step = 10, 0.001
    held.box.value = float(f"{value:.2g}")
    held.box.layout.width = "11.5em"
    held.children = [w.HBox([held.box, w.HTML("bits")]).add_class("fl-bits"), held.slider]
    return held


def folded(run) -> w.Accordion:
    """The panel of a run, closed: it is made when it is opened for the first time, since its map takes seconds."""
    inside = w.VBox(layout={"width": "100%"})
    section = w.Accordion([inside], titles=["What is possible at best"], selected_index=None)

    def opened(change) -> None:
        if change.new is None or inside.children:
            return
        try:
            inside.children = [LimitsPanel.of(run)]
        except BadInput as error:
            inside.children = [w.HTML(f"<p role=note>{markup.escape(str(error))}</p>")]

    section.observe(opened, "selected_index")
    return section


def way(run) -> pd.DataFrame:
    """A run's way: for each round read its disparities in bits and its accuracy (0 to 1), all on the held-out rows."""
    favourable = of_run(run)[3]
    rows = []
    for event in run.events:
        if isinstance(event, Evaluated) and event.counts is not None:
            told = favoured(np.array(event.counts).reshape(event.shape), favourable)
            people, ones = told.sum(2), told[:, :, 1]
            share = np.divide(ones, people, out=np.zeros(people.shape), where=people > 0)
            right = told[:, 0, 0].sum() + told[:, 1, 1].sum()
            rows.append((event.round, *Program(people / people.sum()).disparities(share), right / people.sum()))
    return pd.DataFrame(rows, columns=[*COLUMNS])


def page(best: Best, stands: pd.Series | None, whose: str = ANY) -> str:
    """The best accuracy, what the limits cost, and where a run stands, as HTML."""
    said = "".join(f"<li>{markup.escape(line)}" for line in (*best.sentences, *standing(best, stands, whose)))
    return STYLE + framed(f"<p><span class=big>{best.at_most:.2f}\u00a0%</span> right at best"
                          f"<small>certified to within {_points(best.gap)} points; global disparity is then "
                          f"{bits(best.global_disparity)} bits, local {bits(best.local_disparity)}</small></p>"
                          f"<ul>{said}</ul>")


def standing(best: Best, stands: pd.Series | None, whose: str = ANY) -> tuple[str, ...]:
    """Where a run stands: against what its disparities allow, and against the limits."""
    if stands is None:
        return ()
    over = [f"its {name} disparity by {bits(found - most)} bits" for name, found, most in (
        ("global", stands.global_disparity, best.most_global), ("local", stands.local_disparity, best.most_local))
        if found > most]
    way = "within the same disparities" if whose == ANY else "by changing its answers"
    return (f"After round {stands['round']:.0f} the run is right on {percent(stands.accuracy, 2)} of these rows, with "
            f"{bits(stands.global_disparity)} bits of global and {bits(stands.local_disparity)} of local disparity; "
            f"{way} {percent(stands.best, 2)} would be possible at best.",
            f"It exceeds the limits: {' and '.join(over)}." if over else "It keeps within both limits.")


def _points(share: float) -> str:
    return f"{100 * share:.1g}" if share > 1e-6 else "0.0001"
