import math

import torch
from pydantic import Field

from ..part import part, slot
from .base import Oracle
from .grr import GRR
from .olh import OLH


@part
class LeastVariance(Oracle):
    """Ask by randomised response where values are few, else by another oracle: whichever errs less.

    ask: values [C, m] -> counts [C, width], of each party by GRR where its d values are fewer than 3 e^eps + 2, else by
    `wide`: there 4 n e^eps / (e^eps - 1)^2, the variance of OUE and OLH, is the smaller. Raises BadInput for a wrong
    `wide`. Source: Wang et al., USENIX Security 2017, section 5.
    """

    wide: slot(Oracle) = Field(OLH(), description="the oracle for many values")

    def few(self, d, epsilon):
        return d < 3 * math.exp(epsilon) + 2

    def chances(self, d, epsilon):
        pairs = zip(GRR().chances(d, epsilon), self.wide.chances(d, epsilon), strict=True)
        return tuple(torch.where(self.few(d, epsilon), a, b) for a, b in pairs)

    def ask(self, values, there, d, epsilon, keys, width):
        few = self.few(d, epsilon)
        counts = torch.zeros(len(d), width, dtype=torch.int64, device=values.device)
        for oracle, who in ((GRR(), few), (self.wide, ~few)):
            if who.any():
                counts[who] = oracle.ask(values[who], there[who], d[who], epsilon, keys[who.to(keys.device)], width)
        return counts

    def bits(self, d, epsilon):
        return torch.where(self.few(d, epsilon).cpu(), GRR().bits(d, epsilon), self.wide.bits(d, epsilon))
