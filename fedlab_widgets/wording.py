"""What a wrong field is told: the range, the default and the way out, in words."""

from __future__ import annotations

import difflib
import types
import typing

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def field_at(cls: type[BaseModel], loc: tuple) -> tuple[type[BaseModel], str | None, tuple]:
    """The class and name of the field an error is about, and the path to it without pydantic's own tags."""
    name, path = None, ()
    for i, step in enumerate(loc):
        inner = cls.model_fields[name].annotation if name in cls.model_fields else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            cls, name = inner, None
        if name is not None or not isinstance(step, str):
            break
        name, path = step, loc[:i + 1]
    return cls, name, path


def allowed(field: FieldInfo) -> str:
    """The range of a field in words: "a number above 0 and at most 10"."""
    return " or ".join(dict.fromkeys(_kinds(field.annotation, _bounds(field.metadata))))


def _bounds(metadata) -> str:
    words = []
    for mark in metadata:
        for name, text in (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most")):
            if isinstance(mark, (at.Gt, at.Ge, at.Lt, at.Le)) and hasattr(mark, name):
                value = getattr(mark, name)
                words.append(f"{text} {value:,}" if isinstance(value, int) else f"{text} {value:g}")
    return " and ".join(words)


def _kinds(annotation, bounds: str = "") -> list[str]:
    """The types an annotation admits, in words, each with its bounds."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ["one of " + ", ".join(str(a) for a in args)]
    if origin is typing.Annotated:
        inner = [m for mark in args[1:] for m in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
        return _kinds(args[0], _bounds(inner) or bounds)
    if origin in (typing.Union, types.UnionType):
        return [kind for a in args for kind in _kinds(a, bounds)]
    if origin is tuple:
        kind, _, limits = _kinds(args[0])[0].removeprefix("a ").partition(" at least")
        return [f"a list of {kind}s" + (f", each at least{limits}" if limits else "")]
    if annotation is type(None):
        return ["nothing (null)"]
    return [" ".join(filter(None, (WORDS.get(annotation, "a part"), bounds)))]


def sentence(cls: type[BaseModel], name: str | None, line: dict, shelf: dict[str, type[BaseModel]]) -> str:
    """What is wrong with a field of `cls` and the way out, for one entry of pydantic's error list.

    shelf: the parts of the same slot by name, one of which may own a field that is not here.
    """
    field = cls.model_fields.get(name)
    if line["type"] == "extra_forbidden":
        return f"is no field of {cls.__name__}; {_hint(cls, str(name), shelf)}"
    if field is None:
        return line["msg"]
    if line["type"] == "missing":
        return f"is missing; give {allowed(field)}"
    if line["type"] in ("value_error", "assertion_error"):
        return line["msg"].removeprefix("Value error, ")
    default = field.get_default(call_default_factory=True)
    way_out = "" if default is None or field.is_required() else f"; the default is {default!r}"
    empty = " (not an empty one)" if line["type"] == "too_short" else ""
    return f"is not allowed: give {allowed(field)}{empty}{way_out}"


def _hint(cls: type[BaseModel], name: str, shelf: dict[str, type[BaseModel]]) -> str:
    """Where a field that is not there may have been meant."""
    near = difflib.get_close_matches(name, cls.model_fields, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    owners = [other for other, owner in shelf.items() if name in owner.model_fields]
    if owners:
        return f"it belongs to {cls.slot} = {' or '.join(owners)}: choose that part first"
    return f"its fields are {', '.join(cls.model_fields)}" if cls.model_fields else "it has no fields"


def size(count: float) -> str:
    """Bytes in words a person reads.

    >>> size(23_560_000)
    '23.6 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def span(seconds: float) -> str:
    """A time in words a person reads, two digits at most: it is never known better.

    >>> span(2.31), span(120), span(9000)
    ('2.3 s', '2 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
