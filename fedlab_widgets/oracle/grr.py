import math

import torch

from ..part import part
from .base import Oracle, randomised, tally


@part
class GRR(Oracle):
    """Tell the truth with some chance, else any other value (generalised randomised response, k-RR).

    ask: values [C, m] -> counts [C, width]. p = e^eps / (e^eps + d - 1), q = 1 / (e^eps + d - 1); Var = n (d - 2 +
    e^eps) / (e^eps - 1)^2 for a value that nobody holds: it grows with the number of values d. ceil(log2 d) bits.
    Raises nothing of its own. Source: Wang, Blocki, Li, Jha, Locally Differentially Private Protocols for Frequency
    Estimation, USENIX Security 2017 (direct encoding).
    """

    def chances(self, d, epsilon):
        q = 1 / (math.exp(epsilon) + d.double() - 1)
        return math.exp(epsilon) * q, q

    def ask(self, values, there, d, epsilon, keys, width):
        p, _ = self.chances(d, epsilon)
        return tally(randomised(values, d[:, None], p[:, None], keys), there, width)

    def bits(self, d, epsilon):
        return torch.tensor([(int(n) - 1).bit_length() for n in d])
