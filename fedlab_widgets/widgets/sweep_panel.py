"""A sweep as a panel: two fields changed, every choice with every other, as a heat map that fills in while it runs."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w
import pandas as pd
from IPython.display import HTML, display

from ..attack import Backdoor
from ..evaluate.backdoor import attack_success
from ..events import Started
from ..executors import Executor
from ..figure_attacks import NO_SHARES, number
from ..part import BadInput
from ..run import Run
from ..spec import Experiment
from ..sweep import Grid, Sweep
from ..wording import span
from .form_look import Names
from .runner import AT_WORK, Phase
from .sweep_map import LOOK, SweepMap, page
from .sweep_runner import SweepRunner
from .why import explained
from .words import Word

TICK = 1.0         # seconds between two looks at the runs; each sends four messages at most
PATIENCE = 5.0     # seconds between two pictures for the saved notebook
READ = {           # name -> (column, which values are good, what it is)
    "accuracy": ("accuracy", "high", "accuracy on {rows}test rows"),
    "worst client": ("worst_client", "high", "accuracy of the worst client, on its held-out rows"),
    "attack success": ("attack_success", "low", "test rows of other labels that are taken for the backdoor's target "
                       "when they carry its trigger"),
    "mean client": ("mean_client", "high", "accuracy of the mean client, on held-out rows"),
    "loss": ("loss", "low", "loss on {rows}test rows"),
    "global disparity": ("global_disparity", "low", "global disparity on held-out rows, in bits"),
    "local disparity": ("local_disparity", "low", "local disparity on held-out rows, in bits")}
ALWAYS = ("accuracy", "worst client")   # the others once a run has them
WORDS = {
    "start and stop": Word(
        "Start runs every combination that has not run yet, each with every seed, one run after the other. Stop ends "
        "the run at work and keeps all that are done; Go on takes up what is missing.",
        "8 attacks by 6 rules with 3 seeds are 144 runs. Stopped at 60, nothing is lost, and the same cell with the "
        "same out= goes on tomorrow.",
        "Stop once every cell has one run: which cells would more seeds change your mind about?"),
    "reading": Word("The reading is the figure of each run's last round that the map shows.",
                    "Accuracy may hardly move while the worst client falls, or while a backdoor works.",
                    "Find two rules that are alike in accuracy and apart for the worst client."),
    "heat map": Word("Each cell is a combination: the mean over the seeds done so far, their standard deviation, and "
                     "n, how many they are. The last row is the worst of each column. Dashed: to come. Hatched: all "
                     "its runs failed.",
                     "93.1, ± 1.2, n 3: three runs, 93.1 % on average; a neighbour at 92.6 is no worse than this.",
                     "Click a cell, or move with the arrow keys: beneath, its runs are told one by one."),
}
# A page shows the panel or the picture of it; one without a kernel would else say that it found no model.
STILL = f"""<style>{LOOK}.jp-OutputArea:has(.fl-sweep) .fl-sweep-still,
.jp-OutputArea:has(.fl-sweep-still):not(:has(.fl-sweep)) .jupyter-widgets{{display:none}}</style>"""
STYLE = """<style>.fl-sweep .fl-go{display:flex;flex-wrap:wrap;gap:4px 8px;overflow:visible}
.fl-sweep .widget-html-content{line-height:1.4}.fl-sweep .widget-dropdown{flex-wrap:nowrap!important}
.fl-sweep progress{width:min(50%,20rem);height:10px;vertical-align:middle;margin-right:8px}
.fl-sweep .fl-runs{max-width:46rem;line-height:1.4}.fl-sweep .fl-runs pre{margin:4px 0;padding:6px 8px;overflow-x:auto;
background:var(--jp-layout-color2,#f3f3f3);color:inherit;font-size:.93em;line-height:1.4}
.fl-sweep .fl-alert{border-left:4px solid #d55e00;padding:4px 8px}
.fl-sweep .fl-runs pre:focus-visible{outline:2px solid var(--jp-brand-color1,#1976d2)}</style>"""
_LIVE: list[SweepPanel] = []   # one a folder: two would write the same runs


class SweepPanel(w.VBox):
    """An experiment with two fields changed, every choice with every other and `seeds` seeds of each, as a heat map.

    changes, seeds, out, executor and device as in `sweep`, but two axes: the first goes down, the second across.
    Without `out` the same cell run again goes on in the folder it had, as long as the kernel lives. Training is on a
    thread, from Start on; `start`, `stop` and `wait` do the same in code, and `sweep` is the `Sweep` of what has ended.
    Raises BadInput as `sweep` does, and for more or fewer than two axes.
    """

    def __init__(self, experiment: Experiment, changes: Mapping[str, Any], seeds: int = 3,
                 out: str | Path | None = None, *, executor: Executor | None = None, device: str | None = None):
        grid = Grid.of(experiment, changes, seeds, out, executor, device)
        if len(grid.axes) != 2:
            raise BadInput(f"changes = {', '.join(grid.axes)}: the map has two axes; give two, or use fl.sweep(…), "
                           "whose table takes any number")
        before = _former(grid, out)
        if before is not None and out is None:
            grid = replace(grid, path=before.grid.path)
        self.grid, self.runner = grid, SweepRunner(grid, _reader(grid), after=before and before.runner)
        self._shown = self._still = self._loop = None
        self._lock = threading.RLock()
        self._pictured, self._rows_of = 0.0, ""
        self.buttons = {name: w.Button(description=name.capitalize(), icon=icon, tooltip=tip, layout={"width": "auto"})
                        for name, icon, tip in (("start", "play", "Run what has not run yet"),
                                                ("stop", "stop", "End the run at work; what is done stays"))}
        self.buttons["start"].button_style = "primary"
        self.buttons["start"].on_click(lambda _: self.start())
        self.buttons["stop"].on_click(lambda _: self.stop())
        self.reading = w.Dropdown(options=[*ALWAYS] + ["attack success"] * (self.runner.read is not None),
                                  description="Read", layout={"width": "auto"}, style={"description_width": "auto"})
        self.map, self.bar, self.status, self.told = (SweepMap(), w.HTML(), w.HTML(), w.HTML())
        go = w.HBox([*self.buttons.values()]).add_class("fl-go")
        super().__init__([
            explained(w.HTML(f"{STYLE}<h3>{escape(' by '.join(map(_named, grid.axes)).capitalize())}</h3>").add_class(
                "fl-heading"), WORDS["heat map"], name="the heat map"),
            w.HBox([explained(go, WORDS["start and stop"], name="Start and Stop"),
                    explained(self.reading, WORDS["reading"], name="the reading")],
                   layout={"flex_flow": "row wrap", "grid_gap": "4px 16px", "align_items": "center"}),
            self.bar, self.status, self.map, self.told, Names()])
        self.add_class("fl-what-if").add_class("fl-sweep")
        self.reading.observe(lambda _: self._flush(), "value")
        self.map.observe(lambda _: self._tell(), "chosen")
        _LIVE.append(self)
        if grid.path.is_dir():
            self.runner.look()
            self._follow()
        else:
            self._flush()

    @property
    def sweep(self) -> Sweep:
        """What has ended so far. Raises BadInput before the first run has."""
        if not self.runner.rows:
            raise BadInput("no run has ended yet; press Start, or call start() and wait()")
        return self.grid.found(list(self.runner.rows.values()))

    def start(self) -> None:
        """What Start does: run what has not run yet."""
        if self.runner.start():
            self._follow()

    def stop(self) -> None:
        """What Stop does: keep what is done."""
        self.runner.stop()
        self._flush()

    def wait(self, seconds: float | None = None) -> Sweep:
        """Wait until the sweep has ended or was stopped, and return it. Raises TimeoutError, RuntimeError with what
        went wrong, and BadInput where nothing has run."""
        self.runner.join(seconds)
        if self.runner.phase in AT_WORK:
            raise TimeoutError(f"the sweep is still {self.runner.phase} after {seconds} s")
        if self.runner.phase is Phase.FAILED:
            raise RuntimeError(self.runner.problem)
        self._flush()
        return self.sweep

    def picture(self) -> str:
        """What the panel shows, as HTML that needs no kernel and no widgets. Empty before a run has ended."""
        if not self.runner.rows:
            return ""
        done = f"{len(self.runner.rows):,} of {len(self.grid.runs):,} runs"
        return (f'{STILL}<div class=fl-sweep-still aria-label="A picture of the panel" role=group><p><b>A picture of a '
                f"sweep: {done}</b><br>To read other figures, run the cell.</p>{self._page(None)}</div>")

    def _ipython_display_(self) -> None:
        """The panel, and beneath it the picture that a notebook shows when nobody runs it."""
        display(self._repr_mimebundle_(), raw=True)
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:   # nobody could call back
            return display(HTML(self.picture()))
        self._still = display(HTML(self.picture()), display_id=True)

    def _follow(self) -> None:
        self._flush()
        threading.Thread(target=self._flush_until_rest, daemon=True, name="fedlab sweep panel").start()

    def _flush_until_rest(self) -> None:
        """The only writer of live figures, until the runner rests."""
        thread = self.runner.thread
        try:
            while thread.is_alive():
                self._flush()
                thread.join(TICK)
            self._flush()
        except Exception as error:   # noqa: BLE001  (on a thread nobody else would see it)
            self.status.value = _alert(f"The panel stands still, and the runs go on: {type(error).__name__}: {error}")

    def _flush(self) -> None:
        with self._lock:   # a choice on the page comes on another thread
            self._draw()

    def _draw(self) -> None:
        runner, phase = self.runner, self.runner.phase
        running = now[0][0] if (now := runner.now) else None
        shown = (len(runner.rows), running, self.reading.value)
        if self.bar.value != (bar := self._progress(phase)):
            self.bar.value = bar
        if shown != self._shown:
            self._shown = shown
            self._offer()
            self.map.html = self._page(running)
            self._tell()
        if self.status.value != (status := self._said(phase)):
            self.status.value = status
            self.buttons["start"].disabled = phase in AT_WORK or phase is Phase.DONE
            self.buttons["start"].description = "Go on" if runner.rows and phase is not Phase.DONE else "Start"
            self.buttons["stop"].disabled = phase not in AT_WORK or phase is Phase.STOPPING
            self._pictured = 0.0
        if self._still is not None and time.monotonic() - self._pictured > PATIENCE:
            self._pictured = time.monotonic()
            self._loop.call_soon_threadsafe(self._still.update, HTML(self.picture()))

    def _offer(self) -> None:
        """More readings, once a run has them."""
        rows = list(self.runner.rows.values())
        has = {name for name, (column, *_) in READ.items() if any(math.isfinite(row.get(column, math.nan))
                                                                 for row in rows)}
        options = tuple(name for name in READ if name in has or name in self.reading.options)
        if options != tuple(self.reading.options):
            chosen = self.reading.value
            with self.reading.hold_trait_notifications():
                self.reading.options = options
                self.reading.value = chosen

    def _page(self, running: tuple[str, ...] | None) -> str:
        column, good, told = READ[self.reading.value]
        rows = list(self.runner.rows.values())
        if rows and not self._rows_of:
            start = next((e for e in Run(self.grid.path / rows[0]["folder"]).events if isinstance(e, Started)), None)
            self._rows_of = f"{start.test_rows:,} " if start else ""
        told = f"{told.format(rows=self._rows_of)}, after {self.grid.experiment.rounds:,} rounds"
        data = self.grid.found(rows).data if rows else pd.DataFrame()
        return page(self.grid.axes, data, column, good, len(self.grid.seeds), told, running)

    def _progress(self, phase: Phase) -> str:
        runner, whole = self.runner, len(self.grid.runs)
        text = f"{len(runner.rows):,} of {whole:,} runs"
        if now := runner.now:
            (names, seed), done = now
            text += (f"; now {' with '.join(names)}, seed {seed}, round {done:,} of "
                     f"{self.grid.cells[names].rounds:,}")
        if (left := runner.left) is not None:
            text += f"; about {span(left)} left"
        share = (len(runner.rows) + runner.share) / whole
        return f'<progress max=1 value="{share:.3f}" aria-label="Runs done"></progress>{escape(text)}'

    def _said(self, phase: Phase) -> str:
        """Where the sweep stands, said anew only when that changes."""
        done, whole = len(self.runner.rows), len(self.grid.runs)
        if phase is Phase.FAILED:
            return _alert(f"The sweep has stopped: {self.runner.problem}")
        failed = sum(row["status"] == "failed" for row in self.runner.rows.values()) if phase not in AT_WORK else 0
        folder = f"in <code>{escape(str(self.grid.path))}</code>"
        text = {Phase.PREPARING: "Looking for runs that are there already …", Phase.RUNNING: f"Runs go on {folder}.",
                Phase.STOPPING: "Stopping …", Phase.DONE: f"All runs have ended; they are {folder}.",
                Phase.STOPPED: f"Stopped. What is done is kept {folder}; Go on runs the rest.",
                }.get(phase, f"Go on runs what is missing {folder}." if done else
                      f"Press Start: {whole:,} runs {folder}.")
        return f'<div role=status>{text}{f" {failed} failed; choose a cell to read why." if failed else ""}</div>'

    def _tell(self) -> None:
        """The runs of the chosen cell, in a sentence, and the code that opens one."""
        if not self.map.chosen:
            return
        (_, rows), (_, columns) = self.grid.axes.items()
        row, column = map(int, self.map.chosen.split(","))
        told = self.runs((rows[row], columns[column]))
        if told != self.told.value:
            self.told.value = told

    def runs(self, names: tuple[str, str]) -> str:
        """What is said of a cell, as HTML."""
        column, *_ = READ[self.reading.value]
        pieces, last = [], None
        for seed in self.grid.seeds:
            row = self.runner.rows.get((names, seed))
            if row is None:
                at_work = (now := self.runner.now) and now[0] == (names, seed)
                pieces.append(f"seed {seed} is {'at work' if at_work else 'to come'}")
                continue
            last = last or row
            read = row.get(column, math.nan)
            share = 0 <= read <= 1 and column not in NO_SHARES
            value = "without this reading" if math.isnan(read) else number(read, share) + " %" * share
            failed = row["status"] == "failed"
            pieces.append(f"seed {seed} {'failed: ' + escape(str(row['reason'])) if failed else value}")
        said = f"<b>{escape(' with '.join(names).capitalize())}</b>, {self.reading.value}: {'; '.join(pieces)}."
        if last is None:
            return f"<div class=fl-runs>{said}</div>"
        code = f"run = fl.open_run({str(self.grid.path / last['folder'])!r})\nrun.figure(\"convergence\")"
        return (f"<div class=fl-runs>{said} Open the run of seed {last['seed']}:<pre tabindex=0 "
                f'aria-label="Code that opens the run">{escape(code)}</pre></div>')


def _alert(text: str) -> str:
    return f"<div role=alert class=fl-alert>{escape(text)}</div>"


def _named(path: str) -> str:
    return path.replace("_", " ").replace(".", " ")


def _reader(grid: Grid):
    """The attack success of a run, where a cell has a backdoor; of runs without one, with the trigger of the first."""
    doors = [e.attack for e in grid.cells.values() if isinstance(e.attack, Backdoor)]
    if not doors:
        return None
    return lambda run: {"attack_success": attack_success(
        run, run.experiment.attack if isinstance(run.experiment.attack, Backdoor) else doors[0]).rate}


def _former(grid: Grid, out: str | Path | None) -> SweepPanel | None:
    """The panel that this one replaces, told to stop: of the same folder or, where none was named, the same cells."""
    found = None
    for panel in list(_LIVE):
        like = panel.grid.path.resolve() == grid.path.resolve() if out is not None else (
            panel.grid.cells == grid.cells and panel.grid.seeds[0] == grid.seeds[0])
        if like:
            panel.stop()
            _LIVE.remove(panel)
            found = panel
    return found
