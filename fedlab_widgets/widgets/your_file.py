"""Data of one's own: choose a file, say which column is what, see who holds how many rows, and use it."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable

import ipywidgets as w
import numpy as np

from ..part import BadInput
from ..partition import Natural
from ..slots import Partition
from ..tasks import Arrays
from ..tasks.frame import from_frame, plan, report_of
from . import data_html, guess
from .data_html import LOOK
from .data_words import HERE, WORDS
from .file_chooser import FileChooser, Status, choice, chosen, offer
from .form_look import Names
from .why import explained

MISSING = [("a category of its own, or the median", "category"), ("leave the row out", "drop")]


class YourFile(w.VBox):
    """The panel for a file of one's own. on_task(task, partition) is called by "Use these data": `Natural()` where a
    column says who holds a row, else None. `plan` holds how the columns would be used, None while that is not possible.

    >>> import pandas as pd
    >>> panel = YourFile(lambda task, partition: print(task.title, task.labels, repr(partition)))
    >>> panel.chooser.show(pd.DataFrame({"age": [20, 30, 40] * 10, "site": ["a", "b"] * 15,
    ...                                  "ok": ["no"] * 15 + ["yes"] * 15}), "people.csv")
    >>> panel.use()
    people.csv ('no', 'yes') Natural(column=None)
    """

    def __init__(self, on_task: Callable[[Arrays, Partition | None], None]):
        self.on_task, self.plan, self._quiet, self._mutex = on_task, None, False, threading.RLock()
        wide = w.Layout(width="auto", min_width="0")
        self.wide = wide
        self.chooser = FileChooser(self._read)

        self.outcome, self.favourable = choice("outcome", wide), choice("good to get", wide)
        self.sensitive, self.client = choice("compare groups by", wide), choice("who holds a row", wide)
        self.missing = choice("missing values", wide, options=MISSING)
        self.keep = w.Checkbox(False, description="keep a copy of the rows in the run folder", indent=False,
                               layout=wide)
        self.leave_out: dict[object, w.Checkbox] = {}
        self._boxes = w.Box(layout=wide).add_class("fl-columns")
        columns = w.Box([w.Label("leave out"), self._boxes], layout=wide).add_class("fl-out")
        self.counts, self.status = w.HTML(layout=wide), Status(layout=wide)
        self.button = w.Button(description="Use these data", icon="check", button_style="primary",
                               tooltip="Train on this file", layout=w.Layout(width="auto", align_self="flex-start"))
        self.button.on_click(lambda _: self.status.work(self.use, "Preparing the columns …"))
        for control in (self.outcome, self.favourable, self.sensitive, self.client, self.missing):
            control.observe(self._chosen, "value")
        named = {"outcome": self.outcome, "favourable value": self.favourable, "sensitive column": self.sensitive,
                 "client": self.client, "leaving columns out": columns, "missing values": self.missing,
                 "keeping a copy": self.keep}
        self.choices = w.VBox([explained(c, WORDS[name], name=name).add_class("fl-field")
                               for name, c in named.items()], layout=wide)
        use = explained(self.button, WORDS["using these data"], name="using these data")
        self.below = w.VBox([self.choices, self.counts, self.status, use],
                            layout=w.Layout(width="auto", min_width="0", display="none"))
        super().__init__([w.HTML(f"{LOOK}<p class=fl-here>{HERE}</p>", layout=wide), self.chooser, self.below, Names()],
                         layout=wide)
        self.add_class("fl-form").add_class("fl-your-file")

    def use(self) -> None:
        """What the button does. Raises BadInput where the columns cannot be used, and what on_task raises."""
        with self._mutex:
            if self.chooser.frame is None:
                raise BadInput("no file was read yet; choose one first")
            frame, how, name, keep = self.chooser.frame, self._roles(), self.chooser.name, self.keep.value
        task = from_frame(frame, **how, name=name, keep_rows=keep)
        self.on_task(task, Natural() if how["client"] is not None else None)
        self.status.say(f"In use: {name}. {report_of(task).text()}")

    def _roles(self) -> dict:
        return {"outcome": self.outcome.value, "favourable": self.favourable.value,
                "sensitive": chosen(self.sensitive), "client": chosen(self.client), "missing": self.missing.value,
                "exclude": tuple(c for c, box in self.leave_out.items() if box.value)}

    def _read(self, frame, name: str) -> None:
        """Offer the columns of a new table, with guesses of what they are."""
        with self._mutex:
            self._quiet = True
            taken = []
            for control, role in ((self.outcome, "outcome"), (self.sensitive, "group"), (self.client, "client")):
                offer(control, frame.columns, guess.guess(frame, role, tuple(taken)), none=role != "outcome")
                taken.append(control.value)
            suggested = set(guess.to_leave_out(frame))
            old = tuple(self.leave_out.values())
            self.leave_out = {c: w.Checkbox(c in suggested, description=str(c), indent=False, layout=self.wide)
                              for c in frame.columns}
            for box in self.leave_out.values():
                box.observe(self._chosen, "value")
            self._offer_values()
            self.below.layout.display = None
            self._quiet = False
            self._follow()
            for box in old:
                box.close()

    def _chosen(self, change) -> None:
        with self._mutex:
            if self._quiet or self.chooser.frame is None:
                return
            if change.owner is self.outcome:
                self._quiet = True
                self._offer_values()
                self._quiet = False
            self._follow()

    def _offer_values(self) -> None:
        values = guess.outcomes(self.chooser.frame, self.outcome.value)
        self.favourable.options = [(str(v), v) for v in values]
        self.favourable.value = values[guess.favourable(values)] if values else None

    def _follow(self) -> None:
        """The counts and warnings for what is chosen, or why it cannot be."""
        roles = {self.outcome.value, self.sensitive.value, self.client.value}
        free = [box for name, box in self.leave_out.items() if name not in roles]
        if self._boxes.children != tuple(free):
            self._boxes.children = free
        self.plan = None
        self.status.guarded(self._plan)
        self.button.disabled = self.plan is None
        self.counts.value = self._counts() if self.plan is not None else ""

    def _plan(self) -> None:
        self.plan = plan(self.chooser.frame, **self._roles())
        self.status.say("")

    def _counts(self) -> str:
        p, tables, notes = self.plan, [], []
        said = [p.report.text()]
        outcome, group, client = self.outcome.value, chosen(self.sensitive), chosen(self.client)
        if client is not None and group is not None:
            tables.append(data_html.counts(p.client, p.group, str(client), str(group)))
        elif client is not None:
            tables.append(data_html.counts(p.client, p.y, str(client), str(outcome)))
        if group is not None:
            tables.append(data_html.counts(p.group, p.y, str(group), str(outcome)))
            notes.append(data_html.few(p.group, "group"))
        else:
            said.append("No sensitive column: the lab will train, but compare no groups.")
        if client is not None:
            notes.append(data_html.few(p.client, "client"))
            if len(np.unique(p.client)) < 2:
                notes.append(f"{client} holds the one value {p.client[0]}: a single client learns alone.")
        else:
            said.append("No client column: the rows are dealt out by the partition chosen in the form.")
        return (f"<p>{html.escape(' '.join(said))}</p><div class=fl-tables>{''.join(tables)}</div>"
                + "".join(map(data_html.note, notes)))
