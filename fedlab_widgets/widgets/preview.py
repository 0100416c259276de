"""Who holds what, before any training: each client's size, label mix and group mix, and one number of heterogeneity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .. import seeds
from ..partition import ByGroup
from ..partition.natural import client_names
from ..session import one_thread
from ..spec import Experiment
from ..world import counted, rows_of

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999", "#332288", "#88CCEE")


@dataclass(frozen=True)
class Preview:
    """sizes [N], labels [N, L] and groups [N, G] of each client's rows; `apart` [N] is how far each client's
    label-and-group mix is from that of all others, `different` how far all are from each other: 0 alike, 1 nothing in
    common.
    """

    sizes: Tensor
    labels: Tensor
    groups: Tensor
    label_names: tuple[str, ...]
    group_names: tuple[str, ...]
    apart: Tensor
    different: float
    rows: int   # there are in all: fewer than the sum of the sizes, where clients share them
    client_names: tuple[str, ...] = ()   # where the data name the clients
    note: str = ""   # what the partition cannot do with these data

    @classmethod
    def of(cls, e: Experiment) -> Preview:
        """Deals out the rows as the run will. Raises BadInput as the run would."""
        return _dealt(e.task, e.partition, e.seed)

    def words(self) -> str:
        """Who holds what, in two sentences, and what the partition cannot do."""
        N, least, most = len(self.sizes), int(self.sizes.min()), int(self.sizes.max())
        each = f"{least:,} to {most:,} each" if least < most else f"{most:,} each"
        hold = "hold" if self.rows == int(self.sizes.sum()) else "share"
        holds = f"1 client holds {most:,} rows" if N == 1 else f"{N:,} clients {hold} {self.rows:,} rows, {each}"
        return (f"{holds}. Heterogeneity {self.different:.2f} (Jensen-Shannon; 0 alike, 1 nothing in common)."
                f"{self.note and ' '}{self.note}")


@lru_cache(maxsize=8)   # a change of anything else must not deal the rows out again
def _dealt(task, partition, seed: int) -> Preview:
    data = rows_of(task)
    (clients, K), L, G = counted(partition, data), len(data.labels), len(data.groups)
    with one_thread():   # beside a busy browser a second thread makes it 60 to 300 ms instead of 10
        owner = partition.assign(data, seeds.keys(seed, "partition", 0, 0))
        held = torch.bincount((owner * G + data.group) * L + data.y, minlength=K * G * L).view(K, G, L)
        of = torch.arange(clients) % K   # each client's holding
        copies, mix = torch.bincount(of, minlength=K)[:, None], held.flatten(1).double()
        return Preview(held.sum((1, 2))[of], held.sum(1)[of], held.sum(2)[of], data.labels, data.groups,
                       apart(mix, copies)[of], heterogeneity(mix, copies), len(owner), client_names(partition, data),
                       _idle(partition, data))


def _idle(partition, data) -> str:
    """That the skew of "by group" does nothing where all rows are of one group."""
    if not isinstance(getattr(partition, "of", partition), ByGroup) or len(data.groups) > 1:
        return ""
    return ("These data name no groups, so “by group” deals the rows out evenly and its skew changes nothing; choose "
            "dirichlet for clients that differ.")


def apart(mix: Tensor, copies: Tensor | int = 1) -> Tensor:
    """Jensen-Shannon divergence in bits of each row of mix [N, K] (counts) and the sum of the other rows [N].

    0: the same mix; 1: nothing in common. NaN where a client has no rows, or no others. copies [N, 1]: as many clients
    with this row.
    """
    mine, others = (m / m.sum(1, keepdim=True) for m in (mix, (mix * copies).sum(0) - mix))
    middle = (mine + others) / 2
    entropy = [torch.special.entr(p).sum(1) for p in (middle, mine, others)]
    return ((entropy[0] - (entropy[1] + entropy[2]) / 2) / math.log(2)).clamp(0, 1)


def heterogeneity(mix: Tensor, copies: Tensor | int = 1) -> float:
    """Jensen-Shannon divergence of the rows of mix [N, K] (counts), weighed by size, over the entropy of the sizes.

    The numerator is the mutual information of client and kind of row, the denominator its largest value, H(client).
    copies: as in `apart`.
    """
    p = mix / (mix * copies).sum()
    client, kind = p.sum(1, keepdim=True), (p * copies).sum(0, keepdim=True)
    information = float((copies * torch.xlogy(p, p / (client * kind).clamp(min=1e-300))).sum())
    entropy = float((copies * torch.special.entr(client)).sum())
    return max(0.0, information / entropy) if entropy else 0.0
