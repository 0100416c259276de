"""What the menu of a slot offers: its parts in their groups, what each does, and what cannot be chosen now, and why."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

from ..part import Part, catalogue, parts_in
from ..phrases import listed
from ..spec import Experiment
from . import words
from .groups import grouped, tag_of, when
from .menu import Mark


def choices(base: type[Part], used: str | None = None) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """(labels and names of a slot's parts, the group of each name).

    Parts that no form can make are there only where one of them is in use.
    """
    shelf = {key: cls for key, cls in catalogue(base.slot).items()
             if key == used or (base.slot, key) not in words.NOT_BY_HAND}
    names, groups = grouped(base.slot, shelf, lambda key: tag_of(shelf[key]))
    return [(words.title(shelf[key]), key) for key in names], groups


def told(cls: type[Part]) -> str:
    """What a part does and when to use it, as HTML."""
    return plain(f"{cls.summary()} {when(cls.slot, tag_of(cls), cls.name)}".strip())


def plain(text: str) -> str:
    """A line of a docstring as HTML, without the marks around names."""
    return html.escape(text.replace("`", ""))


class Trial:
    """Tries every choice of a menu on the experiment as it stands, without data, and only when that has changed.

    A choice that the experiment refuses is off, with the sentence. Two kinds are not, because the form has a way to
    them: what fits together with a change that waits, so that two changes that need each other can still be made one
    after the other; and what a recipe with the same part makes fit by what it sets beside it. That one can be chosen,
    and a button does both (`Host.beside`): told to find three settings elsewhere first, few would. Whatever is off is
    one choice in another menu away, and becomes free with that.
    """

    def __init__(self, host, path: str):
        self.host, self.path, self.seen, self.marks = host, path, None, {}

    def __call__(self, values: Mapping[str, Any]) -> dict[str, Mark]:
        """The marks of choices: what each would set the path to, by its name."""
        seen = self.host.experiment, dict(self.host.waiting), dict(values)
        if self.seen is None or self.seen[0] is not seen[0] or self.seen[1:] != seen[1:]:
            self.seen = seen
            tried = {name: self._mark(name, value) for name, value in values.items()}
            self.marks = {name: mark for name, mark in tried.items() if mark}
        return self.marks

    def _mark(self, name: str, value: Any) -> Mark | None:
        why = self.host.refused(self.path, value)
        if not why:
            return None
        if isinstance(value, list) and name in [part.name for part in value if isinstance(part, Part)]:
            return Mark("in the list already", True, why)
        beside = self.host.beside({self.path: value})
        if beside:
            return Mark("also changes " + listed(words.label(Experiment, slot) for slot in beside[0]), False, why)
        facts, _, way = why.partition("; ")
        other = self._other(name, facts)
        if other is None:
            return Mark("not now", True, why)
        if way.startswith(f"set {self.path} "):   # that is the way out for who wants to keep the other
            why += f" To choose it, change {words.LABELS.get(other.slot, other.slot)} first."
        return Mark(f"not with {words.title(type(other))}", True, why)

    def _other(self, name: str, facts: str) -> Part | None:
        """The part in use that a sentence names first; None for none."""
        slot, found = self.path.split(".")[-1], {}
        for part in parts_in(self.host.experiment):
            at = re.search(rf"= {part.name}\b|\b{type(part).__name__}\b", facts)
            if at and part.name != name and part.slot != slot:
                found.setdefault(at.start(), part)
        return found[min(found)] if found else None


def refusals(path: str, marks: Mapping[str, Mark]) -> str:
    """Why choices are off or need more, as HTML: folded, one line a reason, for all whom a title does not reach."""
    if not marks:
        return ""
    lines: dict[tuple[str, bool], list[str]] = {}
    for name, mark in marks.items():
        lines.setdefault((mark.why.replace(f"{path} = {name}", "this choice"), mark.off), []).append(name)
    off, more = sum(mark.off for mark in marks.values()), sum(not mark.off for mark in marks.values())
    said = "; ".join(filter(None, (f"{off} cannot be chosen now" * (off > 0),
                                   f"{more} {'change' if more > 1 else 'changes'} something else too" * (more > 0))))
    items = "".join(
        f"<li><b>{html.escape(listed(name.replace('_', ' ') for name in names))}</b>: {html.escape(why)}"
        f"{'' if is_off else ' It can be chosen; a button then makes all changes.'}</li>"
        for (why, is_off), names in lines.items())
    return f'<details class="fl-refused"><summary>{said}: why?</summary><ul>{items}</ul></details>'
