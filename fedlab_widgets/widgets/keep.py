"""To take home: the experiment as code, the run in words for a paper, and its figures as files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from html import escape

import ipywidgets as w

from ..code import as_python
from ..part import BadInput
from ..run import Run
from ..spec import Experiment
from .file_chooser import Status
from .why import explained
from .words import Word

FIGURES = ("convergence", "disparity", "communication", "accuracy_per_mb", "epsilon", "partition", "clients", "hull")
CODE = Word("The code makes exactly the experiment in the form, and runs it without any widget.",
            "fl.recipe(\"fedavg\").changed(rounds=50) names only what you changed.",
            "Copy it into a cell, change one number, and run it.")
METHODS = Word("The text describes the run for a methods section; each number in it comes from the run's record.",
               "Ten clients, FedAvg, 30 rounds, the gap with its interval, and the versions of the software.",
               "Read it against what you would have written.")
SAVE = Word("Saves every figure of the run as a file with its numbers beside it, in the run's folder.",
            "figures/disparity.pdf at the width of a column, and disparity.csv.",
            "In code: run.figure(\"disparity\").save(\"x.pdf\").")


class ShowCode(w.VBox):
    """A button that shows and hides the experiment as Python; `source()` gives the experiment, `follow()` reads it."""

    def __init__(self, source: Callable[[], Experiment]):
        self.source, self.text, self.shown = source, w.HTML(), False
        self.button = w.Button(description="Show code", icon="code", tooltip="The same experiment in Python",
                               layout=w.Layout(width="auto"))
        self.button.on_click(self._press)
        super().__init__([explained(self.button, CODE, name="Show code"), self.text])

    def _press(self, _) -> None:
        self.shown = not self.shown
        self.button.description = "Hide code" if self.shown else "Show code"
        self.follow()

    def follow(self) -> None:
        """Show the experiment as it is now, if it is to be shown."""
        code = as_python(self.source()) if self.shown else ""
        self.text.value = f'<pre tabindex="0">{escape(code)}</pre>' if code else ""


class Keep(w.VBox):
    """The methods text of a run and a button that saves its figures; `show(run)` follows the lab."""

    def __init__(self):
        self.run: Run | None = None
        self._drawing = False
        self.text, self.status = w.HTML("<p>Run something: it is described here, for a paper.</p>"), Status()
        self.button = w.Button(description="Save the figures", icon="save", disabled=True,
                               tooltip="As PDF, with the numbers as CSV, into the run's folder",
                               layout=w.Layout(width="auto"))
        self.button.on_click(lambda _: self.status.work(self._work, "Drawing …"))
        super().__init__([explained(self.text, METHODS, name="the methods text"),
                          explained(self.button, SAVE, name="Save the figures"), self.status])

    def show(self, run: Run) -> None:
        """Describe a run that has ended."""
        self.run, self.button.disabled = run, self._drawing
        self.text.value = "".join(f"<p>{escape(p)}</p>" for p in run.methods_text().split("\n\n"))

    def save(self) -> None:
        """Write every figure the run has; PDF where a browser can draw it, else HTML. Raises BadInput as they do."""
        from ..export import save_all  # plotly comes with it

        run, figures = self.run, []
        folder = run.path / "figures"
        folder.mkdir(exist_ok=True)
        for name in FIGURES:
            with suppress(BadInput):   # a run without groups has no gaps to draw
                figures.append(run.figure(name))

        def say(figure) -> None:
            at = figures.index(figure) + 1
            self.status.say(f"Drawing {at} of {len(figures)}: {figure.name.replace('_', ' ')} …")

        try:
            save_all(figures, folder, say)
            kind = "pdf"
        except BadInput:   # no Chrome on this machine
            for figure in figures:
                say(figure)
                figure.save(folder / f"{figure.name}.html")
            kind = "html"
        written = ", ".join(f"{figure.name}.{kind}" for figure in figures)
        self.status.say(f"Saved in {folder}: {written}, and a CSV file beside each.")

    def _work(self) -> None:
        self._drawing = self.button.disabled = True
        try:
            self.save()
        finally:
            self._drawing = self.button.disabled = False
