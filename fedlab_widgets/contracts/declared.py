"""Contracts on what a part says of itself: fields, words, JSON and Python, values that are refused."""

from __future__ import annotations

import inspect
import re
import types
import typing
from typing import Any, Literal

import annotated_types as at
from pydantic import TypeAdapter, ValidationError

from ..aggregate import Mean
from ..part import BadInput, Part, catalogue
from ..spec import Experiment
from .rules import Broken, contract, need
from .toy import beside

UNITS = r"\b(nats|bits|bytes|rates?|shares?|seconds|rows|columns|0 to 1)\b"


@contract("defaults")
def defaults(case):
    """It is in the catalogue, can be made without fields, is equal to itself made again, and cannot be changed."""
    cls = type(case.part)
    known = catalogue().get(cls.slot, {}).get(getattr(cls, "name", None))
    need(known is cls, "it is not in the catalogue; decorate the class with @fl.part")
    made = cls()
    need(made == cls() and hash(made) == hash(cls()), "two of them with the same fields are not equal")
    for name in cls.model_fields:
        try:
            setattr(made, name, getattr(made, name))
        except Exception:
            continue
        raise Broken(f"its field {name} can be written; parts are frozen")


@contract("fields")
def fields(case):
    """Every field has a description."""
    silent = [name for name, field in type(case.part).model_fields.items() if not (field.description or "").strip()]
    need(not silent, f"no description for {', '.join(silent)}; write Field(default, description=...)")


@contract("wording")
def wording(case):
    """The docstring says what it does, with shapes or units, what it raises, and its source."""
    text = type(case.part).__dict__.get("__doc__") or ""
    first = inspect.cleandoc(text).split("\n")[0] if text else ""
    need(len(first) > 10 and first[-1] in ".:", f"its docstring begins with {first!r}, not with a sentence")
    lacks = [what for what, pattern in (("shapes, as in [C, D], or units", r"\[[^\]]+\]|" + UNITS),
                                        ("what it raises", r"\bRaises\b"), ("its source", r"\bSources?\b:?"))
             if not re.search(pattern, text)]
    need(not lacks, f"its docstring does not say {', '.join(lacks)}")


@contract("json")
def json(case):
    """It comes back equal from JSON and from Python source, inside an experiment, whatever its choices."""
    import fedlab_widgets as fl

    cls = type(case.part)
    names = dict(vars(fl))
    if cls.__module__.split(".")[0] != fl.__name__:
        names[cls.__name__] = cls
    cls.model_json_schema()
    for part in (case.part, *variants(case.part)):
        e = _within(case, part)
        back = Experiment.from_json(e.to_json())
        need(back == e, f"{part!r} comes back from JSON as {_found(case, back)!r}")
        source = e.to_python().replace("import fedlab_widgets as fl", "")
        space = {"fl": types.SimpleNamespace(**names), **names}
        exec(source, space)   # our own printer's output
        back = space["experiment"]
        need(back == e, f"{part!r} comes back from Python source as {_found(case, back)!r}")


@contract("ranges")
def ranges(case):
    """Values out of range, of another type or unknown are refused by a sentence that names field and value."""
    cls, path, whole = type(case.part), _path(case), _within(case, case.part)
    for name, value in [*bad_values(cls), ("no_such_field", 1)]:
        shown = repr(value)[:20] if isinstance(value, (int, float, str)) and value == value else ""
        said = _refusal(lambda n=name, v=value: cls(**{n: v}), f"{name} = {value!r}")
        need(name in said and shown in said, f"{name} = {value!r} is refused without naming both: {said!r}")
        if name in cls.model_fields:
            said = _refusal(lambda n=name, v=value: whole.changed(**{f"{path}.{n}": v}), f"{path}.{name} = {value!r}")
            need(f"{path}.{name}" in said, f"{path}.{name} = {value!r} is refused without its path: {said!r}")
    for names in cls.alternatives:
        _refusal(lambda names=names: cls(**dict.fromkeys(names)), f"none of {' and '.join(names)}")
        for name in (n for n in names if getattr(cls(), n) is not None):
            _refusal(lambda n=name: cls(**{n: None}), f"{name} = None, with no alternative given,")


def _refusal(make, what: str) -> str:
    try:
        made = make()
    except BadInput as error:
        return str(error)
    raise Broken(f"{what} is accepted" + (f", as {made!r:.80}" if isinstance(made, Part) else ""))


def _path(case) -> str:
    return case.path.removesuffix(".of")


def _within(case, part: Part) -> Experiment:
    place = {"task": part} if part.slot == "task" else {"net": part} if part.slot == "net" else case.place(part)
    return Experiment(**{"aggregate": Mean(weights="uniform")} | beside(part) | place)


def _found(case, e: Experiment) -> Any:
    here: Any = e
    for step in _path(case).split("."):
        here = here[int(step)] if step.isdigit() else getattr(here, step)
    return here


def variants(part: Part) -> list[Part]:
    """The same part with each other value of each choice (Literal or bool), one at a time."""
    cls, found = type(part), []
    for name, field in cls.model_fields.items():
        origin = typing.get_origin(field.annotation)
        choices = (typing.get_args(field.annotation) if origin is Literal else
                   (False, True) if field.annotation is bool else ())
        found += [part.model_copy(update={name: choice}) for choice in choices if choice != getattr(part, name)]
    return [cls(**{n: getattr(v, n) for n in cls.model_fields}) for v in found]


def bad_values(cls: type[Part]) -> list[tuple[str, Any]]:
    """(field, value) pairs that must be refused, from the types and bounds of the fields."""
    return [(name, value) for name, field in cls.model_fields.items()
            for value in _bad(field.annotation, list(field.metadata))]


def _bad(annotation: Any, marks: list) -> list:
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _bad(inside[0], [*marks, *inside[1:]])
    if origin in (typing.Union, types.UnionType):
        options = [a for a in inside if a is not type(None)]
        found = [v for a in options for v in _bad(a, marks if len(options) == 1 else []) if v is not None]
        return [v for v in found if not any(_accepts(a, v) for a in options)] if len(options) > 1 else found
    if origin is tuple:
        short = [()] if any(getattr(m, "min_length", 0) for m in _flat(marks)) else []
        long = [m.max_length for m in _flat(marks) if getattr(m, "max_length", None)]
        good = {int: 1, float: 0.5, str: "a"}.get(_plain(inside[0]))
        return [7, None, *short, *[(good,) * (n + 1) for n in long if good is not None],
                *[(v,) for v in _bad(inside[0], [])]]
    if origin is Literal:
        return ["no such choice", None]
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return ["no such part", 3, None]
    return [*WRONG_TYPE.get(annotation, []), *_outside(annotation, _flat(marks))]


def _accepts(annotation: Any, value: Any) -> bool:
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return value == value and value not in (float("inf"),)   # parts take no such numbers


WRONG_TYPE = {int: ["many", 1.5, None], float: ["many", float("nan"), float("inf"), None], bool: ["perhaps", 7, None],
              str: [7, None]}


def _plain(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def _flat(marks: list) -> list:
    """Bounds stand alone, or in a field of an Annotated element."""
    return [m for mark in marks for m in (getattr(mark, "metadata", None) or [mark])]


def _outside(annotation: Any, marks: list) -> list:
    step = 1 if annotation is int else 0.5
    beyond = {at.Ge: lambda m: m.ge - step, at.Gt: lambda m: m.gt, at.Le: lambda m: m.le + step, at.Lt: lambda m: m.lt}
    return [beyond[type(m)](m) for m in marks if type(m) in beyond]
