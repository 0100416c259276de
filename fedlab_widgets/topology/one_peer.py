import torch

from ..part import part
from .base import Topology


@part
class OnePeer(Topology):
    """Send to one other client a round, each round to one twice as far: 1, 2, 4, … places on, then from 1 again.

    edges: [2, N] int64, of N clients: in round t, from 1, client i sends to i + 2^((t - 1) mod ceil(log2 N)), modulo N,
    and hears one. Where N is a power of two, log2 N rounds of equal shares bring everybody to the mean of all exactly.
    Neighbours come back only after log2 N rounds, so that what a codec sends is the difference from the start, not from
    what was sent last. Raises nothing of its own.
    Source: Assran et al., Stochastic Gradient Push, ICML 2019, and Ying et al., NeurIPS 2021 (both remembered).
    """

    changes = True

    def edges(self, clients, round, key):
        if clients < 2:
            return torch.empty(2, 0, dtype=torch.int64)
        ids = torch.arange(clients)
        return torch.stack([ids, (ids + 2 ** ((round - 1) % (clients - 1).bit_length())) % clients])
