"""To take home: the experiment as code, the run in words for a paper, and its figures as files."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets as w

from ..code import as_python
from ..part import BadInput
from ..run import Run
from ..spec import Experiment
from .file_chooser import Status
from .why import explained
from .words import Word

FIGURES = ("convergence", "disparity", "communication", "accuracy_per_mb", "epsilon", "partition", "clients")
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
    """A button that shows and hides the experiment as Python; `source()` gives the experiment."""

    def __init__(self, source: Callable[[], Experiment]):
        self.source, self.text = source, w.HTML()
        self.button = w.Button(description="Show code", icon="code", tooltip="The same experiment in Python",
                               layout=w.Layout(width="auto"))
        self.button.on_click(self._press)
        super().__init__([explained(self.button, CODE, name="Show code"), self.text])

    def _press(self, _) -> None:
        shown = bool(self.text.value)
        self.text.value = "" if shown else f'<pre tabindex="0">{escape(as_python(self.source()))}</pre>'
        self.button.description = "Show code" if shown else "Hide code"


class Keep(w.VBox):
    """The methods text of a run and a button that saves its figures; `show(run)` follows the lab."""

    def __init__(self):
        self.run: Run | None = None
        self.text, self.status = w.HTML("<p>Run something: it is described here, for a paper.</p>"), Status()
        self.button = w.Button(description="Save the figures", icon="save", disabled=True,
                               tooltip="As PDF, with the numbers as CSV, into the run's folder",
                               layout=w.Layout(width="auto"))
        self.button.on_click(lambda _: self.status.work(self.save, "Drawing …"))
        super().__init__([explained(self.text, METHODS, name="the methods text"),
                          explained(self.button, SAVE, name="Save the figures"), self.status])

    def show(self, run: Run) -> None:
        """Describe a run that has ended."""
        self.run, self.button.disabled = run, False
        self.text.value = "".join(f"<p>{escape(p)}</p>" for p in run.methods_text().split("\n\n"))

    def save(self) -> None:
        """Write every figure the run has; PDF where a browser can draw it, else HTML. Raises BadInput as they do."""
        folder, written = self.run.path / "figures", []
        folder.mkdir(exist_ok=True)
        for name in FIGURES:
            try:
                figure = self.run.figure(name)
            except BadInput:   # a run without groups has no gaps to draw
                continue
            try:
                figure.save(folder / f"{name}.pdf")
                written.append(f"{name}.pdf")
            except BadInput:   # no Chrome on this machine
                figure.save(folder / f"{name}.html")
                written.append(f"{name}.html")
        self.status.say(f"Saved in {folder}: {', '.join(written)}, and a CSV file beside each.")
