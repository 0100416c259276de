"""The slot of frequency oracles: what a user says, so that many answers tell how frequent each value is, and one tells
next to nothing."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from .. import seeds
from ..part import Part

SLAB = 1 << 18   # numbers at a time: 2 MB a temporary, which stay in the cache


class Oracle(Part):
    """How users report one value each under local differential privacy, and how counts are estimated from reports.

    C parties of m users each ask their own about d [C] values, which are numbered 0 .. d - 1.
    """

    slot = "oracle"

    @abstractmethod
    def chances(self, d: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
        """(p, q) [C] float64: the chance that a report supports its user's value, and that it supports another."""

    @abstractmethod
    def ask(self, values: Tensor, there: Tensor, d: Tensor, epsilon: float, keys: Tensor, width: int) -> Tensor:
        """How many reports support each value: counts [C, width] int64, zero from column d on.

        values [C, m] int64 of users, of whom only those `there` [C, m] report; keys [C, m], one a user.
        """

    @abstractmethod
    def bits(self, d: Tensor, epsilon: float) -> Tensor:
        """How many bits [C] int64 a user sends to its party."""

    def estimate(self, counts: Tensor, users: Tensor, d: Tensor, epsilon: float) -> Tensor:
        """How many of users [C] hold each value, [C, D] float64: (count - n q) / (p - q), unbiased, so also below 0."""
        p, q = (chance[:, None] for chance in self.chances(d, epsilon))
        return (counts - users[:, None] * q) / (p - q)

    def variance(self, users: Tensor, d: Tensor, epsilon: float, share: float = 0.0) -> Tensor:
        """The variance [C] of such an estimate of a value that the share of users holds."""
        p, q = self.chances(d, epsilon)
        return users * (q * (1 - q) / (p - q)**2 + share * (1 - p - q) / (p - q))


def randomised(values: Tensor, d: Tensor, p: Tensor, keys: Tensor) -> Tensor:
    """values of 0 .. d - 1: kept with chance p, else any of the others; all of the same shape, as keys."""
    u, v = seeds.uniforms(keys, 2, torch.float64).to(values.device).unbind(-1)
    other = (v * (d - 1)).long()
    return torch.where(u < p, values, other + (other >= values))


def tally(reports: Tensor, there: Tensor, width: int) -> Tensor:
    """How often each of 0 .. width - 1 is among the reports [C, m] of those there: [C, width]."""
    counts = torch.zeros(len(reports), width, dtype=torch.int64, device=reports.device)
    return counts.scatter_add_(1, reports, there.long())


def slabs(values: Tensor, width: int) -> list[slice]:
    """Pieces of the m columns of values [C, m], small enough for `width` numbers of each user."""
    step = max(1, SLAB // max(len(values) * width, 1))
    return [slice(i, i + step) for i in range(0, values.shape[1], step)]
