"""Seeded directions: rows [P] of normal numbers that whoever knows a key can draw again, so that they never travel.

Two kinds. Directions of one's own come from one key each (`normals`). Directions that all share are numbered: a `Pool`
draws number k from the run's seed and k. A number stands for one direction, so that nothing has to be compared:
published codes draw integers for seeds, two of which may be the same.

Draws are the same bits alone or together (see `seeds`), and sums are taken entry by entry, a direction at a time, in
their order: nothing here depends on which clients stand side by side, nor on what is kept in memory.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from . import seeds
from .layout import Columns, Layout
from .types import World

HELD = 256 * 2**20   # bytes: a pool that takes no more is drawn once and kept
BLOCK = 1 << 22      # numbers of directions drawn at once where they are not


def normals(keys: Tensor, columns: Columns | Layout, dtype: torch.dtype = torch.float32) -> Tensor:
    """Directions z [.., P] of keys [..]: normal (mean 0, variance 1) in the chosen columns (of a layout: in all real
    ones), zero in padding and wherever nothing travels."""
    columns = columns.real if isinstance(columns, Layout) else columns
    return columns.put(seeds.normals(keys, columns.width, dtype))


def two_point(world: World, w: Tensor, z: Tensor, epsilon: float, x: Tensor, y: Tensor,
              share: Tensor) -> tuple[Tensor, Tensor]:
    """The slope [C] of each client's mean loss along its direction, and that loss [C], without a gradient.

    slope = (L(w + epsilon z) - L(w - epsilon z)) / (2 epsilon), loss = the mean of the two; w and z [C, P], x [C, B,
    ...], y [C, B], share [C, B] what each row counts in its client's mean. Both signs go through the net side by side,
    in the type of the run: bfloat16 products could not tell the two losses apart. Holds 4 C P numbers.
    Source: Malladi et al., Fine-Tuning Language Models with Just Forward Passes, NeurIPS 2023, Definition 1.
    """
    with torch.no_grad():
        away = z * epsilon
        outputs = world.forward(torch.cat([w + away, w - away]), torch.cat([x, x]))
        losses = (world.task.loss(outputs.to(world.dtype), torch.cat([y, y])) * torch.cat([share, share])).sum(1)
        plus, minus = losses.chunk(2)
        return (plus - minus) / (2 * epsilon), (plus + minus) / 2


@dataclass(frozen=True)
class Pool:
    """K directions that everybody shares, of a run's seed: nobody holds more than numbers of them.

    Where all K of them fit in 256 MB they are drawn once and kept; else they are drawn when they are asked for. The
    bits are the same.
    """

    seed: int
    K: int
    world: World

    @cached_property
    def keys(self) -> Tensor:
        """[K], on the CPU."""
        return seeds.keys(self.seed, "shared directions", 0, torch.arange(self.K))

    def rows(self, index: Tensor) -> Tensor:
        """The directions [.., P] of numbers index [..] int64, 0 .. K - 1."""
        kept = self._kept()
        if kept is not None:
            return kept[index.to(kept.device)]
        if index.numel() < 2:
            return self._drawn(index)
        each, back = index.unique(return_inverse=True)   # several clients may have drawn the same one
        return self._drawn(each)[back.to(self.world.device)]

    def combine(self, coefficients: Tensor) -> Tensor:
        """sum_k coefficients[.., k] z_k: [.., K] -> [.., P], in the type of the run, summed in float64. Directions that
        have no coefficient but 0 are not drawn."""
        c = coefficients.to(self.world.device, torch.float64)
        total = c.new_zeros(*c.shape[:-1], self.world.layout.total)
        used = (c != 0).reshape(-1, self.K).any(0).nonzero()[:, 0]
        for some in used.split(max(1, BLOCK // self.world.layout.total)):
            for k, z in zip(some.tolist(), self.rows(some), strict=True):
                total.addcmul_(c[..., k, None], z.double())
        return total.to(self.world.dtype)

    def _drawn(self, index: Tensor) -> Tensor:
        return normals(self.keys[index.cpu()].to(self.world.device), self.world.sent, self.world.dtype)

    def _kept(self) -> Tensor | None:
        if self.K * self.world.layout.total * self.world.dtype.itemsize > HELD:
            return None
        with _ALONE:   # two threads would draw them twice
            return _all(self.seed, self.K, self.world.sent, self.world.dtype, self.world.device)


_ALONE = threading.Lock()


@lru_cache(maxsize=1)
def _all(seed: int, K: int, columns: Columns, dtype: torch.dtype, device: torch.device) -> Tensor:
    """All directions [K, P] of a pool."""
    keys = seeds.keys(seed, "shared directions", 0, torch.arange(K)).to(device)
    rows = torch.zeros(K, columns.total, dtype=dtype, device=device)
    for some in torch.arange(K).split(max(1, BLOCK // columns.total)):
        rows[some] = normals(keys[some], columns, dtype)
    return rows
