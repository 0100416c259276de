from functools import lru_cache

import torch
from pydantic import Field
from torch import Tensor

from ..part import part
from .base import Topology, both_ways

TRIES = 100   # of degree 3 and more nearly all are in one piece; of degree 2 often, of degree 1 never


@part
class Regular(Topology):
    """Link clients at random, each to equally many, the same in all rounds: news spreads fast over few links.

    edges: [2, degree N] int64, of N clients, drawn from the run's seed; of up to 100 draws the first in which everybody
    can be reached from everybody, else the last. Raises BadInput where the degree is not below the number of clients,
    and where it and that number are both odd: links have two ends.
    Source: Steger & Wormald, Generating random regular graphs quickly, 1999, as in networkx.
    """

    degree: int = Field(4, ge=1, le=1000, description="how many others a client is linked to")

    def edges(self, clients, round, key):
        return _drawn(self.degree, clients, int(key) % 2**32).clone()

    def unfit(self, clients):
        d = self.degree
        if d >= clients:
            yield (f"aggregate.topology.degree = {d} is too many for {clients} clients, who have {clients - 1} others "
                   "each; " + (f"set it to {clients - 1} or less" if clients > 1 else "take more clients"))
        elif d * clients % 2:
            yield (f"aggregate.topology.degree = {d} is odd, and so is the number of clients, {clients}: links have "
                   f"two ends, so that one would be left over; set degree to {d - 1 or 2} or {d + 1}")


@lru_cache(maxsize=8)
def _drawn(degree: int, clients: int, seed: int) -> Tensor:
    import networkx  # slow to import, and few runs need it

    for attempt in range(TRIES):
        graph = networkx.random_regular_graph(degree, clients, seed=seed + attempt)
        if degree < 2 or networkx.is_connected(graph):
            break
    a, b = torch.tensor(sorted(map(sorted, graph.edges)), dtype=torch.int64).T
    return both_ways(a, b)
