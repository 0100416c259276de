from heapq import heapify, heapreplace

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
    With alike = m these are the shares of N / m groups, the last of which may be smaller; the clients of a group, 0 to
    m - 1 and so on, divide its rows label by label, so that of each label they hold as many, give or take one.
    assign: rows -> client [rows]. Raises BadInput for fields out of range.
    Source: Hsu, Qi, Brown, arXiv 1909.06335, in the per-label form of Yurochkin et al., ICML 2019.
    Gamma draws are by inverse cdf from counter-based uniforms, so the split is the same on every machine.
    """

    tag = "other labels"

    clients: int = Field(10, ge=1, le=1_000_000, description="number of clients")
    alpha: float = Field(0.5, gt=0, le=1000, description="concentration: 0.1 very different, 100 nearly alike")
    min_rows: int = Field(2, ge=0, le=1000, description="rows that every client holds at least")
    alike: int = Field(1, ge=1, le=1000, description="clients that share a mix: 1 is nobody, 2 makes pairs, 3 threes")

    def count(self, data):
        return self.clients

    @property
    def groups(self):
        """How many mixes are drawn."""
        return -(-self.clients // self.alike)

    def assign(self, data, key):
        from scipy.special import gammaincinv  # what scipy.stats calls, without half a second of import

        order = seeds.permutations(key, len(data.y))
        owner = torch.zeros_like(order)
        for label in range(len(data.labels)):
            rows = order[data.y[order] == label]
            u = seeds.uniforms(seeds.fold(key, label + 1), self.groups, torch.float64)
            # Shares below 1e-300 of a row are zero; the largest draw is kept so that the sum is never zero.
            share = torch.from_numpy(gammaincinv(self.alpha, u.numpy())).clamp(min=1e-300)
            cut = (share.cumsum(0) / share.sum() * len(rows)).round().long()
            owner[rows] = torch.searchsorted(cut, torch.arange(len(rows)), right=True).clamp(max=self.groups - 1)
        owner = self._fill_up(owner, order)
        return owner if self.alike == 1 else self._divide(owner, data.y, order)

    def _fill_up(self, owner, order):
        """Each group with too few rows takes the first of whoever holds most by then: O(rows log groups) in all."""
        count = torch.bincount(owner, minlength=self.groups)
        floor = min(self.min_rows * self.alike, len(owner) // self.groups)
        lack = (floor - count).clamp(min=0)
        if not lack.any():
            return owner
        held = order[owner[order].argsort(stable=True)]   # client by client, in the shuffled order
        first = (count.cumsum(0) - count).tolist()        # where those of each client begin
        rich, moved = [(-n, i) for i, n in enumerate(count.tolist())], []
        heapify(rich)
        for wants in lack[lack > 0].tolist():
            while wants:
                n, i = rich[0]                            # of equals the first one
                k = min(wants, -n - floor)
                moved += range(first[i], first[i] + k)
                first[i], wants = first[i] + k, wants - k
                heapreplace(rich, (n + k, i))
        owner[held[moved]] = torch.arange(self.groups).repeat_interleave(lack)
        return owner

    def _divide(self, group, y, order):
        """The client [rows] of rows with group [rows] and label y [rows]: label by label, in turn."""
        held = order[(group * (int(y.max()) + 1) + y)[order].argsort(stable=True)]
        count = torch.bincount(group)
        turn = torch.arange(len(held)) - (count.cumsum(0) - count)[group[held]]
        first, owner = group[held] * self.alike, torch.empty_like(group)
        owner[held] = first + turn % (self.clients - first).clamp(max=self.alike)
        return owner
