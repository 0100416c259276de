from typing import ClassVar

import torch
from pydantic import Field

from ..part import part
from ..types import Memory
from .asynchronous import Asynchronous
from .clock import durations, ranked, ticks


@part
class FixedTick(Asynchronous):
    """Make a round at fixed times, of whoever has finished since the last one (FedFix).

    A client that takes tau comes every k = ceil(tau / every) rounds, so that weights are k ("unbiased"; times the
    rows that the aggregate counts, with denominator "expected") or 1 ("identical"). A round to which nobody comes
    leaves the model as it was. next: ids [C], C varies; O(N) a round. Times in units of the slowest ordinary client.
    A client's download is counted with its report, so the first models that nobody has reported on are not.
    Raises BadInput for fields out of range, and for a distribute other than LastSent.
    Source: Fraboni et al., A General Theory for Federated Optimization with Asynchronous and Heterogeneous Clients
    Updates, JMLR 24, 2023 (arXiv 2206.10189), FedFix; time model as in their released code.
    """

    idles = True
    certain: ClassVar[bool] = False

    every: float = Field(0.5, ge=0.001, le=1000, description="time between two rounds, in units of the slowest client")

    def rate(self, clients):
        return float((1 / ticks(ranked(clients, self.spread, self.slow, self.slow_factor), self.every)).mean())

    def frequency(self, world):
        often = 1 / ticks(durations(world, self), self.every).double()
        return often, often * often**self.staleness   # work is k - 1 rounds old when it comes

    def init(self, world):
        return Memory(shared={"server version": torch.zeros(world.clients, dtype=torch.int64)})

    def next(self, world, state):
        round, version = state.round + 1, state.memory["schedule"].shared["server version"].cpu()
        came = version + ticks(durations(world, self), self.every) == round
        ids = came.nonzero()[:, 0]
        cohort = self.cohort(world, state, ids, version[ids], round * self.every)
        return cohort, Memory(shared={"server version": version.masked_fill(came, round)})
