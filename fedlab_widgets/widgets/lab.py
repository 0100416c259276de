"""The lab: pick clients, launch, watch, and ask "what if". A view of a run; the run's folder is the truth."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
import traceback
from collections.abc import Callable
from html import escape
from pathlib import Path

import ipywidgets as w

from ..events import Started, Warned
from ..part import BadInput
from ..run import Run
from ..spec import Experiment
from . import front_end, live, words
from .audit_keep import pictures
from .audit_tab import AuditTab
from .board import Board
from .clients import ClientTable
from .fairness import withheld
from .form import Form
from .form_look import Names
from .inside import Inside
from .keep import Keep, ShowCode
from .preview import Preview
from .run_bar import RunBar
from .runner import AT_WORK, Phase, Runner
from .starts import STARTS, QuickStart
from .still import still
from .what_if import WhatIf
from .why import explained

HERTZ = 10             # flushes a second, at most
SETTLE = 0.7           # seconds without a change before a forecast is measured …
SETTLED = 5.0          # … and after a run, whose panels are still being made
ROW = w.Layout(flex_flow="row wrap", grid_gap="4px")
_LIVE: dict = {}       # name -> the newest Lab of that name
_REVEALED: dict = {}   # task -> the sentence on its withheld attribute


def said(handler):
    """A button's handler whose errors are said in the lab: elsewhere nobody would see them."""
    @functools.wraps(handler)
    def guarded(self, *args):
        try:
            return handler(self, *args)
        except BadInput as error:
            self.say_problem(str(error))
        except Exception as error:   # noqa: BLE001
            self.say_problem(f"{type(error).__name__}: {error}", traceback.format_exc())
    return guarded


class Lab(w.VBox):
    """The laboratory as a widget: a form, a row of buttons, live plots, fairness and what-if.

    experiment: where to begin (the default experiment when not given). out: folder for run folders (`./runs`). device:
    what the device picker begins with. name: the lab of a name that is at work is re-attached when its cell runs again.
    `await lab.wait()` waits for the run and raises what went wrong; `lab.run` is the last run, `lab.experiment` the one
    in the form. Raises BadInput for an experiment that is none and a device that is not there.
    """

    def __init__(self, experiment: Experiment | None = None, out: str | Path | None = None, device: str | None = None,
                 name: str = "lab"):
        if experiment is not None and not isinstance(experiment, Experiment):
            raise BadInput(f"experiment = {experiment!r:.60} is no Experiment; use fl.Experiment() or "
                           "fl.recipe(\"fedavg\")")
        old = _LIVE.get(name)
        self.name, self.out = name, out
        self.runner = old.runner if old is not None and old.runner.phase in AT_WORK else Runner()
        self.form = Form(experiment or (old.experiment if old is not None else None))
        self.bar = RunBar(self._pressed, device)
        self.board, self.table, self.keep = Board(), ClientTable(self._choose_clients), Keep()
        self.inside = Inside()
        self._seen, self._still, self._view_closed = 0, None, False
        self._shown: tuple[int, Phase] | None = None   # which run of the runner's, and its phase
        self._quickly: QuickStart | None = None   # whose point is still on the screen
        self._foreseen: Experiment | None = None
        self._read = None   # of the last run: (what decides who the clients are, their accuracies by number)
        self._problem, self._warned, self._forecast, self._point = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self._board_of, self._fairness_of = w.HTML(), w.HTML()   # whose the figures are, where that is a former run
        self._told: Run | None = None                            # whom the fairness panel is about
        self._fairness = w.VBox([w.HTML("<p>Run something: who gets the favourable answer appears here.</p>")])
        super().__init__(self._layout())
        self.add_class("fedlab-lab")
        self.form.observe(self._edited, "experiment")
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
        self._pressed("start")

    def retire(self) -> None:
        """Stop showing: a newer view of the same lab has taken over."""
        self._view_closed = True
        self.close()

    def say_problem(self, text: str, details: str = "") -> None:
        """Say what is wrong above the form; `details` (a traceback) is folded away."""
        more = f"<details><summary>Details</summary><pre>{escape(details)}</pre></details>" if details else ""
        alert = '<div role="alert" style="border-left:4px solid #D55E00;padding:4px 8px">'
        self._problem.value = f"{alert}{escape(text)}{more}</div>" if text else ""

    def _layout(self) -> list[w.Widget]:
        starts = explained(w.HBox([self._quick(s) for s in STARTS], layout=ROW), "quick start")
        clients = explained(w.HTML("<b>Who holds what</b>"), "partition picture", "heterogeneity")
        left = w.VBox([self.form, clients, self.table])
        self.code = ShowCode(lambda: self.experiment)
        self.form.actions.children = [self.code]
        self.panels = w.Tab([w.VBox([self._fairness_of, self._fairness]), w.VBox(), self.keep],
                            titles=["Fairness and what if", "Audit predictions", "Methods and figures"])
        self.panels.observe(self._opened, "selected_index")
        columns = w.GridBox([left, w.VBox([self._board_of, self.board])], layout=w.Layout(
            grid_template_columns="repeat(auto-fit, minmax(min(100%, 380px), 1fr))", grid_gap="16px", width="100%"))
        return [starts, self._point, self.bar, explained(self._forecast, "forecast"), self._problem, self._warned,
                columns, self.inside, self.panels, Names()]

    def _quick(self, quick: QuickStart) -> w.Button:
        button = w.Button(description=quick.title, tooltip=quick.point, layout=w.Layout(width="auto"))

        def press(_):
            if self.runner.may("start"):
                self.form.show(quick.experiment)
                self._quickly = quick
                self._point.value = f"<p>{escape(quick.point)}</p>"
                self._pressed("start")
        button.on_click(press)
        return button

    def _opened(self, _) -> None:
        """The audit is made when its tab is opened for the first time."""
        pages = list(self.panels.children)
        if self.panels.selected_index == 1 and not isinstance(pages[1], AuditTab):
            pages[1] = AuditTab(Path(self.out) / "audits" if self.out else None)
            self.panels.children = pages

    @said
    def _pressed(self, name: str) -> None:
        if self.form.problem and name in ("start", "step") and self.runner.phase not in AT_WORK:
            raise BadInput(f"Nothing was started. {self.form.problem}")   # what the form shows is not what would run
        self.runner.seconds_a_round = self.bar.seconds / max(self.experiment.rounds, 1)
        press: dict[str, Callable] = {
            "start": lambda: self.runner.start(self.experiment, self._folder(), self.bar.device,
                                               executor=self.bar.executor),
            "step": lambda: self.runner.step(self.experiment, out=self._folder(), device=self.bar.device,
                                             executor=self.bar.executor),
            "pause": self.runner.pause, "stop": self.runner.stop, "reset": self._reset}
        press[name]()

    def _reset(self) -> None:
        self.runner.reset()
        self.board.reset()
        self.inside.clear()
        self._warned.value = ""
        self._say_whose()

    def _folder(self) -> Path | None:
        if self.out is None:
            return None
        done = len(list(Path(self.out).glob("*"))) if Path(self.out).is_dir() else 0
        return Path(self.out) / f"{done + 1:03d}-{self.experiment.name.replace(' ', '-')}"

    def _choose_clients(self, changes: dict) -> None:
        """A tick in the table of clients. Raises BadInput, which the table says, for what does not fit the rest."""
        _, problem = self.form.host._tried(changes)
        if problem:
            raise BadInput(problem)
        self.form.host.submit_all(changes, "clients")

    def _edited(self, _) -> None:
        """Another experiment is in the form: what was said of the one before is taken back."""
        self.say_problem(self.form.problem)
        self.code.follow()
        self._changed()

    def _changed(self, settle: float = SETTLE) -> None:
        """The partition is drawn at once; the forecast follows from a thread, since it trains a few steps."""
        e = self.experiment
        quick = self._quickly
        if quick is not None and (e.name, e.task) != (quick.experiment.name, quick.experiment.task):
            self._point.value = _left_over(e, quick)
            self._quickly = quick if self._point.value else None
        self._say_whose()
        try:
            preview = Preview.of(e)
        except (BadInput, ValueError) as error:
            self.say_problem(str(error))
            self.table.refuse(str(error))
            self._forecast.value, self._foreseen = "<p>Forecast: none, this cannot run.</p>", None
            return
        accuracy = None
        if self._read is not None and self._read[0] == _clients_of(e):
            accuracy = self._read[1].reindex(range(len(preview.sizes))).tolist()   # NaN for those not on the panel
        self.table.show(e, preview, accuracy, locked=self.runner.phase in AT_WORK)
        if self._foreseen != e and self.runner.phase in AT_WORK:
            self._forecast.value = "<p>Forecast: none, the run began before it was worked out.</p>"
        elif self._foreseen != e:
            self._forecast.value, self._foreseen = "<p>Forecast: …</p>", None
            threading.Thread(target=self._foresee, args=(e, settle), daemon=True).start()

    def _say_whose(self) -> None:
        """Figures on other data than the form's, and a fairness panel of another run than the last, are named."""
        of_board, told, here = self.board.shown(), self._told and self._told.experiment, live.data(self.experiment)
        if of_board is not None and live.data(of_board) == here:
            of_board = None
        if told is not None and self._told is self.runner.run and live.data(told) == here:
            told = None
        for line, made in ((self._board_of, of_board), (self._fairness_of, told)):
            text = f'<p role="status"><b>{escape(live.former(made))}</b></p>' if made else ""
            if line.value != text:
                line.value = text

    def _foresee(self, e: Experiment, settle: float) -> None:
        time.sleep(settle)   # the page is busy drawing, and more changes may follow
        if self.runner.phase in AT_WORK or e is not self.experiment or self._view_closed:
            return   # it would be slowed down, and measure nonsense
        try:
            text = f"<p>Forecast: {escape(str(e.forecast(self.bar.device)))}.</p>"
        except (BadInput, ValueError) as error:
            text = f'<p role="alert"><b>This cannot run: {escape(str(error))}</b></p>'
        if e is self.experiment:
            self._forecast.value, self._foreseen = text, e

    def _buttons_follow(self) -> None:
        self.bar.follow(self.runner)
        self.form.lock(self.runner.phase in AT_WORK)

    def _flush_for_ever(self) -> None:
        """The only writer of live figures: everything that has come since the last look, in one message."""
        while not self._view_closed:
            time.sleep(1 / HERTZ)
            self._flush()

    @said
    def _flush(self) -> None:
        number, events, phase = self.runner.runs, self.runner.events, self.runner.phase   # the number is set last
        at, count = (number, phase), len(events)   # a short run may begin and end between two looks
        if self._shown is not None and self._shown[0] != number:
            self._seen = 0
        fresh = events[self._seen if self._seen <= count else 0:count]
        if not fresh and at == self._shown:
            self._seen = count
            if not self.inside.flush():   # what was held back for the other's sake
                self.board.flush()
            return
        changed, self._shown = at != self._shown, at
        try:
            if changed:
                self._buttons_follow()   # first: who sees a run go may press Pause
            for event in fresh:
                live.show(self.board, event, self.experiment)
                self.inside.hear(event)
            if changed and phase is Phase.FAILED and not events:
                live.blank(self.board, self.experiment)
            live.say(self.board, events, phase, self.experiment.rounds, self.runner.seconds_a_round)
            if changed or not self.inside.flush():   # one message a flush: what the board has to say waits for the next
                self.board.flush()
            if changed:
                self.inside.flush(now=phase not in AT_WORK)
            if not events or any(isinstance(event, (Started, Warned)) for event in fresh):
                self._warned.value = "".join(f'<p role="status">Note: {escape(t)}.</p>' for t in live.warnings(events))
                self._say_whose()
            if changed:
                self._turned(phase)
        finally:
            self._seen = count   # what could not be shown is said once, not ten times a second

    def _turned(self, phase: Phase) -> None:
        """The runner is in another phase."""
        self.say_problem(*((self.runner.problem, self.runner.details) if phase is Phase.FAILED else ("",)))
        if phase in (Phase.DONE, Phase.STOPPED) and self.runner.run is not None:
            self._ended(self.runner.run)
        elif phase not in AT_WORK or phase is Phase.PREPARING:
            self._changed()   # the table of clients is locked while a run goes

    def _ended(self, run: Run) -> None:
        counts = run.counts()
        self._read = None if counts is None else (_clients_of(run.experiment), run.clients.accuracy)
        self._changed(settle=SETTLED)
        self.bar.devices.refresh()
        self.keep.show(run)
        try:
            if counts is not None and len(next(e for e in run.events if isinstance(e, Started)).groups) > 1:
                revealed = w.HTML()
                self._fairness.children = [revealed, WhatIf.of(run, on_train=self._train_on), *pictures(run)]
                threading.Thread(target=self._reveal, args=(run.experiment.task, revealed), daemon=True).start()
            else:
                self._fairness.children = [w.HTML("<p>This data set names no groups, so there is no gap to read.</p>")]
            self._told = run
            self._say_whose()
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
        self._pressed("start")

    def _ipython_display_(self) -> None:
        """The lab, above it a place to say that no page shows it, beneath it one for the picture a run leaves."""
        from IPython.display import HTML, display

        front_end.watch(self.board, lambda: self.experiment.to_python())
        display(self._repr_mimebundle_(), raw=True)
        self._still = display(HTML(""), display_id=True)


def _left_over(e: Experiment, quick: QuickStart) -> str:
    """What of a quick start is still set though other data, or another method, were chosen since."""
    usual = Experiment()
    left = [words.brief(getattr(e, slot)) for slot in ("attack", "aggregate", "privatise")
            if getattr(e, slot) == getattr(quick.experiment, slot) != getattr(usual, slot)]
    said = f"Still set by “{quick.title}”: {', '.join(left)}. Choose a method to take it back."
    return f'<p role="status">{escape(said)}</p>' if left else ""


def _clients_of(e: Experiment) -> tuple:
    """What decides who the clients are."""
    return e.task, e.partition, e.seed
