"""A menu: the dropdown of ipywidgets with groups, and with choices that cannot be made now, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import anywidget
import ipywidgets as w
import traitlets


class Mark(NamedTuple):
    """What stands at a choice: a `note` of a few words, whether it is `off` (cannot be chosen), and `why`."""

    note: str
    off: bool
    why: str


class Menu(anywidget.AnyWidget, w.Dropdown):
    """A `Dropdown` in all its traits, drawn by a native select that has groups and disabled options.

    >>> menu = Menu(description="aggregator")
    >>> menu.offer([("mean", "mean"), ("krum", "krum")], "mean", {"krum": "Robust to liars"})
    >>> menu.mark({"krum": Mark("not with gaussian", True, "privatise = gaussian cannot …")})
    >>> menu.value, menu.groups, menu.marks[1]["off"]
    ('mean', ['', 'Robust to liars'], True)
    """

    _esm = (Path(__file__).parent / "static" / "menu.js").read_text(encoding="utf-8")
    groups = traitlets.List(traitlets.Unicode()).tag(sync=True)   # of every option, in their order; "" is none
    marks = traitlets.List(traitlets.Dict()).tag(sync=True)       # the same; {} where there is nothing to say

    def offer(self, pairs: list[tuple[str, Any]], chosen: Any, groups: Mapping[Any, str] | None = None) -> None:
        """Set the options, (label, value), of which one is chosen; `groups` by value. Sent at once, and if it differs.

        Options of one group must stand together.
        """
        named = [(groups or {}).get(value, "") for _, value in pairs]
        if (tuple(pairs), named) == (tuple(self.options), self.groups):
            self.value = chosen
            return
        with self.hold_sync():
            self.marks, self.groups = [], named
            self.options, self.value = pairs, chosen

    def mark(self, marks: Mapping[Any, Mark]) -> None:
        """Set what stands at the options, by value; the one that is chosen is never off."""
        self.marks = [marks[value]._asdict() if value in marks and value != self.value else {}
                      for _, value in self.options] if marks else []

    def about(self, value: Any) -> str:
        """Why an option is off or needs more; "" where it can be chosen."""
        marks = dict(zip((v for _, v in self.options), self.marks, strict=False))
        return marks.get(value, {}).get("why", "")
