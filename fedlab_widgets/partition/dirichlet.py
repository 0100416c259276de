import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..slots import Partition


@part
class Dirichlet(Partition):
    """Give every client its own mix of labels, drawn from a Dirichlet distribution: small alpha = more different.

    For each label, the shares of the N clients are Dirichlet(alpha, …, alpha); the label's shuffled rows are cut at
    these shares. A client that would hold fewer than `min_rows` takes rows from the largest client.
    assign: rows -> client [rows]. Raises BadInput for fields out of range.
    Source: Hsu, Qi, Brown, arXiv 1909.06335, in the per-label form of Yurochkin et al., ICML 2019.
    Gamma draws are by inverse cdf from counter-based uniforms, so the split is the same on every machine.
    """

    clients: int = Field(10, ge=1, le=1_000_000, description="number of clients")
    alpha: float = Field(0.5, gt=0, le=1000, description="concentration: 0.1 very different, 100 nearly alike")
    min_rows: int = Field(2, ge=0, le=1000, description="rows that every client holds at least")

    def count(self, data):
        return self.clients

    def assign(self, data, key):
        from scipy.stats import gamma  # slow to import

        order = seeds.permutations(key, len(data.y))
        owner = torch.zeros_like(order)
        for label in range(len(data.labels)):
            rows = order[data.y[order] == label]
            u = seeds.uniforms(seeds.fold(key, label + 1), self.clients, torch.float64)
            # Shares below 1e-300 of a row are zero; the largest draw is kept so that the sum is never zero.
            share = torch.from_numpy(gamma.ppf(u.numpy(), self.alpha)).clamp(min=1e-300)
            cut = (share.cumsum(0) / share.sum() * len(rows)).round().long()
            owner[rows] = torch.searchsorted(cut, torch.arange(len(rows)), right=True).clamp(max=self.clients - 1)
        return self._fill_up(owner, order)

    def _fill_up(self, owner, order):
        count = torch.bincount(owner, minlength=self.clients)
        floor = min(self.min_rows, len(owner) // self.clients)
        for poor in (count < floor).nonzero()[:, 0].tolist():
            while count[poor] < floor:
                rich = int(count.argmax())
                moved = order[owner[order] == rich][:int(min(floor - count[poor], count[rich] - floor))]
                owner[moved] = poor
                count[rich] -= len(moved)
                count[poor] += len(moved)
        return owner
