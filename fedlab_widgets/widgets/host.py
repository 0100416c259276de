"""What stands behind the form: the experiment, changes that wait to become right, and what a method decides."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any

import ipywidgets as w

from ..part import BadInput, Part, Spec
from ..phrases import listed
from ..recipes import BOOK
from ..spec import Experiment
from . import words

# What a method decides. The task stays the user's; of the partition only what the recipe cannot do without.
METHOD = ("partition", "schedule", "distribute", "fairness", "local", "personalise", "encode", "privatise",
          "aggregate", "server")

DATA = ("task", "partition", "rounds")   # what a part brings that works on one kind of data only

# Where fields stand; "task.*" are the fields of the chosen part. What is named nowhere is in Advanced.
OPENING = ("task", "partition", "method", "rounds")
SECTIONS = {"Fairness": ("task.*", "fairness", "evaluate.readings"), "Privacy": ("privatise",),
            "Communication": ("encode", "distribute"), "Attacks": ("attack",), "Advanced": ()}


def value_at(spec: Any, path: str) -> Any:
    """The value at a dotted path. Raises AttributeError or IndexError where there is none."""
    for step in path.split("."):
        spec = spec[int(step)] if isinstance(spec, tuple) and step.isdigit() else getattr(spec, step)
    return spec


def differences(base: Any, other: Any, path: str):
    """(path, value in other) of what differs: field by field in the same part, as a whole in another."""
    if type(base) is type(other) and isinstance(base, Spec):
        for name in type(base).model_fields:
            yield from differences(getattr(base, name), getattr(other, name), f"{path}.{name}")
    elif base != other:
        yield path, other


def slots_of(name: str) -> tuple[str, ...]:
    """What a method decides; one that is about other data than the default experiment's brings them, and the net."""
    own = type(BOOK[name].experiment.task) is not type(Experiment().task)
    return (*METHOD, *(("task", "net", "rounds") if own else ()))


def decided(name: str) -> dict[str, Any]:
    """What a method sets, by path: where its recipe differs from the default experiment."""
    if name not in BOOK:
        return {}
    base, other = Experiment(), BOOK[name].experiment
    return {p: v for slot in slots_of(name) for p, v in differences(getattr(base, slot), getattr(other, slot), slot)}


class Host:
    """What the fields know of the form: where changes go, what waits to become right, and the shared looks.

    A change that the spec refuses waits, with its sentence; it is tried again with every later change, so that two
    changes that need each other can be made one after the other.
    """

    SLIDERS = ("partition.",)   # the strength of the partition is moved by hand, and watched

    def __init__(self, accept):
        self.accept, self.experiment = accept, Experiment()
        self.waiting: dict[str, tuple[dict[str, Any], str]] = {}   # the field's path -> (changes, sentence)
        self._quiet = self.locked = False
        self.mutex = threading.RLock()   # handlers may run on any thread of the kernel
        self.wide, self.narrow = w.Layout(width="auto", min_width="0"), w.Layout(width="auto")
        self.style, self.plain = {"description_width": ""}, w.ButtonStyle()

    @contextmanager
    def silence(self):
        """Controls set in here are not changes by the user."""
        with self.mutex:
            held, self._quiet = self._quiet, True
            try:
                yield
            finally:
                self._quiet = held

    @property
    def quiet(self) -> bool:
        """Whether the form itself is setting controls; a user's change on another thread waits until that is done."""
        with self.mutex:
            return self._quiet

    def submit(self, path: str, value: Any, at: str | None = None) -> None:
        """A change by the user; `at` is the field where it was made, if that has another path."""
        self.submit_all({path: value}, at or path)

    def submit_all(self, changes: dict[str, Any], at: str) -> None:
        """Apply changes if the spec takes them, at best with those that wait; else let them wait with its sentence."""
        with self.mutex:
            self.waiting.pop(at, None)
            others = {p: v for held, _ in self.waiting.values() for p, v in held.items()}
            new, _ = self._tried({**others, **changes})
            if new:
                self.waiting.clear()
            else:
                new, problem = self._tried(changes)
                if problem:
                    self.waiting[at] = changes, problem
            self._settle(new, changes)

    def _settle(self, new: Experiment | None, changes: dict[str, Any]) -> None:
        """Take the new experiment; drop what waited for fields that are gone; try what else waits."""
        if new:
            self.experiment = new
            gone = [at for at in self.waiting if any(at.startswith(p + ".") for p in changes)]
            for at in gone:
                del self.waiting[at]
            for at, (held, _) in list(self.waiting.items()):
                better, problem = self._tried(held)
                self.experiment = better or self.experiment
                self.waiting[at] = held, problem
                if better:
                    del self.waiting[at]
        self.accept()

    def _tried(self, changes: dict[str, Any]) -> tuple[Experiment | None, str]:
        """(the experiment with the changes, "") or (None, the sentence that says why not)."""
        try:
            return self.experiment.changed(**changes), ""
        except BadInput as error:
            return None, str(error)
        except Exception as error:   # a part of the user's own whose validator is broken must not break the form
            return None, f"{', '.join(changes)} cannot be set: {type(error).__name__}: {error}"

    def refused(self, path: str, value: Any) -> str:
        """The sentence with which a change would have to wait; "" where it, or it with those that wait, is taken."""
        others = {p: v for at, (held, _) in self.waiting.items() if at != path for p, v in held.items()}
        return "" if others and self._tried({**others, path: value})[0] else self._tried({path: value})[1]

    def beside(self, changes: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]] | None:
        """(slots, changes) where what a recipe with the same part sets in those slots makes a refused choice fit: one
        slot if one will do, else as few of the recipe's as will; the data, too, where a part knows none but its own.
        The usual experiment counts as a recipe where there would be no other way back from a system whose parts need
        each other."""
        usual, tried = Experiment(), []
        books = [b.experiment for b in BOOK.values() if all(_has(b.experiment, p, v) for p, v in changes.items())]
        free = [slot for slot in (*METHOD[1:], "net") if slot not in map(_first, changes)]
        here = not books or any(not e.task.apart or type(e.task) is type(self.experiment.task) for e in books)
        for e in books:
            for slot in free if here else ():
                extra = {slot: getattr(e, slot)}
                if extra[slot] != getattr(usual, slot) and extra not in tried:
                    tried.append(extra)
                    if self._tried({**changes, **extra})[0]:
                        return (slot,), {**changes, **extra}
        for data in (*[()] * here, [slot for slot in DATA if slot not in map(_first, changes)]):
            for e in (e for e in (*books, usual) if not data or e.task.apart or self.experiment.task.apart):
                differ = lambda slots, e=e: {s: getattr(e, s) for s in slots   # noqa: E731
                                             if getattr(e, s) != getattr(self.experiment, s)}
                extra, whole = differ(free), differ(data)
                if len(extra | whole) > 1 and self._tried({**changes, **extra, **whole})[0]:
                    for slot in tuple(extra):
                        fewer = {s: v for s, v in extra.items() if s != slot}
                        extra = fewer if self._tried({**changes, **fewer, **whole})[0] else extra
                    extra = whole | extra
                    if len(extra) > 1 or not self._tried(extra)[0]:   # else it is a choice that can be made elsewhere
                        return tuple(extra), {**changes, **extra}
        return None

    def cure(self, at: str) -> w.Button | None:
        """A button for what `beside` finds for the change that waits at a field."""
        found = self.beside(self.waiting[at][0]) if at in self.waiting else None
        return self._cure_button(at, found[1], found[0]) if found else None

    def _cure_button(self, at: str, changes: dict[str, Any], slots: tuple[str, ...]) -> w.Button:
        text = "Do it, and set " + listed(f"{words.label(Experiment, slot)} to {words.brief(changes[slot])}"
                                          for slot in slots)
        button = w.Button(description=text, tooltip=text, layout=self.narrow, style=self.plain).add_class("fl-small")
        button.on_click(lambda _: self.submit_all(changes, at))
        return button

    def placed(self, path: str) -> tuple[str, ...]:
        """The fields beneath a path that have a place of their own in the form."""
        return tuple(p[len(path) + 1:] for paths in SECTIONS.values() for p in paths if p.startswith(path + "."))


def _first(path: str) -> str:
    return path.split(".")[0]


def _has(e: Experiment, path: str, choice: Any) -> bool:
    """Whether an experiment has at a path the part that was chosen, or last added, by its name."""
    choice = choice[-1] if isinstance(choice, list) and choice else choice
    name = choice.get("part") if isinstance(choice, dict) else choice
    try:
        there = value_at(e, path)
    except (AttributeError, IndexError):
        return False
    return isinstance(name, str) and name in [
        part.name for part in (there if isinstance(there, tuple) else (there,)) if isinstance(part, Part)]


def held(e: Experiment, path: str, value: Any) -> bool:
    """Whether a path still has this value."""
    try:
        return value_at(e, path) == value
    except (AttributeError, IndexError):
        return False


def fitting(e: Experiment, path: str, value: Any, recipe: Experiment) -> tuple[str, Any]:
    """A path as it is, or its whole slot where the user has another part there; of a partition then nothing."""
    try:
        value_at(e, path)
        return path, value
    except (AttributeError, IndexError):
        slot = path.split(".")[0]
        return ("", None) if slot == "partition" else (slot, getattr(recipe, slot))
