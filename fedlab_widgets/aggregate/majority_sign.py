from typing import ClassVar

import torch
from pydantic import Field

from ..part import part
from ..slots import Aggregate
from . import liars


@part
class MajoritySign(Aggregate):
    """Let every client vote, column by column, on whether a weight goes up or down.

    fold: rows [b, D], weights [b] -> running votes [D], the weighted sum of the signs of the rows; what is no number
    does not vote. finish -> step times the sign of the votes [D]; 0 where they are even. Fewer than half of the rows
    may lie. Nothing of a row but its signs is used, so one bit a column is enough on the wire; what is priced is what
    the codec sends. Raises BadInput for a step out of range, half or more liars, and rows that are not just an update.
    Source: Bernstein et al., signSGD with Majority Vote is Communication Efficient and Fault Tolerant, ICLR 2019,
    where clients send gradients; after more local steps than one it is the sign of what they learned.
    """

    tag = "by vote"
    folds: ClassVar = True
    smooth: ClassVar = False   # near an even vote, rounding decides

    step: float = Field(1e-3, gt=0, le=100, description="how far every weight moves in a round")

    def fold(self, total, rows, weights):
        votes = weights.to(rows) @ rows.sign().nan_to_num_(0)
        return votes if total is None else total + votes

    def finish(self, total, weights, expected):
        return self.step * torch.sign(total)

    def lacks(self, plan):
        yield from liars.half(self, plan)
        if len(plan.space.blocks) > 1:
            more = ", ".join(b.name for b in plan.space.blocks[1:])
            yield (f"aggregate: majority_sign keeps nothing of a row but signs, and local sends {more} beside the "
                   "update; remove the correction from local.correct, or choose another aggregate")
