"""What correlated noise looks like in a round: the nodes that are in its release, and how much noise that leaves."""

from __future__ import annotations

import math

from ..types import View
from .prefix import variances

SHOWN = 64   # nodes of a level; smaller levels show only what is in the release


def views(mechanism: str, ledger, t: int) -> dict[str, View]:
    """Of round t of a run with this RunLedger: the deviation of the noise in the sum of all rounds so far, in clips,
    and that of fresh noise at the same epsilon; for trees also their nodes (level, first, last, in the release)."""
    z, s = ledger.noise_multiplier, ledger.sensitivity
    found = {"noise": View(
        "lines", "Noise in the sum of the rounds so far",
        "deviation in each entry, in clips: correlated noise takes back what it added, fresh noise adds up",
        labels=("correlated", "fresh, at the same epsilon"),
        values=(z * s * math.sqrt(variances(mechanism, ledger.rounds)[t - 1]), z * math.sqrt(ledger.times * t)))}
    if mechanism != "sqrt":
        found["tree"] = View(
            "tree", f"Nodes in the release of round {t}",
            "a node is noise on the sum of its rounds; the release holds one node for each binary digit of its number"
            + (", each estimated from those below it, too" if mechanism == "honaker" else ""),
            values=tuple(tree(ledger.rounds, t)))
    return found


def tree(rounds: int, t: int):
    """(level, first, last, 1 where it is in the release of round t) of the complete nodes of a tree over `rounds`.

    >>> [node for node in tree(4, 3) if node[3]]
    [(0, 3, 3, 1), (1, 1, 2, 1)]
    """
    for level in range(rounds.bit_length()):
        count, on = rounds >> level, (t >> level) * (t >> level & 1)
        for end in range(1, count + 1) if count <= SHOWN else filter(None, [on]):
            yield level, ((end - 1) << level) + 1, end << level, int(end == on)
