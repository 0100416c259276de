"""The lab: pick clients, launch, watch, and ask "what if". A view of a run; the run's folder is the truth."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from html import escape
from pathlib import Path

import ipywidgets as w
import numpy as np

from ..events import Evaluated, RoundEnded, Started
from ..part import BadInput
from ..run import Run
from ..spec import Experiment
from .board import Board
from .fairness import withheld
from .form import Form
from .preview import Preview
from .runner import AT_WORK, Phase, Runner
from .starts import STARTS
from .still import still
from .what_if import WhatIf

HERTZ = 10             # flushes a second, at most
WATCH_SECONDS = 8.0    # how long the default run takes when a class is to see it
SPEEDS = (("watch (about 8 s)", WATCH_SECONDS), ("slow (about 30 s)", 30.0), ("full speed", 0.0))
SETTLE = 0.7           # seconds without a change before a forecast is measured
_LIVE: dict = {}       # name -> the newest Lab of that name
_REVEALED: dict = {}   # task -> the sentence on its withheld attribute


def said(handler):
    """A button's handler whose errors are said in the lab: elsewhere nobody would see them."""
    @functools.wraps(handler)
    def guarded(self, *args):
        try:
            return handler(self, *args)
        except Exception as error:   # noqa: BLE001
            self.say_problem(str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}")
    return guarded


class Lab(w.VBox):
    """The laboratory as a widget: a form, a row of buttons, live plots, fairness and what-if.

    experiment: where to begin (the default experiment when not given). out: folder for run folders (`./runs`). name:
    the lab of a name that is at work is re-attached when its cell runs again. `await lab.wait()` waits for the run and
    raises what went wrong; `lab.run` is the last run, `lab.experiment` the one in the form.
    Raises BadInput for an experiment that is none.
    """

    def __init__(self, experiment: Experiment | None = None, out: str | Path | None = None, device: str | None = None,
                 name: str = "lab"):
        if experiment is not None and not isinstance(experiment, Experiment):
            raise BadInput(f"experiment = {experiment!r:.60} is no Experiment; use fl.Experiment() or "
                           "fl.recipe(\"fedavg\")")
        old = _LIVE.get(name)
        self.name, self.out, self.device = name, out, device
        self.runner = old.runner if old is not None and old.runner.phase in AT_WORK else Runner()
        self.form = Form(experiment or (old.experiment if old is not None else None))
        self.board, self._seen, self._still, self._view_closed = Board(), 0, None, False
        self._shown: Phase | None = None
        self._problem, self._picture = w.HTML(), w.HTML()
        self._forecast, self._point = w.HTML(), w.HTML()
        self._fairness = w.VBox([w.HTML("<p>Run something: who gets the favourable answer appears here.</p>")])
        super().__init__(self._layout())
        self.add_class("fedlab-lab")
        self.form.observe(self._changed, "experiment")
        self.form.observe(lambda change: self.say_problem(change["new"]), "problem")
        self._changed()
        self._buttons_follow()
        if old is not None:
            old.retire()
        _LIVE[name] = self
        threading.Thread(target=self._flush_for_ever, daemon=True, name="fedlab board").start()

    def __repr__(self) -> str:
        return f"Lab({self.name!r})"

    @property
    def experiment(self) -> Experiment:
        return self.form.experiment

    @property
    def run(self) -> Run | None:
        return self.runner.run

    async def wait(self, timeout: float | None = None) -> Run:
        """Wait until the run has ended and return it; raises what made it fail, TimeoutError after `timeout` s."""
        end = time.monotonic() + (timeout or float("inf"))
        while self.runner.phase in AT_WORK or self._seen < len(self.runner.events):
            if time.monotonic() > end:
                raise TimeoutError(f"the run is still {self.runner.phase} after {timeout} s")
            await asyncio.sleep(0.05)
        if self.runner.error is not None:
            raise self.runner.error
        if self.runner.phase is Phase.FAILED:
            raise RuntimeError(self.runner.problem)
        return self.runner.run

    def start(self) -> None:
        """What the Start button does."""
        self._press_start()

    def retire(self) -> None:
        """Stop showing: a newer view of the same lab has taken over."""
        self._view_closed = True
        self.close()

    def _layout(self) -> list[w.Widget]:
        button = lambda text, icon, tip: w.Button(description=text, icon=icon, tooltip=tip,  # noqa: E731
                                                  layout=w.Layout(width="auto"))
        self.buttons = {"start": button("Start", "play", "Train with the settings below"),
                        "pause": button("Pause", "pause", "Hold after this step, or go on"),
                        "step": button("Step", "step-forward", "One round more"),
                        "stop": button("Stop", "stop", "End the run; what was recorded stays"),
                        "reset": button("Reset", "undo", "Clear the picture")}
        self.buttons["start"].button_style = "primary"
        for name, b in self.buttons.items():
            b.on_click(lambda _, press=getattr(self, f"_press_{name}"): press())
        self.speed = w.Dropdown(options=[(text, seconds) for text, seconds in SPEEDS], value=WATCH_SECONDS,
                                description="Speed", layout=w.Layout(width="220px"))
        self.speed.observe(lambda _: self._pace(), "value")
        bar = w.HBox([*self.buttons.values(), self.speed], layout=w.Layout(flex_flow="row wrap", grid_gap="4px"))
        starts = w.HBox([self._quick(s) for s in STARTS], layout=w.Layout(flex_flow="row wrap", grid_gap="4px"))
        left = w.VBox([self.form, w.HTML("<b>Who holds what</b>"), self._picture])
        self.panels = w.Tab([self._fairness], titles=["Fairness and what if"])
        columns = w.GridBox([left, self.board], layout=w.Layout(
            grid_template_columns="repeat(auto-fit, minmax(min(100%, 380px), 1fr))", grid_gap="16px", width="100%"))
        return [starts, self._point, bar, self._forecast, self._problem, columns, self.panels]

    def _quick(self, quick) -> w.Button:
        button = w.Button(description=quick.title, tooltip=quick.point, layout=w.Layout(width="auto"))

        def press(_):
            if self.runner.may("start"):
                self.form.show(quick.experiment)
                self._point.value = f"<p>{escape(quick.point)}</p>"
                self._press_start()
        button.on_click(press)
        return button

    @said
    def _press_start(self) -> None:
        self._pace()
        self.runner.start(self.experiment, self._folder(), self.device)

    @said
    def _press_pause(self) -> None:
        self.runner.pause()

    @said
    def _press_step(self) -> None:
        self.runner.step(self.experiment, out=self._folder(), device=self.device)

    @said
    def _press_stop(self) -> None:
        self.runner.stop()

    @said
    def _press_reset(self) -> None:
        self.runner.reset()
        self.board.reset()

    def _folder(self) -> Path | None:
        if self.out is None:
            return None
        done = len(list(Path(self.out).glob("*"))) if Path(self.out).is_dir() else 0
        return Path(self.out) / f"{done + 1:03d}-{self.experiment.name.replace(' ', '-')}"

    def _pace(self) -> None:
        self.runner.seconds_a_round = self.speed.value / max(self.experiment.rounds, 1)

    def say_problem(self, text: str) -> None:
        alert = '<p role="alert" style="border-left:4px solid #D55E00;padding:4px 8px">'
        self._problem.value = f"{alert}{escape(text)}</p>" if text else ""

    def _changed(self, _=None) -> None:
        """The partition is drawn at once; the forecast follows from a thread, since it trains a few steps."""
        e = self.experiment
        try:
            self._picture.value = Preview.of(e).html()
        except (BadInput, ValueError) as error:
            self._picture.value = ""
            self.say_problem(str(error))
            return
        threading.Thread(target=self._foresee, args=(e,), daemon=True).start()

    def _foresee(self, e: Experiment) -> None:
        time.sleep(SETTLE)   # the page is busy drawing, and more changes may follow
        if self.runner.phase in AT_WORK or e is not self.experiment or self._view_closed:
            return   # it would be slowed down, and measure nonsense
        try:
            text = f"Forecast: {e.forecast(self.device)}."
        except (BadInput, ValueError) as error:
            text = str(error)
        if e is self.experiment:
            self._forecast.value = f"<p>{escape(text)}</p>"

    def _buttons_follow(self) -> None:
        for name, button in self.buttons.items():
            button.disabled = not self.runner.may(name)
        paused = self.runner.phase is Phase.PAUSED
        self.buttons["pause"].description, self.buttons["pause"].icon = (("Go on", "play") if paused else
                                                                         ("Pause", "pause"))
        self.form.lock(self.runner.phase in AT_WORK)

    def _flush_for_ever(self) -> None:
        """The only writer of live figures: everything that has come since the last look, in one message."""
        while not self._view_closed:
            time.sleep(1 / HERTZ)
            self._flush()

    @said
    def _flush(self) -> None:
        events, phase = self.runner.events, self.runner.phase
        count = len(events)
        fresh = events[self._seen if self._seen <= count else 0:count]
        if not fresh and phase is self._shown:
            self._seen = count
            return
        changed, self._shown = phase is not self._shown, phase
        try:
            for event in fresh:
                self._show(event)
            self._say(events, phase)
            self.board.flush()
            if changed:
                self._buttons_follow()
                self.say_problem(self.runner.problem if phase is Phase.FAILED else "")
                if phase in (Phase.DONE, Phase.STOPPED) and self.runner.run is not None:
                    self._ended(self.runner.run)
        finally:
            self._seen = count   # what could not be shown is said once, not ten times a second

    def _show(self, event) -> None:
        if isinstance(event, Started):
            e = self.experiment
            self.board.begin(e.name, event.clients, event.rounds, event.majority, event.labels, event.groups,
                             e.privatise is not None)
        elif isinstance(event, RoundEnded):
            self.board.add({"round": event.round, "bytes_up": event.bytes_up, "bytes_down": event.bytes_down,
                            "seconds": event.seconds, "epsilon": event.epsilon})
        elif isinstance(event, Evaluated):
            row = {"round": event.round, **event.metrics}
            if event.counts is not None:
                table = np.array(event.counts).reshape(event.shape)
                n = table.sum((1, 2, 3))
                right = np.einsum("kgll->k", table)
                row["client_accuracy"] = np.divide(right, n, out=np.full(len(n), np.nan), where=n > 0).tolist()
            self.board.add(row)

    def _say(self, events, phase: Phase) -> None:
        ended = [e for e in events if isinstance(e, RoundEnded)]
        rounds = next((e.rounds for e in events if isinstance(e, Started)), self.experiment.rounds)
        done = ended[-1].round if ended else 0
        each = max(np.mean([e.seconds for e in ended[-10:]]) if ended else 0.0, self.runner.seconds_a_round)
        text = f"{phase}, round {done} of {rounds}" if phase is not Phase.IDLE else "ready: press Start"
        self.board.say(str(phase), text, done / rounds, each * (rounds - done) if phase in AT_WORK and ended else None)

    def _ended(self, run: Run) -> None:
        self._changed()   # the forecast, now that nothing else is at work
        try:
            if run.counts() is not None and len(next(e for e in run.events if isinstance(e, Started)).groups) > 1:
                revealed = w.HTML()
                self._fairness.children = [revealed, WhatIf.of(run, on_train=self._train_on)]
                threading.Thread(target=self._reveal, args=(run.experiment.task, revealed), daemon=True).start()
            else:
                self._fairness.children = [w.HTML("<p>This data set names no groups, so there is no gap to read.</p>")]
            if self._still is not None:
                from IPython.display import HTML

                self._still.update(HTML(still(run)))
        except (BadInput, ValueError, StopIteration) as error:
            self.say_problem(str(error))

    @said
    def _reveal(self, task, line: w.HTML) -> None:
        """How well the other columns tell the attribute that the model was not given: a second of work."""
        if task not in _REVEALED:
            _REVEALED[task] = withheld(task)
        line.value = f"<p>{escape(_REVEALED[task])}</p>"

    @said
    def _train_on(self, partition) -> None:
        self.form.show(self.experiment.changed(partition=partition))
        self._press_start()

    def _ipython_display_(self) -> None:
        """The lab, and beneath it a place for the picture that a finished run leaves in the notebook."""
        from IPython.display import HTML, display

        display(self._repr_mimebundle_(), raw=True)
        self._still = display(HTML(""), display_id=True)
