"""One field of a spec -> one control with its "?", generated from the schema: nothing here knows a part by name.

A node has a dotted `path`, a `box` to show, `show(value)`, `mark()` for what is wrong, and knows the `host` (the form),
to whom every change goes: `host.submit(path, value)`.
"""

from __future__ import annotations

import html
import typing
from collections.abc import Iterator
from typing import Any

import ipywidgets as w
from pydantic import BaseModel

from ..part import Part, Spec, catalogue
from . import words
from .controls import NOTHING, Kind, Scale, Slider, kind_of, meant, members, scale_of, start
from .menu import Menu
from .offers import Trial, choices, plain, refusals, told
from .why import Why


class Node:
    """What all nodes of the form have in common: children are asked the same."""

    path: str
    box: w.Box

    def inner(self) -> list[Node]:
        return []

    def leaves(self) -> Iterator[Field]:
        """The fields beneath, each with one control and one "?"."""
        for node in self.inner():
            yield from node.leaves()

    def pick(self, spec: Spec) -> Any:
        """What this node shows of the spec that it belongs to."""
        return getattr(spec, self.path.rpartition(".")[2])

    def show(self, value: Any) -> None:
        """Set the controls from a value."""

    def mark(self, problems: dict[str, str]) -> None:
        """Say beside each field what is wrong with it: sentences by path."""
        for node in self.inner():
            node.mark(problems)

    def refresh(self) -> None:
        """Read the catalogue again."""
        for node in self.inner():
            node.refresh()

    def lock(self, locked: bool) -> None:
        for node in self.inner():
            node.lock(locked)


class Field(Node):
    """One control with its label and "?"; what "?" opens and what is wrong stand beneath it."""

    def __init__(self, host, path: str, name: str, word: words.Word, kind: Kind, scale: Scale | None = None):
        self.host, self.path, self.kind, self.word, self.scale = host, path, kind, word, scale
        self.control = kind.make()
        self.control.description, self.control.style, self.control.layout = name, host.style, host.wide
        self.control.observe(self._typed, "value")
        self.about = Why(name, {name: word}, self._arrange, layout=host.narrow, style=host.plain)
        self.slider = self._slider(name) if scale else None
        self.wrong = self.cure = None
        self.box = self.row = w.Box(layout=host.wide).add_class("fl-field")
        self._arrange()

    def leaves(self):
        yield self

    @property
    def why(self) -> w.Button:
        return self.about.button

    @property
    def help(self) -> w.HTML | None:
        """What "?" has opened beneath the control."""
        return self.about.text

    def show(self, value):
        if self.path not in self.host.waiting:   # what was typed stays until it is right
            self.control.value = self.kind.write(value)
        if self.slider:
            self._slide(value)

    def mark(self, problems):
        text = problems.get(self.path, "")
        (self.row.add_class if text else self.row.remove_class)("fl-bad")
        held = self.wrong.value if self.wrong else ""
        said = f'<div role="alert">{html.escape(text)}</div>' if text else ""
        if said == held:
            return
        self.wrong = w.HTML(said, layout=self.host.wide).add_class("fl-wrong") if text else None
        self.cure = self.host.cure(self.path) if text else None
        self._arrange()

    def lock(self, locked):
        self.control.disabled = locked
        if self.slider:
            self.slider.disabled = locked

    def _typed(self, change) -> None:
        if not self.host.quiet:
            self.host.submit(self.path, self.kind.read(change.new))

    def _slider(self, name: str) -> Slider:
        slider = Slider(label=name + ", slider", layout=self.host.wide).add_class("fl-slider")
        slider.observe(self._dragged, "position")
        return slider

    def _dragged(self, change) -> None:
        if not self.host.quiet:
            self.host.submit(self.path, self.scale.number(change.new))

    def _slide(self, value: float) -> None:
        """Follow the number; but where the handle stands for it already leave it, or it jumps under the pointer."""
        if self.scale.number(self.slider.position) != value:
            self.slider.position = self.scale.position(value)
        self.slider.said = words.spelled(value)

    def _arrange(self) -> None:
        self.row.children = tuple(filter(None, (self.control, self.why, self.slider, self.wrong, self.cure,
                                                self.help)))


class Body(Node):
    """The fields of the spec at a path; made anew when another part stands there."""

    def __init__(self, host, path: str, skip: tuple[str, ...] = (), empty: str = ""):
        self.host, self.path, self.skip, self.empty = host, path, skip, empty
        self.cls, self.nodes = None, []
        self.box = w.VBox(layout=host.wide).add_class("fl-nest")

    def inner(self):
        return self.nodes

    def show(self, value):
        cls = type(value) if isinstance(value, Spec) else None
        if cls is not self.cls:
            self._build(cls, value)
        for node in self.nodes:
            node.show(node.pick(value))

    def _build(self, cls, value) -> None:
        old, self.cls = self.nodes, cls
        fixed = cls is None or (getattr(cls, "slot", ""), getattr(cls, "name", "")) in words.NOT_BY_HAND
        self.nodes = [] if fixed else nodes_of(self.host, self.path, cls, self.skip)
        for node in self.nodes:
            node.lock(self.host.locked)
        said = [w.HTML(html.escape(self.empty), layout=self.host.wide)] if self.empty and not self.nodes else []
        self.box.children = (*said, *(node.box for node in self.nodes))
        for node in old:
            bury(node.box)


class Folded(Field):
    """A field with nodes of its own beneath its row."""

    def _fold(self, *beneath: w.Widget) -> None:
        """The row on top, the rest under it."""
        self.box = w.VBox((self.row, *beneath), layout=self.host.wide).add_class("fl-slot")

    def leaves(self):
        yield self
        yield from Node.leaves(self)

    def mark(self, problems):
        super().mark(problems)
        Node.mark(self, problems)

    def lock(self, locked):
        super().lock(locked)
        Node.lock(self, locked)


class PartField(Folded):
    """A slot: a menu of its catalogue, one line on the chosen part, and its fields folded beneath (unless bare)."""

    def __init__(self, host, path, name, word, base: type[Part], empty: bool, bare: bool = False):
        self.base, self.none = base, [("none", NOTHING)] * empty
        self.trial = Trial(host, path)
        super().__init__(host, path, name, word, Kind(Menu, self._begun, lambda v: v.name if v else NOTHING))
        self.says = w.HTML(layout=host.wide).add_class("fl-says")
        self.body = None if bare else Body(host, path)
        self._fold(self.says, *(() if bare else (self.body.box,)))

    def inner(self):
        return [self.body] if self.body else []

    def show(self, value):
        if self.path not in self.host.waiting:
            self._offer(self.kind.write(value))
        super().show(value)
        about = told(type(value)) if value and self.path not in self.host.waiting else ""
        self.says.value = about + self.refusals()
        if self.body:
            self.body.show(value)

    def refusals(self) -> str:
        """Mark what cannot be chosen now; why, as HTML."""
        there = catalogue(self.base.slot)
        marks = self.trial({name: self._begun(name) for _, name in self.control.options
                            if name in there and name != self.control.value})
        self.control.mark(marks)
        return refusals(self.path, marks)

    def refresh(self):
        self._offer(self.control.value)
        super().refresh()

    def _offer(self, chosen: str) -> None:
        """The parts of the slot as they are in the catalogue now, and the one that is chosen."""
        pairs, groups = choices(self.base, chosen)
        if chosen and chosen not in dict(pairs).values():   # gone from the catalogue, and in use here all the same
            pairs.append((chosen.replace("_", " "), chosen))
        with self.host.silence():
            self.control.offer([*self.none, *pairs], chosen, groups)

    def _begun(self, choice: str) -> Any:
        """A part by its name, with something in the fields that have no default."""
        name = meant(choice)
        cls = catalogue(self.base.slot).get(name)
        needs = {n: start(cls, n) for n, f in cls.model_fields.items() if f.is_required()} if cls else {}
        return {"part": name, **needs} if needs else name


class PartList(Folded):
    """Several parts of a slot: each with its fields and a button to remove it, and a menu to add one."""

    def __init__(self, host, path, name, word, base: type[Part]):
        self.base, self.rows, self.value, self.trial = base, [], (), Trial(host, path)
        self.says = w.HTML(layout=host.wide).add_class("fl-says")
        super().__init__(host, path, name, word, Kind(Menu, str, str))
        self._offer(NOTHING)
        self.add = w.Button(description="Add", tooltip=f"add to {name}", layout=host.narrow, style=host.plain)
        self.add.add_class("fl-small").add_class("fl-add").on_click(lambda _: self._added())
        self.list = w.VBox(layout=host.wide).add_class("fl-nest")
        self._fold(self.says, self.add, self.list)

    def inner(self):
        return [body for _, body, _ in self.rows]

    def show(self, value):
        if [type(v) for v in value] != [type(v) for v in self.value]:
            self._build(value)
        self.value = value
        for (_, body, _), part in zip(self.rows, value, strict=True):
            body.show(part)
        self._tell()

    def lock(self, locked):
        super().lock(locked)
        for button in (self.add, *(remove for *_, remove in self.rows)):
            button.disabled = locked

    def refresh(self):
        self._offer(self.control.value)
        super().refresh()

    def _offer(self, chosen: str) -> None:
        pairs, groups = choices(self.base)
        with self.host.silence():
            self.control.offer([("choose one to add", NOTHING), *pairs],
                               chosen if chosen in dict(pairs).values() else NOTHING, groups)

    def _tell(self) -> None:
        """What the part that might be added does, and which cannot be."""
        shelf = catalogue(self.base.slot)
        marks = self.trial({name: [*self.value, name] for _, name in self.control.options if name in shelf})
        self.control.mark(marks)
        chosen = shelf.get(self.control.value)
        self.says.value = (told(chosen) if chosen else "") + refusals(self.path, marks)

    def _typed(self, change) -> None:
        """Choosing changes nothing yet, as arrow keys pass over entries that nobody wants; it says what they do."""
        if not self.host.quiet:
            self._tell()

    def _added(self) -> None:
        if self.control.value != NOTHING:
            name, self.control.value = self.control.value, NOTHING
            self.host.submit(self.path, [*self.value, name])

    def _build(self, value) -> None:
        old = self.list.children
        self.rows = [self._row(i, part) for i, part in enumerate(value)]
        self.list.children = [row for row, *_ in self.rows]
        for row in old:
            bury(row)

    def _row(self, i: int, part: Part):
        host, name = self.host, words.title(type(part))
        body = Body(host, f"{self.path}.{i}")
        says = w.HTML(f"<b>{html.escape(name)}</b>: {plain(part.summary())}", layout=host.wide)
        remove = w.Button(description="remove", tooltip="remove " + name, layout=host.narrow, style=host.plain,
                          disabled=host.locked)
        remove.add_class("fl-small").on_click(lambda _: self._removed(i))
        return w.Box((says, remove, body.box), layout=host.wide).add_class("fl-item"), body, remove

    def _removed(self, i: int) -> None:
        self.host.submit(self.path, [part for j, part in enumerate(self.value) if j != i])


class Either(Folded):
    """Fields of which exactly one is given: a radio of their names, and the control of the chosen one."""

    def __init__(self, host, path: str, cls: type[Spec], names: tuple[str, ...]):
        self.prefix, self.names, self.cls, self.last = path, names, cls, {}
        labels, each = [words.label(cls, n) for n in names], [words.of_field(cls, n) for n in names]
        word = words.Word(f"Exactly one of {' or '.join(labels)} is set. {' '.join(e.sentence for e in each)}",
                          each[-1].example, each[-1].lesson)
        pairs = list(zip(labels, names, strict=True))
        super().__init__(host, f"{path}.{'|'.join(names)}", " or ".join(labels), word,
                         Kind(lambda: w.RadioButtons(options=pairs), str, str))
        self.nodes = {n: _alternative(host, path, cls, n) for n in names}
        self._fold()

    def inner(self):
        return list(self.nodes.values())

    def pick(self, spec):
        return spec

    def show(self, value):
        given = next(n for n in self.names if getattr(value, n) is not None)
        super().show(given)
        self.last[given] = getattr(value, given)
        self.nodes[given].show(self.last[given])
        self.box.children = (self.row, self.nodes[given].box)

    def _typed(self, change) -> None:
        if not self.host.quiet:
            value = self.last[change.new] if change.new in self.last else start(self.cls, change.new)
            self.host.submit(f"{self.prefix}.{change.new}", value, self.path)


def _alternative(host, path, cls, name) -> Field:
    """The control of an alternative: it is shown only while it is set, so it need not be able to be empty."""
    annotation = cls.model_fields[name].annotation
    some = [k for k in members(annotation) if k is not type(None)]
    kind = kind_of(some[0] if len(some) == 1 else annotation)
    return Field(host, f"{path}.{name}", words.label(cls, name), words.of_field(cls, name), kind)


def nodes_of(host, path: str, cls: type[BaseModel], skip: tuple[str, ...] = ()) -> list[Node]:
    """A node for every field of a spec; alternatives share one."""
    nodes, done = [], set(skip)
    for name in cls.model_fields:
        group = next((names for names in getattr(cls, "alternatives", ()) if name in names), None)
        if name not in done:
            nodes.append(Either(host, path, cls, group) if group else node_of(host, path, cls, name))
        done.update(group or (name,))
    return nodes


def node_of(host, path: str, cls: type[BaseModel], name: str) -> Node:
    """The node of one field, chosen by its type."""
    field, where = cls.model_fields[name], f"{path}.{name}".lstrip(".")
    called, word, kinds = words.label(cls, name), words.of_field(cls, name), members(field.annotation)
    some = [k for k in kinds if k is not type(None)]
    base = some[0] if isinstance(some[0], type) else None
    if base and issubclass(base, Part):
        return PartField(host, where, called, word, base, type(None) in kinds)
    if base and issubclass(base, Spec):
        return Body(host, where, skip=host.placed(where))
    if typing.get_origin(some[0]) is tuple:
        item = members(typing.get_args(some[0])[0])[0]
        if isinstance(item, type) and issubclass(item, Part):
            return PartList(host, where, called, word, item)
    strength = where.startswith(host.SLIDERS) and some == [float]
    return Field(host, where, called, word, kind_of(field.annotation), scale_of(field.metadata) if strength else None)


def bury(widget: w.Widget) -> None:
    """Close a widget and what is in it, so that changed slots leave nothing behind in the page."""
    for child in getattr(widget, "children", ()):
        bury(child)
    widget.close()
