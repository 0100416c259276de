import torch
from pydantic import Field

from ..part import part
from .base import Topology, both_ways


@part
class Ring(Topology):
    """Put the clients in a ring, each linked to its nearest on both sides.

    edges: [2, 2 reach N] int64, of N clients: client i is linked to i - reach .. i + reach, itself left out. News needs
    about N / (2 reach) rounds to come round: of all links that join everybody, the slowest.
    Raises BadInput where the ring is too short for the reach. Source: textbook (a circulant graph).
    """

    reach: int = Field(1, ge=1, le=1000, description="how many on each side a client is linked to")

    def edges(self, clients, round, key):
        ids = torch.arange(clients).repeat(self.reach)
        steps = torch.arange(1, self.reach + 1).repeat_interleave(clients)
        return both_ways(ids, (ids + steps) % clients)

    def unfit(self, clients):
        if 2 * self.reach >= clients:
            yield (f"aggregate.topology.reach = {self.reach} in a ring of {clients} clients would link some twice; "
                   + (f"set it to {(clients - 1) // 2} at most" if clients > 2 else "take 3 clients at least")
                   + ", or topology to 'complete'")
