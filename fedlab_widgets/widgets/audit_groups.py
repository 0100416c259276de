"""Which groups an audit compares: one column or several that are crossed, and ranges of those that hold numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import ipywidgets as w

from ..audit import _numbers
from ..evaluate.pid import MOST_GROUPS
from ..part import BadInput
from .data_words import WORDS
from .file_chooser import choice, chosen, offer
from .why import explained
from .words import Word

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and whoever has no file of their own does without

MOST_COLUMNS = 3   # that are crossed: four of two values each are more than ten groups
RANGES = "4"       # to begin with
CROSSED = Word(
    "Another column, crossed with the ones above: the groups are then the combinations that somebody is in. From 2 to "
    f"{MOST_GROUPS} groups can be compared.",
    "sex and race: Black women are a group of their own, whose rate the two columns one by one do not show.",
    "Choose race beside sex: which group is now furthest from the others?")
CUT = Word(
    f"This column holds more than {MOST_GROUPS} different numbers, so that they are cut into ranges: how many, with "
    "about as many people in each, or their limits. A range goes from its limit to below the next one.",
    "4, or 18, 25, 40, 65 for the ranges 18 to 24, 25 to 39 and 40 to 65.",
    "Move a limit: does the gap depend on where you cut?")


class Groups(w.VBox):
    """A menu for each column of groups, the next one open once this one is chosen, and ranges where they are needed.

    `chosen()` says what is chosen.
    """

    def __init__(self, called: str, layout: w.Layout):
        self.frame: pd.DataFrame | None = None
        names = [called, *["crossed with"] * (MOST_COLUMNS - 1)]
        self.columns = [choice(name, layout) for name in names]
        self.ranges = [w.Text(description="ranges", continuous_update=False, layout=layout,
                              style={"description_width": ""}) for _ in names]
        words = [(WORDS["sensitive column"], "sensitive column"), *[(CROSSED, "crossed with")] * (MOST_COLUMNS - 1)]
        self._columns = [explained(column, word, name=name).add_class("fl-field")
                         for column, (word, name) in zip(self.columns, words, strict=True)]
        self._ranges = [explained(box, CUT, name="ranges").add_class("fl-field") for box in self.ranges]
        for column in self.columns:
            column.observe(self._follow, "value")
        super().__init__([row for pair in zip(self._columns, self._ranges, strict=True) for row in pair], layout=layout)

    def offer(self, frame: pd.DataFrame, found) -> None:
        """Offer the columns of a new table; `found` is chosen, else the last."""
        self.frame = None
        for box in self.ranges:
            box.value = RANGES
        for i, column in enumerate(self.columns):
            offer(column, frame.columns, None if i else found, none=i > 0)
        self.frame = frame
        self._follow()

    def chosen(self) -> tuple[object, dict | None]:
        """The column, or a list of those that are crossed, and {column: ranges} or None, as `audit` takes them.

        Raises BadInput for ranges that are no numbers.
        """
        held = self._held()
        cut = {column: _ranges(box.value, column) for column, box in zip(held, self.ranges, strict=False)
               if self._to_cut(column)}
        return (held if len(held) > 1 else held[0]), cut or None

    def _held(self) -> list:
        """The columns that are chosen, up to the first menu that says none."""
        held = [chosen(column) for column in self.columns]
        return held[:held.index(None)] if None in held else held

    def _to_cut(self, name) -> bool:
        return many_numbers(self.frame[name])

    def _follow(self, _=None) -> None:
        """Show the next menu, and the ranges of the columns that need them."""
        if self.frame is None:
            return
        held = self._held()
        for i, (column, box) in enumerate(zip(self._columns, self._ranges, strict=True)):
            column.layout.display = None if i <= len(held) else "none"
            cut = i < len(held) and self._to_cut(held[i])
            box.layout.display = None if cut else "none"
            if cut:
                self.ranges[i].description = f"ranges of {held[i]}"


def many_numbers(column: pd.Series) -> bool:
    """Whether a column holds nothing but numbers, and more different ones than there may be groups.

    >>> import pandas as pd
    >>> many_numbers(pd.Series(range(20))), many_numbers(pd.Series([0, 1] * 10)), many_numbers(pd.Series(list("abc")))
    (True, False, False)
    """
    held = column.dropna() if column.ndim == 1 else column.iloc[:0, 0]
    return _numbers(held.astype(object)) is not None and held.nunique() > MOST_GROUPS


def _ranges(text: str, name) -> int | list[float]:
    """"4" as a number of ranges, "18, 25, 40" as limits."""
    try:
        found = [float(word) for word in text.replace(";", " ").replace(",", " ").split()]
    except ValueError:
        found = []
    if not found or not all(map(math.isfinite, found)):
        raise BadInput(f"ranges of {name} = {text!r}: type how many, from 2 to {MOST_GROUPS}, or three or more rising "
                       "limits, e.g. 18, 25, 40, 65")
    return int(found[0]) if len(found) == 1 and found[0] == int(found[0]) else found
