"""Small tables of predictions whose parts are known exactly: what unique, redundant and masked mean, with no training.

Each is a joint of group Z, prediction Yhat and client S that can be held in the head. `canonical` gives one of them as
probabilities for `decompose`, as counts for `WhatIf.of`, and as a frame with one row a person for `fl.audit`.

Source: Hamman and Dutta (arXiv:2307.11333) have three pure cases, unique, redundant and masked, as its abstract says;
the joints here are ours, the simplest that we know, and the values follow from them by hand (tests/parts).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import log2
from typing import TYPE_CHECKING

import numpy as np

from ..part import BadInput

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and tables do without

__all__ = ["Canonical", "Exact", "canonical", "h"]

PEOPLE = 4000   # in counts and frames: every joint below is then a table of even whole numbers


def h(p: float) -> float:
    """The entropy of a coin that falls one way with chance p, in bits.

    >>> h(0.5), h(0.0)
    (1.0, 0.0)
    """
    return sum(x * log2(1 / x) for x in (p, 1 - p) if x)


class Exact(float):
    """A number and the expression that it is: `float` in every way, and `.expression` says where it comes from."""

    def __new__(cls, expression: str, value: float):
        self = super().__new__(cls, value)
        self.expression = expression
        return self


ZERO, ONE = Exact("0", 0.0), Exact("1", 1.0)


@dataclass(frozen=True, eq=False)
class Canonical:
    """A table whose parts are known: `unique`, `redundant` and `masked` in bits, each with its expression.

    `table` [groups, predictions, clients] holds probabilities, for `fl.decompose`. `counts` [clients, groups, labels,
    predictions] deals 4000 people by them, and the object itself will do for `fl.WhatIf.of`. The joint says nothing of
    labels: in counts and frame they are a fair coin in every cell, so that no disparity is in the data.
    """

    name: str
    says: str
    table: np.ndarray
    unique: Exact = ZERO
    redundant: Exact = ZERO
    masked: Exact = ZERO

    labels, favourable = ("no", "yes"), 1   # of the predictions 0 and 1, for everybody who reads counts

    @property
    def global_disparity(self) -> float:
        """G = unique + redundant, in bits."""
        return self.unique + self.redundant

    @property
    def local_disparity(self) -> float:
        """L = unique + masked, in bits."""
        return self.unique + self.masked

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple("ABCD"[:len(self.table)])

    @property
    def clients(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.table.shape[2])))

    @cached_property
    def counts(self) -> np.ndarray:
        """People [clients, groups, labels, predictions], whole numbers."""
        halves = np.rint(self.table * PEOPLE / 2).astype(np.int64)   # exact: what rint mends is the last bit of a float
        return np.repeat(halves.transpose(2, 0, 1)[:, :, None], 2, axis=2)

    def frame(self) -> pd.DataFrame:
        """One row a person, with the columns outcome, prediction, group and client: as `fl.audit` takes them.

        >>> import fedlab_widgets as fl
        >>> rows = canonical("pure masked").frame()
        >>> told = fl.audit(rows, outcome="outcome", prediction="prediction", group="group", client="client")
        >>> told, told.disparity.masked
        (<Audit of 4,000 predictions, 2 clients, groups A, B>, 1.0)
        """
        import pandas as pd

        client, group, label, prediction = np.repeat(np.indices(self.counts.shape).reshape(4, -1),
                                                     self.counts.reshape(-1), axis=1)
        names = np.array(self.labels)
        return pd.DataFrame({"outcome": names[label], "prediction": names[prediction],
                             "group": np.array(self.groups)[group], "client": np.array(self.clients)[client]})


def _joint(weight: Callable, shape: tuple[int, int, int] = (2, 2, 2)) -> np.ndarray:
    """Probabilities [Z, Yhat, S] from a function of (z, y, s) that sums to 1; nobody writes into them."""
    table = np.array([[[weight(z, y, s) for s in range(shape[2])] for y in range(shape[1])] for z in range(shape[0])])
    table = table.astype(float)
    table.flags.writeable = False
    return table


ONE_GROUP = (((3, 0, 2, 0), (2, 0, 2, 0)), ((0, 1, 2, 0), (0, 4, 2, 2)))   # twentieths of the people
AND = Exact("1.5 - 0.75 * log2(3)", 1.5 - 0.75 * log2(3))
FLIPPED = {True: 0.6, False: 0.2}   # the rate of the answer, by whether group and client differ

EXAMPLES = {example.name: example for example in (
    Canonical("pure unique", "both clients are alike, and the prediction is the group",
              _joint(lambda z, y, s: (y == z) / 4), unique=ONE),
    Canonical("pure redundant", "each client holds one group, and the prediction is the client",
              _joint(lambda z, y, s: (z == y == s) / 2), redundant=ONE),
    Canonical("redundant 90%", "nine in ten people of a client are of one group, and the prediction is the client",
              _joint(lambda z, y, s: (y == s) * (0.45 if z == s else 0.05)),
              redundant=Exact("1 - h(0.1)", 1 - h(0.1))),
    Canonical("pure masked", "the prediction is the group at one client, and the other group at the other",
              _joint(lambda z, y, s: (y == z ^ s) / 4), masked=ONE),
    Canonical("sign flip", "groups A and B have rates of 20 % and 60 % at one client, of 60 % and 20 % at the other",
              _joint(lambda z, y, s: (FLIPPED[z != s] if y else 1 - FLIPPED[z != s]) / 4),
              masked=Exact("h(0.4) - (h(0.2) + h(0.6)) / 2", h(0.4) - (h(0.2) + h(0.6)) / 2)),
    Canonical("and", "only group B at one of two like clients is told yes",
              _joint(lambda z, y, s: (y == (z & s)) / 4),
              unique=AND, masked=Exact("0.75 * log2(3) - 1", 0.75 * log2(3) - 1)),
    Canonical("target and", "the group is B exactly where one client says yes",
              _joint(lambda z, y, s: (z == (y & s)) / 4), redundant=AND, masked=Exact("1 / 2", 1 / 2)),
    Canonical("copy", "four groups: prediction and client tell one half of the group each",
              _joint(lambda z, y, s: (z == 2 * y + s) / 4, (4, 2, 2)), unique=ONE),
    Canonical("noisy unique", "four clients are alike, and the prediction is the group four times in five",
              _joint(lambda z, y, s: (0.8 if y == z else 0.2) / 8, (2, 2, 4)),
              unique=Exact("1 - h(0.2)", 1 - h(0.2))),
    Canonical("constant", "everybody is told no, at clients that hold different groups",
              _joint(lambda z, y, s: (y == 0) * (0.4 if z == s else 0.1))),
    Canonical("single-group clients", "three of four clients hold one group, and the fourth is fair",
              _joint(lambda z, y, s: ONE_GROUP[z][y][s] / 20, (2, 2, 4)),
              redundant=Exact("h(0.4) - 0.45 * h(5 / 9) - 0.55 * h(3 / 11)",
                              h(0.4) - 0.45 * h(5 / 9) - 0.55 * h(3 / 11))),
)}


def canonical(name: str) -> Canonical:
    """A table of predictions whose parts are known exactly; `EXAMPLES` holds all of them by name.

    >>> flip = canonical("sign flip")
    >>> round(flip.masked, 6), flip.masked.expression, flip.global_disparity
    (0.124511, 'h(0.4) - (h(0.2) + h(0.6)) / 2', 0.0)
    >>> from fedlab_widgets import decompose
    >>> abs(decompose(flip.table).masked - flip.masked) < 1e-12
    True

    Raises BadInput for a name that is none of them.
    """
    found = EXAMPLES.get(str(name).lower().replace("_", " "))
    if found is None:
        near = difflib.get_close_matches(str(name).lower(), EXAMPLES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise BadInput(f"canonical = {name!r} is none of {', '.join(EXAMPLES)}{hint}")
    return found
