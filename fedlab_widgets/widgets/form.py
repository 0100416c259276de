"""The form: every field of an experiment as a control, made from the schema; five questions first, the rest folded."""

from __future__ import annotations

import html

import ipywidgets as w
import traitlets

from ..part import WATCHERS, BadInput, Part, Spec
from ..recipes import BOOK
from ..spec import Experiment
from . import words
from .controls import Kind
from .fields import Body, Field, Node, bury, node_of
from .form_look import Names
from .groups import grouped, when
from .host import METHOD, OPENING, SECTIONS, Host, decided, differences, fitting, held, slots_of, value_at
from .menu import Menu
from .starts import STARTS
from .task_field import TaskField


class Section:
    """A part of the form behind a button that says its value; made when it is first opened."""

    def __init__(self, host: Host, title: str, paths: tuple[str, ...]):
        self.host, self.title, self.paths, self.nodes = host, title, paths, []
        self.button = w.Button(layout=host.wide, style=host.plain).add_class("fl-section")
        self.button.on_click(lambda _: self.toggle())
        self.inside = w.VBox(layout=host.wide).add_class("fl-inside")
        self.box, self.open = w.VBox((self.button,), layout=host.wide), False

    def toggle(self) -> None:
        """Open or close it."""
        self.build()
        self.open = not self.open
        (self.button.add_class if self.open else self.button.remove_class)("fl-is-open")
        self.box.children = (self.button, self.inside) if self.open else (self.button,)

    def build(self) -> list[Node]:
        """Its nodes, made once."""
        with self.host.mutex:
            if not self.nodes:
                self.nodes = [self._node(path) for path in self.paths]
                for node in self.nodes:
                    node.lock(self.host.locked)
                self.show()
                self.inside.children = [node.box for node in self.nodes]
        return self.nodes

    def _node(self, path: str) -> Node:
        if path.endswith(".*"):
            return Body(self.host, path[:-2], empty="This data set has no settings.")
        *steps, name = path.split(".")
        owner = value_at(self.host.experiment, ".".join(steps)) if steps else self.host.experiment
        return node_of(self.host, ".".join(steps), type(owner), name)

    def show(self) -> None:
        """Follow the experiment."""
        e, waits = self.host.experiment, {at: text for at, (_, text) in self.host.waiting.items()}
        with self.host.silence():
            for node in self.nodes:
                node.show(value_at(e, node.path))
                node.mark(waits)
        self.button.description = self.button.tooltip = f"{self.title}: {self.summary()}"

    def summary(self) -> str:
        """Its value in one line: all that an optional part does, and of the others what is not as usual."""
        said = "; ".join(filter(None, (self._brief(path) for path in self.paths)))
        waits = any(leaf.path in self.host.waiting for node in self.nodes for leaf in node.leaves())
        return said + (" (something here needs another value)" if waits else "")

    def _brief(self, path: str) -> str:
        value, field = value_at(self.host.experiment, path.removesuffix(".*")), Experiment.model_fields.get(path)
        if path.endswith(".*"):
            by_hand = (value.slot, value.name) not in words.NOT_BY_HAND   # else it has no settings, only facts
            return ", ".join(words.settings(value, everything=True)) if by_hand else ""
        if isinstance(value, Spec) and not isinstance(value, Part):
            return ", ".join(words.settings(value, skip=self.host.placed(path)))
        if value == () or value is None and len(self.paths) > 1:
            return ""   # what is not there goes without saying, beside what is
        if isinstance(value, (Part, tuple)) or value is None:
            said = words.brief(value, everything=field is not None and field.default is None)
            alone = len(self.paths) == 1 or "." in path   # the section's title says what it is
            return said if alone else f"{words.label(Experiment, path)} {said}"
        usual = path == "name" or value == field.default   # the name stands beside "method" already
        return "" if usual else f"{words.label(Experiment, path)} {words.spelled(value)}"


class Form(w.VBox):
    """An experiment as a form. `experiment` is always a valid one; `problem` says what the last change lacks.

    >>> from fedlab_widgets.widgets.form import Form
    >>> form = Form()
    >>> form.field("rounds").control.value = 0
    >>> form.experiment.rounds, form.problem[:25]
    (30, 'rounds = 0 is not allowed')
    """

    experiment = traitlets.Any()
    problem = traitlets.Unicode("")

    def __init__(self, experiment: Experiment | None = None, **keys):
        self.host, self.before = Host(self._accepted), {}
        self.actions = w.HBox(layout=w.Layout(width="auto", flex_flow="row wrap")).add_class("fl-actions")
        self.nodes = self._opening()
        self.sections = {title: Section(self.host, title, paths or self._rest()) for title, paths in SECTIONS.items()}
        super().__init__(**keys)
        self.add_class("fl-form")
        self.children = (*(node.box for node in self.nodes), self.actions,
                         *(section.box for section in self.sections.values()), Names())
        self.show(experiment or Experiment())
        WATCHERS.add(self)

    def show(self, experiment: Experiment) -> None:
        """Set all controls from an experiment; what was typed and refused is forgotten."""
        with self.host.mutex:
            self.host.waiting.clear()
            self.host.experiment = experiment
            self._accepted()

    def lock(self, locked: bool) -> None:
        """Disable the controls while a run goes; sections and "?" can still be opened."""
        self.host.locked = bool(locked)
        for node in self._built():
            node.lock(self.host.locked)

    def refresh(self) -> None:
        """Read the catalogue again: new parts are in the dropdowns, and parts that were defined again are taken."""
        with self.host.mutex, self.host.silence():
            for node in self._built():
                node.refresh()
            new, problem = self.host._tried({})
            self.host.experiment = new or self.host.experiment
            self._accepted()
            if problem:
                self.problem = problem

    def fields(self) -> list[Field]:
        """Every field there is now, sections that were never opened included."""
        for section in self.sections.values():
            section.build()
        return [leaf for node in self._built() for leaf in node.leaves()]

    def field(self, path: str) -> Field:
        """The field at a dotted path. Raises BadInput for a path that has none now."""
        for leaf in self.fields():
            if leaf.path == path:
                return leaf
        raise BadInput(f"{path!r} has no field in the form; there are {', '.join(f.path for f in self.fields())}")

    def close(self) -> None:
        """Close the form with all that is in it."""
        for child in self.children:
            bury(child)
        super().close()

    @traitlets.observe("experiment")
    def _given(self, change) -> None:
        if change.new is not self.host.experiment:
            self.show(change.new)

    def _opening(self) -> list[Node]:
        makers = {"method": self._method, "task": lambda: TaskField(self.host, "task", words.label(Experiment, "task"),
                                                                    words.of_field(Experiment, "task"))}
        return [makers.get(path, lambda path=path: node_of(self.host, "", Experiment, path))() for path in OPENING]

    def _rest(self) -> tuple[str, ...]:
        """The fields of an experiment that have no other place."""
        named = {path for paths in (OPENING, *SECTIONS.values()) for path in paths}
        return tuple(name for name in Experiment.model_fields if name not in named)

    def _built(self) -> list[Node]:
        return [*self.nodes, *(node for section in self.sections.values() for node in section.nodes)]

    def _accepted(self) -> None:
        """Show the experiment as it is now, and what waits."""
        waits = {at: text for at, (_, text) in self.host.waiting.items()}
        with self.host.silence():
            for node in self.nodes:
                node.show(self.host.experiment.name if node.path == "method" else node.pick(self.host.experiment))
                node.mark(waits)
            for section in self.sections.values():
                section.show()
        self.problem = " ".join(dict.fromkeys(waits.values()))
        self.experiment = self.host.experiment

    def _method(self) -> Field:
        return Method(self.host, self._chosen)

    def _chosen(self, name: str) -> None:
        """Take back what the former method set, where it still stands, and set what this one does."""
        e, default = self.host.experiment, Experiment()
        if e.name not in BOOK:   # a quick start, or a method of the user's own: nobody knows what of it to keep
            self.before = {}
            slots = (*slots_of(name)[1:], "attack", "name")
            self.host.submit_all({slot: getattr(BOOK[name].experiment, slot) for slot in slots}, "method")
            return
        changes = {path: self.before.get(path, value_at(default, path))
                   for path, value in decided(e.name).items() if held(e, path, value)}
        before = {}
        for path, value in decided(name).items():
            path, value = fitting(e, path, value, BOOK[name].experiment)
            if path:
                before[path] = changes.get(path, value_at(e, path))
                changes[path] = value
        changes["name"] = name
        if self.host._tried(changes)[1]:   # something of the user's own does not go with it: the recipe as it stands
            changes = {slot: getattr(BOOK[name].experiment, slot) for slot in (*slots_of(name)[1:], "name")}
        self.before = before
        self.host.submit_all(changes, "method")


QUICK = {quick.experiment.name: quick.title for quick in STARTS}


def _called(e: Experiment, path: str) -> str:
    """What the form calls a field: "aggregator", "local training: step size"."""
    slot, *inner = path.split(".")
    owner = value_at(e, path.rpartition(".")[0]) if inner else e
    return ": ".join([words.label(Experiment, slot), *([words.label(type(owner), inner[-1])] if inner else [])])


class Method(Field):
    """The recipes as a menu; beneath it what the chosen one is for, and what was changed since.

    None is ever off: a method takes back what the one before set, and brings what it needs.
    """

    def __init__(self, host: Host, chosen):
        self.chosen = chosen
        super().__init__(host, "method", "method", words.explain("method"), Kind(Menu, str, str))
        self.says = w.HTML(layout=host.wide).add_class("fl-says")
        self.box = w.VBox((self.row, self.says), layout=host.wide)

    def show(self, value):
        names, groups = grouped("method", BOOK, lambda name: BOOK[name].tag)
        names += [] if value in BOOK else [value]
        self.control.offer([(name, name) for name in names], value, groups)
        super().show(value)
        about = f"{BOOK[value].says}. {when('method', BOOK[value].tag)} " if value in BOOK else (
            f"The quick start “{QUICK[value]}”. Choosing a method takes back what it set. " if value in QUICK else
            "A method of your own. ")
        self.says.value = html.escape(about[0].upper() + about[1:] + self._apart(value))

    def _apart(self, name: str) -> str:
        """What is not as the recipe has it, so that the name promises nothing that is not there."""
        if name not in BOOK:
            return ""
        e, book = self.host.experiment, BOOK[name].experiment
        apart = [_called(e, p) for slot in (*METHOD[1:], "attack")
                 for p, _ in differences(getattr(book, slot), getattr(e, slot), slot)]
        return f"Changed since: {', '.join(dict.fromkeys(apart))}." if apart else ""

    def refresh(self):
        with self.host.silence():
            self.show(self.host.experiment.name)

    def _typed(self, change):
        if not self.host.quiet and change.new in BOOK:
            self.chosen(change.new)
