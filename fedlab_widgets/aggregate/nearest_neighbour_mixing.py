from typing import ClassVar

import torch
from pydantic import Field

from ..part import part, slot
from ..slots import Aggregate
from . import liars, rows
from .before import Before, knows_clients
from .median import Median


@part
class NearestNeighbourMixing(Before):
    """Replace every row by the mean of those nearest to it, then combine: lies among honest rows are watered down.

    combine: each of rows [C, D] becomes the mean of its C - f nearest rows, itself among them, and goes on to the rule
    `then` with its own weight. Up to f liars a round are tolerated, and 2 f + 1 rows are needed; of fewer, f is lowered
    to what they allow. Holds all C D numbers three times, and C^2 distances in float64.
    Raises BadInput for f out of range, too few rows, too many liars, and for a rule that must know whose a row is.
    Source: Allouah et al., Fixing by Mixing, AISTATS 2023.
    """

    room: ClassVar = (2, 1)
    smooth: ClassVar = False   # of two rows equally far away, rounding says which is mixed in

    then: slot(Aggregate) = Field(Median(), description="the rule that combines the mixed rows")
    f: int = Field(2, ge=0, le=100_000, description="liars tolerated in a round")

    def mix(self, world, x, weights, cohort):
        near = len(x) - liars.fits(self, len(x))
        who = rows.squared_distances(x).topk(near, dim=1, largest=False).indices
        return torch.zeros(len(x), len(x)).to(x).scatter_(1, who, 1 / near) @ x, weights

    def warning(self, count):
        return liars.small(self, count) or self.then.warning(count)

    def misfits(self, e):
        if name := knows_clients(self.then):
            yield (f"aggregate: nearest_neighbour_mixing hands mixed rows to {name}, which must know whose a row is; "
                   "choose another rule in then")

    def lacks(self, plan):
        return liars.lacking(self, plan)
