"""A spec as nested dictionaries and lists, so that dotted paths can be written into it before it is validated again."""

from __future__ import annotations

from typing import Any

from .part import BadInput, Part, Spec, catalogue


def draft(value: Any) -> Any:
    """Specs as dictionaries and tuples as lists, all the way down."""
    if isinstance(value, Spec):
        return {name: draft(inner) for name, inner in value.draft().items()}
    return [draft(inner) for inner in value] if isinstance(value, tuple) else value


def put(here: Any, path: str, value: Any, named: dict) -> None:
    """Write a value at a dotted path; `named` are all the paths of the call. Raises BadInput for a path to nowhere.

    Naming one of two alternative fields clears the other, unless that is named too.
    """
    *steps, last = path.split(".")
    for i, step in enumerate(steps):
        follows = (*steps, last)[i + 1]
        inner = _opened(_get(here, step), follows)
        if not isinstance(inner, (dict, list)):
            where = ".".join(steps[:i + 1])
            raise BadInput(f"{path} cannot be set: {where} is {inner!r}, which has no fields"
                           + (f"; choose a part first, {where}=NAME (see fedlab list)" if inner is None else ""))
        _set(here, step, inner)
        here = inner
    prefix = path[:len(path) - len(last)]
    for cls in _classes(here):
        for names in cls.alternatives:
            for other in names if last in names and value is not None else ():
                if other != last and prefix + other not in named:
                    here[other] = None
    _set(here, last, value)


def _opened(value: Any, step: str) -> Any:
    """A value set by a shorter path of the same call (a part, its class or its name), opened for the next step."""
    if isinstance(value, type) and issubclass(value, Part):
        value = value.name
    if isinstance(value, str):
        value = {"part": value}
    value = draft(value)
    return [value] if step.isdigit() and isinstance(value, dict) else value


def _classes(here: Any) -> list[type[Part]]:
    """The parts that a dictionary may stand for: a name may be taken in several slots."""
    if not isinstance(here, dict) or "part" not in here:
        return []
    name = str(here["part"]).lower().replace("-", "_")
    return [shelf[name] for shelf in catalogue().values() if name in shelf]


def _get(here: Any, step: str) -> Any:
    if isinstance(here, list):
        return here[_place(here, step)]
    if step in here:
        return here[step]
    for cls in _classes(here):   # a part given by name only: its fields are the defaults
        if step in cls.model_fields:
            return cls.model_fields[step].get_default(call_default_factory=True)
    known = [k for cls in _classes(here) for k in cls.model_fields] or [k for k in here if k != "part"]
    raise BadInput(f"{step} is no field here; " + (f"the fields are {', '.join(known)}" if known else "there are none"))


def _set(here: Any, step: str, value: Any) -> None:
    here[_place(here, step) if isinstance(here, list) else step] = value


def _place(here: list, step: str) -> int:
    if not step.isdigit() or int(step) >= len(here):
        raise BadInput(f"{step!r} is no place in a list of {len(here)}; count from 0")
    return int(step)
