from typing import Annotated

import torch
from pydantic import Field, field_validator

from .. import seeds
from ..part import part, slot
from ..slots import Sampler, Schedule
from ..types import Cohort, Memory
from .clock import Slow, SlowFactor, Spread, longest
from .samplers import Full


@part
class Lockstep(Schedule):
    """Run in step: everybody asked starts from the newest model, and the round waits for all who report.

    A client that drops out has downloaded the model (priced) and sends nothing. A round lasts as long as its slowest
    reporting client works, in virtual time: 1 where all are alike.
    next: cohort of ids [C]. The accountant is told the sampler's rate, drop-out or not: an upper bound.
    Raises BadInput for ids out of range. Source: McMahan et al., AISTATS 2017, Algorithm 1; drop-out is ours.
    """

    sampler: slot(Sampler) = Field(Full(), description="who is asked")
    dropout: float = Field(0.0, ge=0, lt=1, description="chance that a client that was asked never reports")
    spread: Spread = 0.0
    slow: Slow = 0.0
    slow_factor: SlowFactor = 5.0
    clients: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None, min_length=1, description="ids that may take part; all when empty")

    @field_validator("clients")
    @classmethod
    def _ascending(cls, ids):
        return None if ids is None else tuple(sorted(set(ids)))

    def eligible(self, clients):
        return range(clients) if self.clients is None else self.clients

    def rate(self, clients):
        return self.sampler.rate(len(self.eligible(clients))) * (1 - self.dropout)

    def asked(self, clients):
        eligible = len(self.eligible(clients))
        return self.sampler.rate(eligible) * eligible

    @property
    def certain(self):
        return self.sampler.certain and self.dropout == 0

    def sampling(self, clients):
        return self.sampler.sampling(len(self.eligible(clients)))

    def next(self, world, state):
        round = state.round + 1
        eligible = self.eligible(world.clients)
        ids = self.sampler.draw(len(eligible), round, world.keys("sampling", round, 0))
        if self.clients is not None:
            ids = torch.tensor([eligible[i] for i in ids.tolist()], dtype=torch.int64)
        invited = len(ids)
        if self.dropout:
            ids = ids[seeds.uniforms(world.keys("drop-out", round, ids), 1)[:, 0] >= self.dropout]
        cohort = Cohort(round, ids, world.shards.train[ids], torch.ones(len(ids), dtype=torch.float64),
                        torch.full_like(ids, state.round), invited, state.time + longest(world, self, ids))
        return cohort, Memory()
