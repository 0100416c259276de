import math

from ..part import part
from ..slots import Evaluate
from .pid import MOST_GROUPS, chance, decompose

ATOMS = ("unique", "redundant", "masked")
BITS = ("global_disparity", "local_disparity", *ATOMS)


@part
class Decomposition(Evaluate):
    """Where the disparity between groups comes from: unique, redundant and masked parts, in bits.

    read, on the table [group, prediction, client] of held-out rows: `global_disparity`, `local_disparity`, `unique`,
    `redundant`, `masked` (plug-in), `disparity_gap` (what the solver leaves open), and `unique_corrected` …, less their
    small-sample bias. later: `unique_lo`, `unique_hi` …, the 95 % band of what chance alone explains (`pid.chance`;
    200 draws, fewer with three groups or more, the same seed in every round: the fairness panel draws the same band).
    NaN without groups or rows, or with more than ten groups. Raises nothing.
    Source: Hamman & Dutta, arXiv 2307.11333; see `evaluate/pid.py`.
    """

    def read(self, tables):
        table = self._table(tables)
        if table is None:
            return {name: math.nan for name in BITS}
        found = decompose(table)
        return ({name: getattr(found, name) for name in BITS} | {"disparity_gap": found.gap}
                | {f"{name}_corrected": getattr(found.corrected, name) for name in ATOMS})

    def later(self, tables, round):
        table = self._table(tables)
        if table is None:
            return {}
        reached = chance(table)
        return {f"{name}_{end}": reached[name][i] for name in ATOMS for i, end in enumerate(("lo", "hi"))}

    def _table(self, tables):
        table = tables.counts.sum(2).permute(1, 2, 0).numpy()      # [group, prediction, client]
        return table if 1 < len(tables.groups) <= MOST_GROUPS and table.sum() else None
