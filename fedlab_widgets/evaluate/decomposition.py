import math

from pydantic import Field

from ..events import Evaluated
from ..part import part
from ..slots import Evaluate
from . import private_tables
from .pid import MOST_GROUPS, chance, decompose
from .private_tables import LEAST, MOST, Private, TableLedger, reading_of

ATOMS = ("unique", "redundant", "masked")
MOST_LABELS = 20   # of a text's next character nobody asks whether it is fair, and bands would take minutes
BITS = ("global_disparity", "local_disparity", *ATOMS)


@part
class Decomposition(Evaluate):
    """Where the disparity between groups comes from: unique, redundant and masked parts, in bits.

    read, on the table [group, prediction, client] of held-out rows: `global_disparity`, `local_disparity`, `unique`,
    `redundant`, `masked` (plug-in), `disparity_gap` (what the solver leaves open), and `unique_corrected` …, less their
    small-sample bias. later: `unique_lo`, `unique_hi` …, the 95 % band of what chance alone explains (`pid.chance`;
    200 draws, fewer with three groups or more, the same seed in every round: the fairness panel draws the same band).
    NaN without groups or rows, with more than ten groups or twenty labels. Raises nothing.
    Source: Hamman & Dutta, arXiv 2307.11333; see `evaluate/pid.py`.

    With epsilon, all of these are read from tables with Laplace noise instead, released anew at each reading
    (`private_tables.release`; the noise follows from the run's seed and the round, so a round that is computed again
    releases nothing new); bands are those of `private_tables.chance`; `…_corrected` is NaN, for nobody knows how much
    noise adds; NaN too where noise leaves nobody. `tables_epsilon` is what all releases so far have cost, an upper
    bound: a sum where delta is 0, less than that by the privacy loss distribution where it is above.
    The account is of these figures alone. A run is a simulation that sees everything: its record still holds the true
    counts, and accuracies, gaps, rates by client, the ROC hull and the limits are read from those and not protected;
    the fairness panel and the methods text say so beside the figures.
    """

    epsilon: float | None = Field(None, ge=LEAST, le=MOST,
                                  description="privacy of the tables at each reading; none, and no noise, when empty")
    delta: float = Field(0.0, ge=0, lt=1, description="chance that the epsilon of all tables fails; 0 adds epsilons up")

    def read(self, tables):
        table, spent = self._table(tables), {}
        if self.epsilon is not None:
            spent = {"tables_epsilon": TableLedger(self.epsilon, self.delta).so_far(tables.reading)}
        if table is None:
            return {name: math.nan for name in BITS} | spent
        found = decompose(table if self.epsilon is None else table.probabilities)
        return ({name: getattr(found, name) for name in BITS} | {"disparity_gap": found.gap}
                | {f"{name}_corrected": getattr(found.corrected, name, math.nan) for name in ATOMS} | spent)

    def later(self, tables, round):
        table = self._table(tables)
        if table is None:
            return {}
        reached = chance(table) if self.epsilon is None else private_tables.chance(table)
        return {f"{name}_{end}": reached[name][i] for name in ATOMS for i, end in enumerate(("lo", "hi"))}

    def _table(self, tables):
        """Counts [group, prediction, client] or, with epsilon, what is `Released` of them; None where there is none."""
        table = tables.counts.sum(2).permute(1, 2, 0).numpy()
        if not (1 < len(tables.groups) <= MOST_GROUPS and table.shape[1] <= MOST_LABELS and table.sum()):
            return None
        if self.epsilon is None:
            return table
        try:
            return private_tables.release(table, self.epsilon, tables.seed, tables.round)
        except ValueError:   # the noise left nobody
            return None


def private_of(run) -> Private | None:
    """How a run released the tables of its last reading; None where it read its counts without noise."""
    e, last = run.experiment, next((v for v in reversed(run.events) if isinstance(v, Evaluated) and v.counts), None)
    part = next((part for part in reversed(e.evaluate.readings) if isinstance(part, Decomposition)), None)
    if part is None or part.epsilon is None or last is None:
        return None
    return Private(part.epsilon, part.delta, e.seed, last.round, reading_of(last.round, e.evaluate.every))
