"""Who holds what, before any training: each client's size, label mix and group mix, and one number of heterogeneity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .. import seeds
from ..partition.natural import client_names
from ..session import one_thread
from ..spec import Experiment
from ..world import rows_of

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
    client_names: tuple[str, ...] = ()   # where the data name the clients

    @classmethod
    def of(cls, e: Experiment) -> Preview:
        """Deals out the rows as the run will. Raises BadInput as the run would."""
        return _dealt(e.task, e.partition, e.seed)

    def words(self) -> str:
        """Who holds what, in two sentences."""
        N, least, most = len(self.sizes), int(self.sizes.min()), int(self.sizes.max())
        each = f"{least:,} to {most:,} each" if least < most else f"{most:,} each"
        holds = f"1 client holds {most:,} rows" if N == 1 else (
            f"{N:,} clients hold {int(self.sizes.sum()):,} rows, {each}")
        return f"{holds}. Heterogeneity {self.different:.2f} (Jensen-Shannon; 0 alike, 1 nothing in common)."


@lru_cache(maxsize=8)   # a change of anything else must not deal the rows out again
def _dealt(task, partition, seed: int) -> Preview:
    data = rows_of(task)
    clients = partition.count(data)
    with one_thread():   # beside a busy browser a second thread makes it 60 to 100 ms instead of 10
        owner = partition.assign(data, seeds.keys(seed, "partition", 0, 0))
    L, G = len(data.labels), len(data.groups)
    joint = torch.bincount((owner * G + data.group) * L + data.y, minlength=clients * G * L).view(clients, G, L)
    mix = joint.flatten(1).double()
    return Preview(joint.sum((1, 2)), joint.sum(1), joint.sum(2), data.labels, data.groups, apart(mix),
                   heterogeneity(mix), client_names(partition, data))


def apart(mix: Tensor) -> Tensor:
    """Jensen-Shannon divergence in bits of each row of mix [N, K] (counts) and the sum of the other rows [N].

    0: the same mix; 1: nothing in common. NaN where a client has no rows, or no others.
    """
    mine, others = (m / m.sum(1, keepdim=True) for m in (mix, mix.sum(0) - mix))
    middle = (mine + others) / 2
    entropy = [torch.special.entr(p).sum(1) for p in (middle, mine, others)]
    return ((entropy[0] - (entropy[1] + entropy[2]) / 2) / math.log(2)).clamp(0, 1)


def heterogeneity(mix: Tensor) -> float:
    """Jensen-Shannon divergence of the rows of mix [N, K] (counts), weighed by size, over the entropy of the sizes.

    The numerator is the mutual information of client and kind of row, the denominator its largest value, H(client).
    """
    p = mix / mix.sum()
    client, kind = p.sum(1, keepdim=True), p.sum(0, keepdim=True)
    known = p > 0
    information = float((p[known] * (p / (client * kind).clamp(min=1e-300))[known].log2()).sum())
    entropy = float(-(client[client > 0] * client[client > 0].log2()).sum())
    return max(0.0, information / entropy) if entropy else 0.0
