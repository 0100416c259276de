from typing import ClassVar

from pydantic import Field

from ..part import part
from ..slots import Aggregate
from . import liars, rows


@part
class Krum(Aggregate):
    """Keep the row, or the few rows, that lie nearest to their neighbours.

    finish: rows [C, D] -> [D]. The score of a row is the sum of its squared distances to its C - f - 2 nearest others;
    the result is the row of lowest score (Krum), or the mean of the `select` lowest, C - f at most (Multi-Krum). Up to
    f liars a round are tolerated, and 2 f + 3 rows are needed; of fewer, f is lowered to what they allow, and one or
    two rows are averaged. Weights are not used. Holds all C D numbers twice, and C^2 distances in float64.
    Raises BadInput for fields out of range, too few rows, too many liars.
    Source: Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, NeurIPS 2017.
    """

    tag = "robust to liars"
    room: ClassVar = (2, 3)
    smooth: ClassVar = False   # of two rows with one score, rounding says which stays

    f: int = Field(2, ge=0, le=100_000, description="liars tolerated in a round")
    select: int = Field(1, ge=1, le=100_000, description="rows that are kept and averaged: 1 is Krum, more Multi-Krum")

    def finish(self, total, weights, expected):
        x, f = rows.gathered(total), liars.fits(self, sum(map(len, total)))
        if len(x) < 3:
            return x.mean(0)
        apart = rows.squared_distances(x).sort(dim=1).values
        score = apart[:, 1:len(x) - f - 1].sum(1)   # the first is its own, zero
        return x[rows.lowest(score, apart.sum(1))[:min(self.select, len(x) - f)]].mean(0)

    def warning(self, count):
        return liars.small(self, count)

    def lacks(self, plan):
        yield from liars.lacking(self, plan)
        count = liars.coming(plan)[0]
        if self.select > max(1, count - self.f) + 1e-9:
            yield (f"aggregate: krum with select = {self.select} would keep liars among {count:g} rows of which f = "
                   f"{self.f} may lie; set select to {max(1, int(count + 1e-9) - self.f)} or less")
