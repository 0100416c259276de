"""A part in words: by its phrase, or by its name and fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .part import Part

PHRASES: dict[type[Part], Callable[[Part], str]] = {}   # filled by `phrases` and `phrases_once`

# What stands before the name of a part of the user's own, so that the sentence around it holds.
LEAD = {"partition": "by ", "schedule": "clients took part by ", "sampler": "clients took part by ",
        "distribute": "they started by ", "encode": "rows were sent by ", "aggregate": "the server combined them by ",
        "server": "changed the model by ", "attack": "used ", "privatise": "for privacy the run had "}


def said(part: Part) -> str:
    """A part in words, to stand inside a sentence.

    >>> from fedlab_widgets import Dirichlet
    >>> said(Dirichlet(alpha=0.1))
    'with label shares drawn from a Dirichlet distribution with alpha = 0.1 (Hsu, Qi & Brown 2019)'
    """
    if type(part) in PHRASES:
        return PHRASES[type(part)](part)
    fields = ", ".join(f"{name} = {getattr(part, name)}" for name in type(part).model_fields)
    name = f"our own {part.slot} {type(part).__name__}" + (f" ({fields})" if fields else "")
    return LEAD.get(part.slot, "") + name


def listed(words: Iterable[str]) -> str:
    """
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
