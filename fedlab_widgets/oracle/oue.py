import math

import torch

from .. import seeds
from ..part import part
from .base import Oracle, slabs


@part
class OUE(Oracle):
    """Answer yes or no for every value: the true yes is told by half, a no seldom becomes a yes.

    ask: values [C, m] -> counts [C, width] (optimised unary encoding). p = 1/2, q = 1 / (e^eps + 1); Var = 4 n e^eps /
    (e^eps - 1)^2 for a value that nobody holds, whatever their number d. d bits. Draws m width numbers.
    Raises nothing of its own. Source: Wang et al., USENIX Security 2017.
    """

    def chances(self, d, epsilon):
        p = torch.full_like(d, 0.5, dtype=torch.float64)
        return p, p * 0 + 1 / (math.exp(epsilon) + 1)

    def ask(self, values, there, d, epsilon, keys, width):
        value, q = torch.arange(width, device=values.device), 1 / (math.exp(epsilon) + 1)
        counts = 0
        for some in slabs(values, width):
            u = seeds.uniforms(keys[:, some], width, torch.float64).to(values.device)
            yes = u < torch.where(value == values[:, some, None], 0.5, q)
            counts = counts + (yes & there[:, some, None]).sum(1)
        return torch.where(value < d[:, None], counts, 0)

    def bits(self, d, epsilon):
        return d.cpu()
