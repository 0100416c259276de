"""Beneath an audit's reading: a summary to print, as a file, and the pictures of it in sections that begin closed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import ipywidgets as w

from ..audit import Audit
from ..part import BadInput
from .file_chooser import Status
from .form_look import Names
from .limits_panel import folded
from .why import explained
from .words import Word

SUMMARY = Word(
    "Two pages to print, of the table as it was read: the sentences, rates by group and client, where the difference "
    "sits, criteria and when each applies, and what all this does not say. No number of fewer than ten people is "
    "printed.",
    "HTML opens and prints in any browser; PDF is printed for you, by the Chrome or Chromium of the kernel's machine.",
    "Save it, then strike out every sentence that somebody could misread, and look for the limit that answers it.")
HULL = Word(
    "Guess somebody's group from the prediction, or from the client: each has a curve, and the higher it is, the more "
    "it tells. What the prediction's curve adds above the clients' is the unique disparity.",
    "Clients on the thin diagonal hold the same mix of groups: they tell nothing, and all disparity is unique.",
    "Point at a corner: it says which client was counted last, and how many people of the group it holds.")
ABOUT = "As the people are held, whatever split is chosen above. Shaded: what predictions tell beyond the client."
# The picture is plotly's, which knows no theme: its words take the page's ink here, its paper is clear.
LOOK = """<style>.fl-hull .js-plotly-plot .main-svg{background:none!important}
.fl-hull .js-plotly-plot .main-svg text{fill:var(--jp-content-font-color1,#1f1f1f)!important}
.fl-hull .js-plotly-plot :is(.hovertext,.hoverlayer) text{fill:#fff!important}</style>"""
BESIDE = Path("runs") / "audits"


class Summary(w.VBox):
    """Two buttons that save the summary of an audit, and a line that says where. out: the folder (`./runs/audits`)."""

    def __init__(self, out: str | Path | None = None):
        self.audit: Audit | None = None
        self.name, self.out = "", BESIDE if out is None else Path(out)
        self.status = Status()
        self.buttons = {kind: w.Button(description=f"Summary ({kind.upper()})", icon=icon, layout={"width": "auto"},
                                       tooltip=f"Save two pages to print, as {kind.upper()}")
                        for kind, icon in (("html", "file-text-o"), ("pdf", "file-pdf-o"))}
        for kind, button in self.buttons.items():
            button.on_click(lambda _, kind=kind: self.status.work(lambda: self._work(kind), "Writing the summary …"))
        row = w.HBox([*self.buttons.values()], layout={"flex_flow": "row wrap", "grid_gap": "4px"})
        super().__init__([explained(row, SUMMARY, name="the summary"), self.status, Names()], layout={"width": "auto"})
        self.add_class("fl-what-if")

    def show(self, audit: Audit, name: str) -> None:
        """Take another audit; name: of its table, for the file."""
        self.audit, self.name = audit, name
        self.status.say("")

    def save(self, kind: str) -> Path:
        """Write the summary as "html" or "pdf" into the folder, which is made, under a name that is free; the path.

        Raises BadInput as `Audit.save` does, and where the folder cannot be made.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"the folder {self.out} cannot be made ({error.strerror}); start the notebook where you may "
                           "write") from None
        path = self.audit.save(_free(self.out / f"{_stem(self.name)}.{kind}"))
        self.status.say(f"Saved in {path.parent}: {path.name}. Two pages of A4; no number of fewer than ten people.")
        return path

    def _work(self, kind: str) -> None:
        self._press(True)
        try:
            self.save(kind)
        finally:
            self._press(False)

    def _press(self, busy: bool) -> None:
        for button in self.buttons.values():
            button.disabled = busy


def pictures(source) -> list[w.Accordion]:
    """The hull of an audit or a run, and the best accuracy within limits; each is made when it is first opened."""
    return [Closed("What the prediction tells beyond the client", lambda: _hull(source)), folded(source)]


class Closed(w.Accordion):
    """A section that begins closed; what it holds is made on a thread when it is opened for the first time."""

    def __init__(self, title: str, make: Callable[[], w.Widget]):
        self.make, self.status = make, Status()
        self.inside = w.VBox(layout={"width": "100%", "overflow": "auto"})
        super().__init__([w.VBox([self.status, self.inside])], titles=[title], selected_index=None)
        self.observe(self._opened, "selected_index")

    def _opened(self, change) -> None:
        if change.new is not None and not self.inside.children:
            self.status.work(self._fill, "Drawing …")

    def _fill(self) -> None:
        self.inside.children = [self.make()]
        self.status.say("")


def _hull(source) -> w.Widget:
    """The picture beneath its "?"; what it finds stands in it. It keeps its width: a narrow window scrolls it."""
    import plotly.graph_objects as go  # slow to import

    drawn = go.FigureWidget(source.figure("hull").figure)
    drawn.update_layout(paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")
    drawn.update_xaxes(gridcolor="rgba(128,128,128,0.3)").update_yaxes(gridcolor="rgba(128,128,128,0.3)")
    drawn._config = {**drawn._config, "displayModeBar": False}   # its bar would lie over the title
    about = explained(w.HTML(f"{LOOK}<p class=fl-hint>{ABOUT}</p>"), HULL, name="this picture")
    scrolls = w.Box([drawn], tabbable=True, layout={"overflow": "auto", "max_width": "100%"})
    return w.VBox([about, scrolls], layout={"width": "auto"}).add_class("fl-what-if").add_class("fl-hull")


def _stem(name: str) -> str:
    """A name for a file: letters, digits and dashes of the table's name."""
    return "audit-" + (re.sub(r"\W+", "-", Path(name).stem).strip("-") or "table")


def _free(path: Path) -> Path:
    """The path, or where there is a file already the first of "… 2", "… 3" that is none."""
    taken, n = path, 2
    while path.exists():
        path, n = taken.with_stem(f"{taken.stem}-{n}"), n + 1
    return path
