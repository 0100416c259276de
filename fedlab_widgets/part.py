"""Parts: small frozen values that are at once a dropdown entry, a form, a JSON object and a function.

A slot is a base class (`Aggregate`, `Encode`, …); a part is a class under it, entered in the catalogue by `@part`.
"""

from __future__ import annotations

import difflib
import errno
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from weakref import WeakSet

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SerializeAsAny,
    ValidationError,
    WrapValidator,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from .wording import field_at, sentence

if TYPE_CHECKING:
    from .types import View


class BadInput(ValueError):
    """A field holds what it may not: one sentence a field, with its value, the allowed range and the way out."""


class DiskProblem(OSError):
    """Something cannot be written: a sentence with the place, the cause and the way out."""

    @classmethod
    def of(cls, error: OSError, place: Any, way_out: str) -> DiskProblem:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        cause = "the disk is full" if full else (error.strerror or str(error))
        return cls(f"{place} cannot be written: {cause}; {way_out}. What was recorded before stays, and fedlab resume "
                   "goes on from there")


class Spec(BaseModel):
    """A frozen value whose fields are checked: the base of every part and of `Experiment`.

    Raises `BadInput` when constructed with a wrong field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    # Fields of which exactly one is given ("epochs or steps"): naming one clears the others.
    alternatives: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __init__(self, /, **fields):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise bad_input(worded(type(self), error)) from None

    # Tells pydantic that nested validation need not come through here: inside an experiment errors keep their path.
    __init__.__pydantic_base_init__ = True

    @model_validator(mode="before")
    @classmethod
    def _one_of_each(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        fields = dict(fields)
        for names in cls.alternatives:
            given = [n for n in names if fields.get(n) is not None]
            if len(given) > 1:
                raise PydanticCustomError(
                    "worded", "takes one of {names}, and {given} are given: set all but one to null",
                    {"names": " or ".join(names), "given": " and ".join(f"{n}={fields[n]}" for n in given)})
            if given:
                fields.update({n: None for n in names if n not in given})
            elif all(fields.get(n, cls.model_fields[n].default) is None for n in names):
                raise PydanticCustomError("worded", "needs one of {names}: give it a value",
                                          {"names": " or ".join(names)})
        return fields

    def draft(self) -> dict:
        """The fields as a plain dictionary that validates back to an equal value; nested parts stay parts."""
        return {name: getattr(self, name) for name in type(self).model_fields}


class Part(Spec):
    """One idea. Subclass a slot (`fl.Aggregate`, …), give it fields and its method, decorate it with `@fl.part`."""

    slot: ClassVar[str]
    name: ClassVar[str]
    tag: ClassVar[str] = ""   # its group in the menu, where a slot has many parts

    def draft(self) -> dict:
        return {"part": self.name, **super().draft()}

    @model_serializer(mode="wrap")
    def _with_name(self, inner):
        return {"part": self.name, **inner(self)}

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring: what the part does, in plain words."""
        return (inspect.getdoc(cls) or "").split("\n")[0]

    def misfits(self, e) -> Iterable[str]:
        """What else in the Experiment `e` this part cannot work with: sentences, each with the way out."""
        return ()

    def lacks(self, plan) -> Iterable[str]:
        """The same of what is known once there are data: clients, liars, groups (`plan` is a `Plan`)."""
        return ()

    def shows(self, plan, state, cohort) -> dict[str, View]:
        """Live readings after a round, by name: what is worth seeing of what the part remembers."""
        return {}

    def figures(self, plan, state) -> dict[str, float]:
        """Figures of its own for the history, by name, when a round is read."""
        return {}

    def remarks(self, plan) -> Iterable[str]:
        """What a reader should know before the run, in sentences."""
        return ()


def parts_in(spec: Spec) -> Iterator[Part]:
    """Every part that stands somewhere in a spec, from the top down."""
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Part):
                yield inner
            if isinstance(inner, Spec):
                yield from parts_in(inner)


_CATALOGUE: dict[str, dict[str, type[Part]]] = {}
WATCHERS: WeakSet = WeakSet()   # open forms, whose menus show a new part at once


def part(cls: type[Part]) -> type[Part]:
    """Enter a part in the catalogue of its slot, under its class name in snake case (`TopK` is "top_k").

    Running the same cell again replaces the part. Raises `BadInput` when another module holds the name.
    """
    cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
    shelf = _CATALOGUE.setdefault(cls.slot, {})
    holder = shelf.get(cls.name)
    if holder is not None and holder.__module__ != cls.__module__:
        raise BadInput(f"{cls.slot} has a part {cls.name!r} already, from {holder.__module__}; "
                       f"give the class {cls.__name__} another name")
    shelf[cls.name] = cls
    for form in tuple(WATCHERS):
        try:
            form.refresh()
        except Exception as error:   # a form in trouble must not take the part away from its author
            warnings.warn(f"an open form could not show {cls.name}: {type(error).__name__}: {error}", stacklevel=2)
    return cls


def catalogue(slot: str | None = None) -> dict:
    """The parts by slot and name: `catalogue()["aggregate"]["median"]`, or one slot's with `catalogue("aggregate")`.

    >>> catalogue("aggregate")["median"].__name__
    'Median'
    """
    if slot is None:
        return {name: dict(sorted(shelf.items())) for name, shelf in sorted(_CATALOGUE.items())}
    if slot not in _CATALOGUE:
        raise BadInput(f"slot = {slot!r} is none of the slots: {', '.join(sorted(_CATALOGUE))}")
    return dict(sorted(_CATALOGUE[slot].items()))


def lookup(slot: str, name: Any) -> type[Part]:
    """The class that a slot knows under a name; hyphens and capitals do not matter."""
    shelf = _CATALOGUE.get(slot, {})
    found = shelf.get(str(name).lower().replace("-", "_"))
    if found is None:
        near = difflib.get_close_matches(str(name), shelf, 1)
        hint = f"did you mean {near[0]!r}?" if near else "a part of your own must be defined before it is named"
        raise PydanticCustomError("worded", "is none of {names}; {hint}",
                                  {"names": ", ".join(sorted(shelf)), "hint": hint})
    return found


def slot(base: type[Part]):
    """The type of a field that holds a part of this slot: a part, its name, or `{"part": name, field: value, …}`."""

    def find(value: Any, _validate, _info):
        if isinstance(value, base):
            return value
        if isinstance(value, type) and issubclass(value, base):
            value = value.name
        if isinstance(value, str):
            value = {"part": value}
        if not isinstance(value, dict) or "part" not in value:
            raise PydanticCustomError(
                "worded", "is no part of the slot {slot}; give a part, its name, or an object with \"part\": "
                "one of {names}", {"slot": base.slot, "names": ", ".join(sorted(_CATALOGUE.get(base.slot, {})))})
        cls = lookup(base.slot, value["part"])
        try:
            return cls.model_validate({k: v for k, v in value.items() if k != "part"})
        except ValidationError as error:
            raise worded(cls, error) from None

    return Annotated[SerializeAsAny[base], WrapValidator(find)]


def slots(base: type[Part]):
    """The type of a field that holds several parts of a slot: a list of them, or just one."""
    return Annotated[tuple[slot(base), ...],
                     BeforeValidator(lambda v: (v,) if isinstance(v, (str, dict, Part)) else v)]


def worded(cls: type[Spec], error: ValidationError) -> ValidationError:
    """The same error with each message in words, while the class and so the range and default are at hand."""
    lines = {}
    for line in error.errors(include_url=False):
        loc, text = line["loc"], line["msg"]
        if line["type"] != "worded":
            owner, name, loc = field_at(cls, loc)
            text = sentence(owner, name, line, _CATALOGUE.get(getattr(owner, "slot", ""), {}))
        details = InitErrorDetails(type=PydanticCustomError("worded", "{text}", {"text": text}), loc=loc,
                                   input=line["input"])
        lines.setdefault(loc, details)   # one sentence a field
    return ValidationError.from_exception_data(cls.__name__, list(lines.values()))


def bad_input(error: ValidationError) -> BadInput:
    """One sentence a wrong field: its path, its value, what is allowed, the way out."""
    lines = []
    for line in error.errors(include_url=False):
        path = ".".join(str(step) for step in line["loc"])
        lines.append(f"{path}{_shown(line['input'])} {line['msg']}".strip())
    return BadInput("; ".join(lines) + ".")


def _shown(value: Any) -> str:
    """A wrong value beside its field; of a whole object only its name, or it would bury the sentence."""
    if isinstance(value, dict):
        return f" = {value['part']!r:.60}" if "part" in value else ""
    return "" if isinstance(value, BaseModel) else f" = {value!r:.60}"

