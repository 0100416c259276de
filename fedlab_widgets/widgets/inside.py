"""Inside the method: what the parts of a run remember, as pictures that follow the rounds.

A method with a memory shows it (reputations, rankings, links, masks, the tree of its noise); see `Part.shows`. The
panel is hidden while a run has nothing to show, and sends nothing while it is folded away.
"""

from __future__ import annotations

import threading
import time

import ipywidgets as w

from ..events import Event, Shown, Started
from ..part import BadInput
from ..types import View
from .controls import Slider
from .form_look import Names
from .view_html import page
from .why import explained
from .words import Word

PACE = 0.5          # seconds between two pictures of a running experiment, at least …
A_SECOND = 40_000   # … and longer where they are large: bytes
WORDS = {
    "the pictures": Word(
        "They show what the method itself goes by: numbers that its parts remember from round to round, read after "
        "each round that is evaluated. Of more than 64 clients the first 64 are shown.",
        "With reputations, a client that lies is a line that sinks; with a topology, a circle is a client and a line "
        "a link.",
        "Before you start, say what the picture will look like at the end. Then compare."),
    "the round of the pictures": Word(
        "The pictures stand as they were after this round; at the right end they follow the newest one.",
        "At the middle of a run of 30 rounds you see what the method knew after round 15.",
        "Move it slowly from left to right (by keyboard: the arrow keys): in which round was it decided?"),
    "the numbers": Word(
        "Each picture's numbers of that round as a table, to be read out or copied.",
        "A row is a client, or whatever the picture has names for.",
        "Tick it where two lines end too close together to tell apart."),
}


class Inside(w.VBox):
    """The panel. `hear` every event of a run, `flush` for the flusher of the lab: one message, when there is news.

    `views` is what was heard: name -> (round, View) in the order of rounds, as `Run.views`. Any thread may call it.
    """

    def __init__(self):
        self.views: dict[str, list[tuple[int, View]]] = {}
        self._lock, self._news, self._next = threading.RLock(), False, 0.0
        self._rounds = 2
        self.slider = Slider(position=1.0, label="Round of the pictures", said="the newest round")
        self.slider.add_class("fl-slider").layout.flex = "1 1 8rem"
        self.numbers = w.Checkbox(description="Numbers", indent=False, layout={"width": "auto"})
        self.pictures = w.HTML(layout={"width": "auto"})
        self._round = w.HTML("newest", layout={"min_width": "3.5em"})
        picker = w.HBox([w.HTML("Round"), self.slider, self._round],
                        layout={"width": "22rem", "max_width": "100%", "align_items": "center", "grid_gap": "8px"})
        controls = w.HBox([explained(picker, WORDS["the round of the pictures"], name="the round of the pictures"),
                           explained(self.numbers, WORDS["the numbers"], name="the numbers")],
                          layout={"flex_flow": "row wrap", "grid_gap": "2px 20px"})
        inside = w.VBox([explained(w.HTML("What the parts of this run remember, round by round"),
                                   WORDS["the pictures"], name="the pictures"), controls, self.pictures])
        self.section = w.Accordion([inside], titles=["Inside the method"], selected_index=0)
        super().__init__([self.section], layout={"display": "none"})
        self.add_class("fl-what-if").add_class("fl-inside-method")
        self.slider.observe(self._moved, "position")
        for control, name in ((self.numbers, "value"), (self.section, "selected_index")):
            control.observe(lambda _: self.draw(), name)

    @classmethod
    def of(cls, run) -> Inside:
        """The panel of a recorded run. Raises BadInput where none of its parts shows anything."""
        if not run.views:
            raise BadInput(f"{run.path} has nothing to show: none of its parts keeps a memory that is read live")
        panel = cls()
        for event in run.events:
            panel.hear(event)
        panel.children = (*panel.children, Names())
        panel.draw()
        return panel

    def hear(self, event: Event) -> None:
        """Take in what an event says; others than Started and Shown are passed over."""
        with self._lock:
            if isinstance(event, Started):
                self.clear()
                self._rounds = max(event.rounds, 2)
                self.slider.step = 1 / (self._rounds - 1) - 1e-9   # a step too long would end before the newest
            elif isinstance(event, Shown):
                for name, fields in event.views.items():
                    self.views.setdefault(name, []).append((event.round, View(**fields)))
                self._news = True

    def clear(self) -> None:
        """Nothing shown."""
        with self._lock:
            self.views, self._news = {}, bool(self.views)

    def flush(self, now: bool = False) -> bool:
        """Draw what is new, unless that was just done; `now`: in any case. True if a message went out."""
        with self._lock:
            if not self._news or (not now and time.monotonic() < self._next):
                return False
            return self.draw()

    def draw(self) -> bool:
        """Draw the views up to the round chosen. True if a message went out."""
        with self._lock:
            before = self.layout.display, self.pictures.value
            if self.layout.display != (shown := None if self.views else "none"):
                self.layout.display = shown
            if self.section.selected_index is not None:
                text = page(self.views, self.round, self.numbers.value, self._rounds)
                if self.views and not text:
                    first = min(read[0][0] for read in self.views.values())
                    text = f"<p>Nothing was read up to here; the first reading is that of round {first}.</p>"
                self.pictures.value, self._news = text, False
                self._next = time.monotonic() + max(PACE, len(text) / A_SECOND)
            return before != (self.layout.display, self.pictures.value)

    @property
    def round(self) -> int | None:
        """The round that the pictures stand at; None for the newest."""
        at = self.slider.position
        return None if at > 1 - 1e-6 else 1 + round(at * (self._rounds - 1))

    def _moved(self, _) -> None:
        said = "newest" if self.round is None else str(self.round)
        self.slider.said, self._round.value = f"round {said}", said
        self.draw()
