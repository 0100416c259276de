"""The book of recipes: named experiments, each with the paper it comes from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ..part import BadInput
from ..spec import Experiment
from .shelves import TAGS


@dataclass(frozen=True)
class Recipe:
    """A named, partly filled experiment; `says` is one line on what it is for."""

    experiment: Experiment
    says: str
    paper: str

    @property
    def name(self) -> str:
        return self.experiment.name

    @property
    def tag(self) -> str:
        """Its group in the menu of methods; "" for one that stands on no shelf."""
        return TAGS.get(self.name, "")


BOOK: dict[str, Recipe] = {}


def enter(name: str, says: str, paper: str, **fields) -> Recipe:
    """Put a recipe into the book; entering the same name again replaces it."""
    BOOK[name] = Recipe(Experiment(name=name, **fields), says, paper)
    return BOOK[name]


def recipe(name: str) -> Experiment:
    """The experiment of a recipe. Raises BadInput for a name that is not in the book.

    >>> recipe("fedprox").local.correct
    (Proximal(mu=0.01),)
    """
    found = BOOK.get(str(name).lower().replace("_", "-"))
    if found is None:
        near = difflib.get_close_matches(str(name), BOOK, 3)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise BadInput(f"recipe = {name!r} is none of the {len(BOOK)} recipes; {hint}fedlab list names them all, from "
                       f"{next(iter(BOOK))} to {next(reversed(BOOK))}")
    return found.experiment
