from typing import ClassVar

import torch
from pydantic import Field

from ..part import part
from ..types import Memory
from .asynchronous import Asynchronous
from .clock import BEAT, arrivals, beats, durations, first


@part
class Buffer(Asynchronous):
    """Make a round of every so many reports, as they come (FedBuff; with a size of 1 asynchronous FedAvg).

    The round is at the time of its last report; earlier ones wait, and so do their clients. Of clients that finish
    together lower ids come first. Weights are 1 ("identical"), or one over how often the client comes a round
    ("unbiased"), which is counted by playing the run's schedule through. next: ids [size]; O(N) a round.
    A client's download is counted with its report, so the first models that nobody has reported on are not.
    Raises BadInput for fields out of range, more reports than clients, and a distribute other than LastSent.
    Source: Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation, AISTATS 2022 (arXiv 2106.06639),
    without its limit on clients at work; unbiased weights and time model: Fraboni et al., JMLR 24, 2023 (arXiv
    2206.10189), where frequencies are played through instead of approximated.
    """

    certain: ClassVar[bool] = True

    size: int = Field(5, ge=1, le=1_000_000, description="reports that make a round; 1 for a round a report")

    def rate(self, clients):
        return min(self.size, clients) / clients

    def frequency(self, world):
        return arrivals(world, self, min(self.size, world.clients), self.staleness)

    def lacks(self, plan):
        if self.size > plan.world.clients:
            yield (f"schedule.size = {self.size} is more than the {plan.world.clients} clients, so that no round would "
                   f"ever be full; give at most {plan.world.clients}")

    def init(self, world):
        return Memory(shared={"server finish": beats(durations(world, self)),
                              "server version": torch.zeros(world.clients, dtype=torch.int64)})

    def next(self, world, state):
        mine = state.memory["schedule"].shared
        finish, version = mine["server finish"].cpu(), mine["server version"].cpu()
        ids = first(finish, self.size)
        now = finish[ids].max()
        cohort = self.cohort(world, state, ids, version[ids], int(now) / BEAT)
        return cohort, Memory(shared={
            "server finish": finish.index_put((ids,), now + beats(durations(world, self)[ids])),
            "server version": version.index_fill(0, ids, cohort.round)})
