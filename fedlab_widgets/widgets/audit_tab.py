"""The tab "Audit predictions": somebody's predictions, read as the lab reads its own; nothing is trained."""

from __future__ import annotations

import threading
from pathlib import Path

import ipywidgets as w
import numpy as np

from ..audit import Audit, audit
from ..part import BadInput
from ..tasks.readers import read_adult
from . import guess
from .audit_groups import Groups
from .audit_keep import Summary, pictures
from .data_html import LOOK
from .data_words import HERE, WORDS
from .file_chooser import FileChooser, Status, choice, chosen, offer
from .form_look import Names
from .what_if import WhatIf
from .why import explained

ROLES = {   # what a control is called, and the word its "?" says
    "outcome": ("what happened", "the truth"), "prediction": ("what was predicted", "prediction"),
    "group": ("compare groups by", "sensitive column"), "client": ("who holds a row", "client of a prediction"),
    "favourable": ("good to get", "favourable value")}
MADE_UP = 5   # clients where no column names any
ABOUT = ("Predictions that were made elsewhere, one row a person: who was given the favourable answer? Nothing is "
         "trained.")
SLOW = "Reading: what chance reaches takes a moment with three groups or more …"
EXAMPLE = ("An example: 2,000 people of the US census of 1994 (Adult, test rows) and the answers of a logistic "
           "regression trained on others just now. The five sites are made up: sites 1 and 2 were given mostly women. "
           "Press Read the predictions.")


class AuditTab(w.VBox):
    """Choose a table of predictions, say which column is what, read it; save a summary of it.

    `audit` is the last one and `panel` its `WhatIf`. Rows with a gap in one of the columns are left out, and counted.
    out: the folder for summaries (`./runs/audits`).
    """

    def __init__(self, out: str | Path | None = None):
        self.audit: Audit | None = None
        self.panel: WhatIf | None = None
        self._quiet, self._mutex = False, threading.RLock()
        wide = w.Layout(width="auto", min_width="0")
        self.chooser = FileChooser(self._offer)
        self.example = w.Button(description="Try an example", icon="flask", layout=w.Layout(width="auto"),
                                tooltip="Make a small table of predictions from data that come with the lab")
        self.example.on_click(lambda _: self.chooser.status.work(self.try_example, "Making an example …"))
        self.controls = {role: choice(called, wide) for role, (called, _) in ROLES.items()}
        self.groups = Groups(ROLES["group"][0], wide)
        self.controls["group"] = self.groups.columns[0]
        for role in ("outcome", "prediction"):
            self.controls[role].observe(self._values, "value")
        self.button = w.Button(description="Read the predictions", icon="balance-scale", button_style="primary",
                               tooltip="Compare what the groups were given",
                               layout=w.Layout(width="auto", align_self="flex-start"))
        self.button.on_click(lambda _: self.status.work(self.read, "Reading …"))
        self.status, self.result = Status(layout=wide), w.VBox(layout=w.Layout(width="100%", margin="12px 0 0"))
        self.summary = Summary(out)
        rows = [self.groups if role == "group" else explained(self.controls[role], WORDS[word], name=word).add_class(
            "fl-field") for role, (_, word) in ROLES.items()]
        self.below = w.VBox([*rows, self.status, explained(self.button, WORDS["reading"], name="reading")],
                            layout=w.Layout(width="auto", display="none"))
        about = w.HTML(f"{LOOK}<p>{ABOUT} <b>{HERE}</b></p>", layout=wide)
        example = explained(self.example, WORDS["the example"], name="the example")
        form = w.VBox([about, example, self.chooser, self.below, Names()], layout=wide)
        form.add_class("fl-form").add_class("fl-your-file")
        super().__init__([form, self.result], layout=w.Layout(width="100%"))

    def read(self) -> None:
        """What the button does. Raises BadInput where the columns cannot be read so."""
        with self._mutex:
            frame, name = self.chooser.frame, self.chooser.name
            roles = {role: chosen(c) for role, c in self.controls.items()}
        if frame is None:
            raise BadInput("no table was read yet; choose a file, or try the example")
        good = roles.pop("favourable")
        roles["group"], bins = self.groups.chosen()
        groups = roles["group"] if isinstance(roles["group"], list) else [roles["group"]]
        named = [roles["outcome"], roles["prediction"], *groups, roles["client"]]
        if any(named.count(roles[role]) > 1 for role in ("outcome", "prediction")):
            raise BadInput("what happened and what was predicted need columns of their own; choose another column for "
                           f"one of those that are {roles['prediction']!r} or {roles['outcome']!r} now")
        _must_be_labels(frame[roles["prediction"]])
        used = frame[[c for c in dict.fromkeys(named) if c is not None]].dropna()
        if not len(used):
            raise BadInput("every row has a gap in one of these columns, so that none is left to read; choose other "
                           "columns, or fill the gaps")
        said = f"{len(frame) - len(used):,} of {len(frame):,} rows have a gap in these columns and are left out. "
        said = said if len(used) < len(frame) else ""
        if roles["client"] is None:
            roles["client"] = "made-up client"
            used = used.assign(**{"made-up client": np.random.default_rng(0).integers(1, MADE_UP + 1, len(used))})
            said += f"No client column: the rows are dealt at random to {MADE_UP} made-up clients."
        try:
            told = audit(used, **roles, bins=bins, favourable=good)
        except BadInput as error:
            raise BadInput(_without_python(str(error))) from None
        if len(told.groups) > 2:
            self.status.say(SLOW)
        panel = WhatIf.of(told)
        with self._mutex:
            self.audit, self.panel = told, panel
            self.summary.show(told, name)
            self.result.children = (self.summary, panel, *pictures(told))
        self.status.say(said)

    def try_example(self) -> None:
        """A table of predictions from data that come with the lab: about two seconds of work."""
        self.chooser.show(example(), "example")
        self.chooser.status.say(EXAMPLE)

    def _offer(self, frame, name: str) -> None:
        """Offer the columns of a new table, with guesses of what they are."""
        with self._mutex:
            self._quiet, taken = True, []
            for role in ("prediction", "outcome", "group", "client"):
                found = guess.guess(frame, role, tuple(taken))
                if role == "group":
                    self.groups.offer(frame, found)
                else:
                    offer(self.controls[role], frame.columns, found, none=role == "client")
                taken.append(self.controls[role].value)
            self._quiet = False
            self._values()
            self.below.layout.display = None
            self.result.children, self.panel, self.audit = (), None, None
            self.status.say("")

    def _values(self, _=None) -> None:
        """Offer the answers that there are as the favourable one."""
        with self._mutex:
            if self._quiet or self.chooser.frame is None:
                return
            frame, box, before = self.chooser.frame, self.controls["favourable"], self.controls["favourable"].value
            found = {v for role in ("outcome", "prediction") for v in _answers(frame[self.controls[role].value])}
            values = sorted(found, key=lambda v: (type(v).__name__, v))
            box.options = [(str(v), v) for v in values]
            box.value = before if before in values else values[guess.favourable(values)] if values else None


def _answers(column) -> list:
    try:
        held = column.dropna().unique().tolist()
    except TypeError:   # lists and the like
        return []
    return held if len(held) <= guess.MOST_LABELS else []


def _without_python(text: str) -> str:
    """What `audit` says of groups, in the words of the tab: ranges are a field there, and where they help it is open.

    >>> _without_python("bins = 1: from 2 to 10 ranges can be compared")
    'ranges = 1: from 2 to 10 ranges can be compared'
    """
    text = text.partition(", or cut numbers into ranges, e.g. bins")[0]
    return text.replace("bins = ", "ranges = ").replace("widen bins", "widen ranges")


def _must_be_labels(column) -> None:
    """Scores would count as so many answers that are not the favourable one. Raises BadInput for them."""
    held = column.dropna().unique().tolist()
    if len(held) > guess.MOST_LABELS or any(isinstance(v, float) and v != round(v) for v in held):
        raise BadInput(f"what was predicted = {column.name!r} holds {held[0]!r} and other values, {len(held):,} in "
                       "all, which look like scores; choose a column of labels, written like the outcomes (a score "
                       "above a threshold is yes)")


def example(rows: int = 2000, seed: int = 0):
    """Adult test rows [income, predicted income, sex, site] (pandas): a logistic regression of 5,000 training rows
    predicts, and five sites are made up by seed, the first two with mostly women."""
    import pandas as pd
    from sklearn.linear_model import LogisticRegression  # slow to import

    table, draw = read_adult("sex"), np.random.default_rng(seed)
    train, test = (draw.permutation(np.flatnonzero(mask))[:n] for mask, n in ((~table.test, 5000), (table.test, rows)))
    model = LogisticRegression(max_iter=200).fit(table.x[train], table.y[train])
    woman = table.groups["sex"][test] == 0
    site = np.where(draw.random(rows) < np.where(woman, 0.8, 0.2), draw.integers(1, 3, rows), draw.integers(3, 6, rows))
    names = np.array(table.labels)
    return pd.DataFrame({"income": names[table.y[test]], "predicted income": names[model.predict(table.x[test])],
                         "sex": np.where(woman, "Female", "Male"), "site": [f"site {s}" for s in site]})
