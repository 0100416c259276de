from pydantic import Field

from ..part import part
from ..slots import Aggregate
from . import liars, rows


@part
class GeometricMedian(Aggregate):
    """Take the point whose distances to all rows have the smallest sum.

    finish: rows [C, D], weights a [C] -> [D], by the smoothed Weiszfeld steps z <- sum_i b_i row_i / sum_i b_i with
    b_i = a_i / max(nu, |row_i - z|), from the mean on, until a step is shorter than `tolerance` times the median
    distance. Every z is a mix of rows, so that steps need only the C^2 distances of the rows, and no pass over them:
    many cost as much as few. Fewer than half of the rows may lie. Holds all C D numbers twice.
    Raises BadInput for fields out of range and for half or more liars. Source: Pillutla et al., Robust Aggregation for
    Federated Learning, IEEE TSP 2022 (RFA), which stops after three or four steps.
    """

    tag = "robust to liars"

    nu: float = Field(1e-6, gt=0, le=1e3, description="distance below which nearer rows count no more")
    steps: int = Field(100, ge=1, le=10_000, description="Weiszfeld steps at most")
    tolerance: float = Field(1e-6, ge=0, le=1, description="stop at steps shorter than this, in median distances")

    def finish(self, total, weights, expected):
        x = rows.gathered(total)
        apart, share = rows.squared_distances(x), weights.to(x.device) / weights.sum().clamp(min=1e-300)
        mix = share
        for _ in range(self.steps):
            away = (apart @ mix - mix @ apart @ mix / 2).clamp(min=0).sqrt()   # |row_i - z|, for z = mix @ rows
            new = share / away.clamp(min=self.nu)
            new = new / new.sum().clamp(min=1e-300)
            moved, mix = new - mix, new
            if -moved @ apart @ moved / 2 <= (self.tolerance * rows.middle(away)) ** 2:
                break
        return mix.to(x) @ x

    def warning(self, count):
        return f"a geometric median of {count} rows protects against nobody" if count < 3 else None

    def lacks(self, plan):
        return liars.half(self, plan)
