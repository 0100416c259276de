import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..slots import Partition


@part
class Quantity(Partition):
    """Let clients differ in how many rows they hold, and in nothing else: a few large ones and many small ones.

    With `power` the share of client k = 1 .. N is proportional to k^-power (client 0 is the largest); with `beta` the
    shares are drawn from a Dirichlet(beta, ..., beta). Every client is given `min_rows` rows first, and the others
    are dealt out by these shares, at random.
    assign: rows -> client [rows]. Raises BadInput for fields out of range.
    Source: beta: the quantity skew of Li et al., Federated Learning on Non-IID Data Silos, ICDE 2022; power: sizes by
    a power law are customary since Li et al., MLSys 2020; its form here (Zipf's) is ours.
    """

    tag = "other sizes"
    alternatives = (("power", "beta"),)

    clients: int = Field(10, ge=1, le=1_000_000, description="number of clients")
    power: float | None = Field(1.0, ge=0, le=10, description="how fast sizes fall from client to client; 0 is evenly")
    beta: float | None = Field(None, gt=0, le=1000, description="or: shares by chance; 0.1 very different, 100 alike")
    min_rows: int = Field(2, ge=0, le=1000, description="rows that every client holds at least")

    def count(self, data):
        return self.clients

    def assign(self, data, key):
        rows, N = len(data.y), self.clients
        floor = min(self.min_rows, rows // N)
        cut = (self._shares(key).cumsum(0) * (rows - N * floor)).round().long()
        cut[-1] = rows - N * floor
        sizes = cut.diff(prepend=cut.new_zeros(1)) + floor
        owner = torch.empty(rows, dtype=torch.int64)
        owner[seeds.permutations(seeds.fold(key, 0), rows)] = torch.arange(N).repeat_interleave(sizes)
        return owner

    def _shares(self, key):
        if self.beta is None:
            share = torch.arange(1, self.clients + 1, dtype=torch.float64) ** -self.power
        else:
            from scipy.special import gammaincinv  # what scipy.stats calls, without half a second of import

            u = seeds.uniforms(seeds.fold(key, 1), self.clients, torch.float64)
            share = torch.from_numpy(gammaincinv(self.beta, u.numpy())).clamp(min=1e-300)
        return share / share.sum()
