from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from pydantic import Field
from torch import Tensor

from ..distribute.last_sent import LastSent
from ..slots import Schedule
from ..types import Cohort, View, World
from .clock import Slow, SlowFactor, Spread


class Asynchronous(Schedule):
    """What schedules have in common under which all clients are always at work, each on the model it was last sent.

    At time 0 all are sent the first model. Who reports is sent the model that its report made, and begins anew at once.
    """

    spread: Spread = 0.8
    slow: Slow = 0.0
    slow_factor: SlowFactor = 5.0
    weights: Literal["unbiased", "identical"] = Field(
        "unbiased", description="count a client by how seldom it comes, so that fast ones count no more, or all alike")
    staleness: float = Field(0.0, ge=0, le=10, description=(
        "power a of the discount (1 + s)^-a on work begun s rounds ago; 0 for none"))

    def eligible(self, clients):
        return range(clients)

    def asked(self, clients):
        return self.rate(clients) * clients

    def sampling(self, clients):
        return None   # who comes follows from the clock: nothing is drawn that could hide a client

    @abstractmethod
    def frequency(self, world: World) -> tuple[Tensor, Tensor]:
        """How often each client comes a round [N], and the same discounted for staleness [N]."""

    def expected(self, world, aggregate):
        often, discounted = self.frequency(world)
        count = discounted / often.clamp(min=1e-300) if self.weights == "unbiased" else discounted
        return float(count @ aggregate.weigh(world.shards.train))

    def cohort(self, world: World, state, ids: Tensor, begun: Tensor, time: float) -> Cohort:
        """The cohort of clients ids [C] whose work was begun on the models of rounds begun [C]."""
        weights = (state.round + 1 - begun).double() ** -self.staleness
        if self.weights == "unbiased":
            weights = weights / self.frequency(world)[0][ids]
        return Cohort(state.round + 1, ids, world.shards.train[ids], weights, begun, len(ids), time)

    def misfits(self, e):
        if not isinstance(e.distribute, LastSent):
            yield (f"schedule = {self.name} has clients work on models of different ages, and distribute = "
                   f"{e.distribute.name} does not keep them; set distribute to 'last_sent'")

    def shows(self, plan, state, cohort):
        if not len(cohort):
            return {}
        age = (cohort.round - 1 - cohort.versions).double()
        return {"staleness": View(
            "lines", "Staleness", "How many rounds have passed since the clients of this one were sent their model; "
            "nothing is said of rounds between two readings.",
            ("least", "median", "most"), (float(age.min()), float(age.quantile(0.5)), float(age.max())))}
