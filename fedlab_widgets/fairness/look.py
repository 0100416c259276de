"""How a model does on the rows that clients learn from: forward only, for clients side by side."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..types import World

ROWS = 256   # rows of a client that go through its net at once


class Look(NamedTuple):
    """Some rows of clients at places `who` [a] among those asked: outputs [a, B, K], labels, groups, and 1.0 where
    there is a row, 0.0 where there is none, [a, B]."""

    who: Tensor
    outputs: Tensor
    y: Tensor
    group: Tensor
    there: Tensor


@torch.no_grad()
def looks(world: World, start: Tensor, ids: Tensor) -> Iterator[Look]:
    """All training rows of clients ids [C] under weights start [C, P], a piece at a time.

    Pieces are as wide as the largest client of all allows, and at least two of several clients run, so that bits do not
    depend on the chunk.
    """
    shards, sizes = world.shards, world.shards.train[ids]
    width = min(ROWS, max(shards.largest, 1))
    order = sizes.argsort(descending=True, stable=True)
    sizes, base, lane = sizes[order], shards.offsets[ids][order], torch.arange(width)
    for at in range(0, int(sizes[0]) if len(ids) else 0, width):
        a = max(int((sizes > at).sum()), min(2, len(ids)))
        there = at + lane < sizes[:a, None]
        rows = ((base[:a, None] + at + lane) * there).to(world.device)   # row 0 where there is none
        who = order[:a].to(world.device)
        x, y = shards.gather(rows)
        yield Look(who, world.forward(start[who], x), y, shards.group[rows], there.to(world.device, world.dtype))


def by_group(look: Look, values: Tensor, groups: int) -> Tensor:
    """Sums [a, groups, K] of values [a, B, K] over the rows of each group."""
    mine = torch.nn.functional.one_hot(look.group, groups).to(values) * look.there[..., None]
    return mine.transpose(1, 2) @ values
