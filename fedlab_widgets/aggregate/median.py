from ..part import part
from ..slots import Aggregate
from ..types import Kind
from . import rows


@part
class Median(Aggregate):
    """Take the middle value of every column: fewer than half of the clients can lie and not carry it away.

    finish: rows [C, D] -> [D]; with an even C the mean of the two middle values. Weights are not used. Holds all C D
    numbers. One or two rows are their own mean, and a warning says that a median protects nobody then.
    Raises nothing of its own. Source: Yin et al., Byzantine-Robust Distributed Learning, ICML 2018, Algorithm 1.
    """

    tag = "robust to liars"
    takes = frozenset({Kind.VALUES, Kind.RANKS})

    def finish(self, total, weights, expected):
        found = rows.gathered(total)
        n = len(found)
        return rows.by_column(found, lambda c: (c[:, (n - 1) // 2] + c[:, n // 2]) / 2)

    def warning(self, count):
        return f"a median of {count} rows protects against nobody: it is their mean" if count < 3 else None
