"""What a wrong field is told: the range, the default and the way out, in words."""

from __future__ import annotations

import difflib
import types
import typing

import annotated_types as at

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def allowed(field) -> str:
    """The range of a pydantic field in words: "a number above 0 and at most 10"."""
    kinds = _kinds(field.annotation)
    bounds = []
    for mark in [m for group in field.metadata for m in (group if isinstance(group, list) else [group])]:
        if isinstance(mark, at.Gt):
            bounds.append(f"above {mark.gt:g}")
        elif isinstance(mark, at.Ge):
            bounds.append(f"at least {mark.ge:g}")
        elif isinstance(mark, at.Lt):
            bounds.append(f"below {mark.lt:g}")
        elif isinstance(mark, at.Le):
            bounds.append(f"at most {mark.le:,}" if isinstance(mark.le, int) else f"at most {mark.le:g}")
    return " ".join(filter(None, [" or ".join(kinds), " and ".join(bounds)]))


def _kinds(annotation) -> list[str]:
    """The types an annotation admits, in words, without repeating itself."""
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return ["one of " + ", ".join(str(a) for a in typing.get_args(annotation))]
    if origin is typing.Annotated:
        return _kinds(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return list(dict.fromkeys(k for a in typing.get_args(annotation) for k in _kinds(a)))
    if origin is tuple:
        return ["a list of " + _kinds(typing.get_args(annotation)[0])[0].removeprefix("a ") + "s"]
    if annotation is type(None):
        return ["nothing (null)"]
    return [WORDS.get(annotation, "a part")]


def sentence(cls, line: dict) -> str:
    """What is wrong with one field of `cls` and the way out, for one entry of pydantic's error list."""
    name = next((step for step in line["loc"] if isinstance(step, str)), None)
    field = cls.model_fields.get(name)
    if line["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(name), cls.model_fields, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"its fields are {', '.join(cls.model_fields) or 'none'}"
        return f"is no field of {cls.__name__}; {hint}"
    if field is None:
        return line["msg"]
    if line["type"] == "missing":
        return f"is missing; give {allowed(field)}"
    reason = line["msg"].removeprefix("Value error, ")
    if line["type"] in ("value_error", "assertion_error"):
        return reason
    default = field.get_default(call_default_factory=True)
    way_out = "" if default is None or field.is_required() else f"; the default is {default!r}"
    return f"is not allowed: give {allowed(field)}{way_out}"
