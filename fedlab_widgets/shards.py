"""All rows once, sorted by who holds them: a client is a range of rows, never a copy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from . import seeds


@dataclass(frozen=True)
class Data:
    """What a task loads: training rows, the official test rows, and what may be known of each row.

    x [rows, ...] float, y [rows] int64, group [rows] int64 (the sensitive attribute), client [rows] int64 or None (who
    held the row, where the data say so); the same for the test rows. client_names: what the data call these clients.
    """

    x: Tensor
    y: Tensor
    group: Tensor
    test_x: Tensor
    test_y: Tensor
    test_group: Tensor
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    features: tuple[str, ...] = ()
    client: Tensor | None = None
    favourable: int | None = None  # the label that is good to get; None where no label is
    client_names: tuple[str, ...] = ()

    def to(self, device: torch.device, dtype: torch.dtype) -> Data:
        move = {k: v.to(device, dtype if v.is_floating_point() else v.dtype)
                for k, v in vars(self).items() if isinstance(v, Tensor)}
        return Data(**{**vars(self), **move})


@dataclass(frozen=True)
class Shards:
    """Rows, and a range of them for each client: `rows[i]` from `offsets[i]` on, its first `train[i]` to learn from.

    The others (about a fifth, chosen by seed) are held out: client accuracies, gaps and the decomposition read them.
    Clients may share a range: a million of them cost 24 bytes each, whatever their rows weigh.
    """

    x: Tensor
    y: Tensor
    group: Tensor
    offsets: Tensor  # [N] int64, on the CPU, as are the next two
    rows: Tensor
    train: Tensor

    @classmethod
    def of(cls, data: Data, owner: Tensor, clients: int, seed: int, holdings: int | None = None,
           held_out: float = 0.2) -> Shards:
        """owner [rows] int64 names the holding of each row, of as many as there are clients or of fewer `holdings`, K:
        client i has that of i mod K. A holding keeps at least one row to learn from."""
        count = torch.bincount(owner, minlength=holdings or clients)
        which = torch.arange(clients) % len(count)
        train = count - (count * held_out).long()
        # One draw a row, sorted within its client: which rows are held out depends on the seed alone.
        draw = seeds.bits(seeds.keys(seed, "held out", 0, 0), len(owner)).reshape(-1)
        order = draw.argsort(stable=True)
        order = order[owner[order].argsort(stable=True)].to(data.y.device)
        offsets = count.cumsum(0) - count
        return cls(data.x[order], data.y[order], data.group[order], offsets[which], count[which], train[which])

    @property
    def clients(self) -> int:
        return len(self.train)

    @cached_property   # looked up in every chunk, and O(N)
    def largest(self) -> int:
        return int(self.train.max())

    def held_out(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The held-out rows of clients ids [K]: their indices [R] and each one's position among the ids [R]."""
        first = self.offsets[ids] + self.train[ids]
        count = self.rows[ids] - self.train[ids]
        place = torch.repeat_interleave(torch.arange(len(ids)), count)
        within = torch.arange(len(place)) - torch.repeat_interleave(count.cumsum(0) - count, count)
        return (first[place] + within).to(self.y.device), place.to(self.y.device)

    def gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features [A, B, ...] and labels [A, B] of rows [A, B]. (A row is copied whole: indexing goes by number.)"""
        flat = rows.flatten()
        return (self.x.index_select(0, flat).view(*rows.shape, *self.x.shape[1:]),
                self.y.index_select(0, flat).view(rows.shape))
