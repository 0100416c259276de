from dataclasses import replace

import torch
from pydantic import Field

from .. import seeds
from ..part import part, slot
from ..slots import Partition
from .iid import IID

AT_ONCE = 2**22   # numbers that are drawn together: the noise of a large data set need not lie beside it


@part
class Noisy(Partition):
    """Let clients see through worse and worse instruments: noise on the features, more from client to client.

    The inner partition deals the rows out to K holdings; holding i = 0 .. K - 1 then has Gaussian noise of standard
    deviation sigma (i + 1) / K on every feature. Test rows stay clean; clients' held-out rows are as noisy as those
    that they learn from. One draw a row, by counter: the same on every machine.
    assign: rows -> holding [rows]; seen: x [rows, ...] with noise, in units of the features as the task gives them.
    Raises BadInput for sigma out of range.
    Source: noise-based feature imbalance of Li et al., Federated Learning on Non-IID Data Silos, ICDE 2022; there
    Gau(sigma i / N) names a variance, here it is the standard deviation that grows evenly.
    """

    tag = "other features"

    sigma: float = Field(1.0, ge=0, le=100, description="standard deviation of the noise of the last client")
    of: slot(Partition) = Field(IID(clients=10), description="how the rows are dealt out")

    def count(self, data):
        return self.of.count(data)

    def holdings(self, data):
        return self.of.holdings(data)

    def assign(self, data, key):
        return self.of.assign(data, key)

    def seen(self, data, owner, key):
        data = self.of.seen(data, owner, key)
        key, x = seeds.fold(key, -1), data.x.flatten(1).clone()
        size = (self.sigma * (owner + 1) / self.holdings(data)).to(x)[:, None]
        step = max(1, AT_ONCE // x.shape[1])
        for rows in torch.arange(len(x)).split(step):
            x[rows] += size[rows] * seeds.normals(seeds.fold(key, rows), x.shape[1]).to(x)
        return replace(data, x=x.view_as(data.x))
