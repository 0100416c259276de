import torch
from pydantic import Field

from ..part import part
from ..slots import Aggregate
from ..types import Memory
from . import liars, rows


@part
class CentredClipping(Aggregate):
    """Start from the last result and let no row pull it further than a bound.

    combine: rows [C, D] -> v [D], from the v of the round before (0 at first): v <- v + mean_i (row_i - v) times
    min(1, tau / |row_i - v|), `steps` times. A lie moves the result by tau / C a step at most, however long it is;
    fewer than half of the rows may lie. Without tau it is, at each step, the median of the distances |row_i - v| (ours:
    the length of updates is not known beforehand). Weights are not used. Remembers v. Holds all C D numbers twice.
    Raises BadInput for fields out of range and for half or more liars. Source: Karimireddy, He, Jaggi, Learning from
    History for Byzantine Robust Optimization, ICML 2021, which has clients send momenta.
    """

    tag = "robust to liars"

    tau: float | None = Field(None, gt=0, le=1e9, description="how far a row may pull; the median distance when empty")
    steps: int = Field(1, ge=1, le=100, description="clipping steps a round")

    def init(self, world, space):
        return Memory(shared={"last": torch.zeros(space.width, dtype=world.dtype, device=world.device)})

    def combine(self, world, total, weights, expected, cohort, mine):
        away, v = rows.gathered(total), 0
        move = mine.shared["last"]
        for _ in range(self.steps):
            v, away = v + move, away.sub_(move)   # row_i - v
            lengths = rows.norms(away)
            scale = rows.shrink(lengths, rows.middle(lengths) if self.tau is None else self.tau)
            move = scale.to(away) @ away / len(away)
        return v + move, Memory(shared={"last": v + move})

    def lacks(self, plan):
        return liars.half(self, plan)
