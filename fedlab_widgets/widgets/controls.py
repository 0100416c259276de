"""A type -> the control that edits it, and the way between what is typed and what is meant."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import annotated_types as at
import anywidget
import ipywidgets as w
import traitlets
from pydantic import BaseModel

from . import words

# A native range input: its handle has a name and says the value, where that of ipywidgets' sliders does neither.
SLIDER = """
function render({ model, el }) {
  const input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max: 1 });
  const draw = () => {
    input.step = model.get("step");   // before the value, which it rounds
    input.value = model.get("position");
    input.disabled = model.get("disabled");
    input.setAttribute("aria-label", model.get("label"));
    input.setAttribute("aria-valuetext", model.get("said"));
  };
  input.addEventListener("keydown", (e) => e.stopPropagation());   // arrows would move the notebook's cells
  input.addEventListener("input", () => { model.set("position", Number(input.value)); model.save_changes(); });
  model.on("change", draw);
  draw();
  el.append(input);
}
export default { render };
"""


class Slider(anywidget.AnyWidget):
    """Where a number lies between its bounds, 0 to 1; the field beside it turns that into the number."""

    _esm = SLIDER
    position = traitlets.Float(0.0).tag(sync=True)
    step = traitlets.Float(0.005).tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    said = traitlets.Unicode("").tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)


class Scale(NamedTuple):
    """Positions 0 to 1 as numbers: evenly, or by ratios where the bounds span several powers of ten."""

    low: float
    high: float
    ratios: bool

    def number(self, position: float) -> float:
        if self.ratios:
            exact = self.low * (self.high / self.low) ** position
            return float(f"{exact:.2g}")
        return float(f"{self.low + (self.high - self.low) * position:.3g}")

    def position(self, number: float) -> float:
        number = min(max(number, self.low), self.high)
        if self.ratios:
            return math.log(number / self.low) / math.log(self.high / self.low)
        return (number - self.low) / (self.high - self.low)


def scale_of(metadata) -> Scale | None:
    """The scale between the bounds of a field; None where one is missing."""
    low = next((getattr(m, "ge", getattr(m, "gt", None)) for m in metadata if isinstance(m, (at.Ge, at.Gt))), None)
    high = next((getattr(m, "le", getattr(m, "lt", None)) for m in metadata if isinstance(m, (at.Le, at.Lt))), None)
    if low is None or high is None:
        return None
    ratios = high > 10 and low >= 0
    return Scale(max(float(low), 0.01) if ratios else float(low), float(high), ratios)


NOTHING = ""   # None in a dropdown: ipywidgets takes None itself for "nothing was chosen" and shows no entry


class Kind(NamedTuple):
    """How a type is edited: `make` a control, `read` what it holds into a value, `write` a value into it."""

    make: Callable[[], w.Widget]
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def members(annotation) -> list:
    """The types that an annotation admits, without Annotated and unions."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return members(args[0])
    if origin in (typing.Union, types.UnionType):
        return [kind for a in args for kind in members(a)]
    return [annotation]


def kind_of(annotation) -> Kind:
    """The control of a type that holds no part."""
    kinds = members(annotation)
    empty, some = type(None) in kinds, [k for k in kinds if k is not type(None)]
    if len(some) == 1 and (some[0] is bool or typing.get_origin(some[0]) is typing.Literal):
        if some[0] is bool and not empty:
            return Kind(lambda: w.Checkbox(indent=False), bool, bool)
        return _choice((True, False) if some[0] is bool else typing.get_args(some[0]), empty)
    if some in ([int], [float]) and not empty:
        return _number(some[0] is int)
    return Kind(lambda: w.Text(placeholder="none" if empty else "", continuous_update=False),
                lambda text: parsed(text, some, empty), lambda value: written(value, some))


def _choice(options, empty: bool) -> Kind:
    pairs = [("none", NOTHING)] * empty + [(words.spelled(o), o) for o in options]
    return Kind(lambda: w.Dropdown(options=pairs), meant, lambda v: NOTHING if v is None else v)


def meant(choice: Any) -> Any:
    """What a choice in a dropdown stands for."""
    return None if isinstance(choice, str) and choice == NOTHING else choice


def _number(whole: bool) -> Kind:
    """A number box without bounds of its own: the spec says what is wrong; a box would silently clamp it.

    Whole numbers too get a box for any number, or 1.5 would become 1 without a word.
    """
    return Kind(lambda: w.FloatText(step=1 if whole else None),
                lambda v: int(v) if whole and math.isfinite(v) and v == int(v) else v, float)


def parsed(text: str, kinds: list, empty: bool) -> Any:
    """A typed text as the value it stands for; what cannot be read stays a text, for the spec to refuse."""
    text = text.strip()
    if empty and text.lower() in ("", "none"):
        return None
    lists = [k for k in kinds if typing.get_origin(k) is tuple]
    if lists and ("," in text or len(lists) == len(kinds)):
        inner = members(typing.get_args(lists[0])[0])
        return [parsed(piece, inner, False) for piece in text.split(",") if piece.strip()]
    return text if str in kinds else _figure(text)


def _figure(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def written(value: Any, kinds: list) -> str:
    """A value as the text that `parsed` reads back."""
    if isinstance(value, (tuple, list)):
        alone = len(value) == 1 and not all(typing.get_origin(k) is tuple for k in kinds)
        return ", ".join(str(v) for v in value) + ("," if alone else "")
    return "" if value is None else str(value)


def start(cls: type[BaseModel], name: str) -> Any:
    """A value to begin with, where the default is none."""
    key, field = words.key_of(cls, name), cls.model_fields[name]
    if key in words.STARTS:
        return words.STARTS[key]
    kind = next(k for k in members(field.annotation) if k is not type(None))
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)[0]
    scale = scale_of(field.metadata)
    if kind in (int, float):
        return kind(max(scale.low, 1) if scale and scale.high >= 1 else scale.high if scale else 1)
    return {bool: False, str: ""}.get(kind, ())
