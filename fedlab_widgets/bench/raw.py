"""The loop that a good PyTorch programmer would write: one client after another, fused SGD, data resident."""

from __future__ import annotations

import time

import torch
from torch import nn

from ..types import Cohort, World


class RawLoop:
    """FedAvg over a cohort with `torch.optim.SGD`; the same rows, batches and number of steps, its own shuffles."""

    def __init__(self, world: World, lr: float, batch: int):
        self.world, self.batch = world, batch
        self.net = world.net
        self.params = list(self.net.parameters())
        self.globe = [p.detach().clone() for p in self.params]
        self.optimiser = torch.optim.SGD(self.params, lr=lr, fused=True)
        self.steps = 0

    def round(self, cohort: Cohort) -> float:
        """Train, average, and return the seconds it took."""
        shards, start = self.world.shards, time.perf_counter()
        total, rows = [torch.zeros_like(p) for p in self.globe], int(cohort.sizes.sum())
        for i, n in zip(cohort.ids.tolist(), cohort.sizes.tolist(), strict=True):
            with torch.no_grad():
                torch._foreach_copy_(self.params, self.globe)
            mine = int(shards.offsets[i]) + torch.randperm(n)
            for x, y in zip(shards.x[mine].split(self.batch), shards.y[mine].split(self.batch), strict=True):
                self.optimiser.zero_grad(set_to_none=True)
                nn.functional.cross_entropy(self.net(x), y).backward()
                self.optimiser.step()
                self.steps += 1
            with torch.no_grad():
                torch._foreach_add_(total, self.params, alpha=n / rows)
        self.globe = total
        return time.perf_counter() - start
