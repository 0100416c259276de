import math

import torch

from ..part import part
from ..slots import Evaluate


@part
class Gaps(Evaluate):
    """Differences between groups, as rates: who is given the favourable answer, and who is given it rightly.

    read, on the held-out rows of all clients of the panel: `parity_gap` = max - min over groups of P(predicted
    favourable); `opportunity_gap` the same among those with the favourable label; `odds_gap` the larger of that and the
    same among those without it. 0 to 1; NaN without groups, without a favourable label, or when a group has no rows.
    Raises nothing. Sources: statistical parity, textbook; Hardt, Price, Srebro, NeurIPS 2016.
    """

    def read(self, tables):
        good, table = tables.favourable, tables.counts.sum(0).double()      # [groups, labels, predictions]
        if good is None or len(tables.groups) < 2:
            return {name: math.nan for name in ("parity_gap", "opportunity_gap", "odds_gap")}
        others = [i for i in range(table.shape[1]) if i != good]
        true_rate, false_rate = _spread(table[:, [good]], good), _spread(table[:, others], good)
        return {"parity_gap": _spread(table, good), "opportunity_gap": true_rate,
                "odds_gap": math.nan if math.isnan(true_rate + false_rate) else max(true_rate, false_rate)}


def _spread(table: torch.Tensor, good: int) -> float:
    """max - min over groups of the share predicted favourable; table [groups, labels, predictions]."""
    rows = table.sum((1, 2))
    if not bool((rows > 0).all()):
        return math.nan
    rate = table[:, :, good].sum(1) / rows
    return float(rate.max() - rate.min())
