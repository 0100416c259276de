import math

import torch
from torch import Tensor

from .. import seeds
from ..part import part
from .base import Oracle, randomised, slabs


@part
class OLH(Oracle):
    """Hash the value to few, by a hash function of one's own, and tell that by randomised response.

    ask: values [C, m] -> counts [C, width] (optimised local hashing). g = round(e^eps) + 1 hash values; p = e^eps /
    (e^eps + g - 1), q = 1 / g; Var = n q (1 - q) / (p - q)^2 for a value that nobody holds, about 4 n e^eps / (e^eps -
    1)^2, whatever their number d. A seed of 32 bits and ceil(log2 g) bits. A report supports all values with its hash:
    to count takes m width hashes. Raises nothing of its own. Source: Wang et al., USENIX Security 2017; the hash is
    multiply-shift (Dietzfelbinger 1996, remembered): the upper half of a v + b mod 2^64, scaled to 0 .. g - 1, which is
    pairwise independent but for g / 2^32.
    """

    def buckets(self, epsilon: float) -> int:
        """g; fewer than 2^30 also for an epsilon that hides nothing."""
        return round(math.exp(min(epsilon, 20.0))) + 1

    def chances(self, d, epsilon):
        g, keep = self.buckets(epsilon), math.exp(min(epsilon, 300.0))
        p = torch.full_like(d, keep / (keep + g - 1), dtype=torch.float64)
        return p, p * 0 + 1 / g

    def ask(self, values, there, d, epsilon, keys, width):
        g, (p, _) = self.buckets(epsilon), self.chances(d, epsilon)
        value, counts = torch.arange(width, device=values.device), 0
        seed = seeds.bits(seeds.fold(keys, 0), 1)[..., 0]             # the 32 bits that are sent
        a, b = (seeds.fold(seed, i).to(values.device) for i in range(2))
        told = randomised(_hash(a, b, values, g), torch.tensor(g), p[:, None], seeds.fold(keys, 1))
        told = torch.where(there, told, -1)                           # which is no hash
        for some in slabs(values, width):
            hashes = _hash(a[:, some, None], b[:, some, None], value, g)
            counts = counts + (hashes == told[:, some, None]).sum(1)
        return torch.where(value < d[:, None], counts, 0)

    def bits(self, d, epsilon):
        return torch.full((len(d),), 32 + (self.buckets(epsilon) - 1).bit_length())


def _hash(a: Tensor, b: Tensor, value: Tensor, g: int) -> Tensor:
    return ((a * value + b >> 32 & 2**32 - 1) * g) >> 32
