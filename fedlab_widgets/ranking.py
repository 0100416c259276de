"""Orders of the columns of a row, tensor by tensor: what clients vote with, and what a vote makes of a model."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .layout import Columns, Layout
from .types import Block, Kind


def ballot(layout: Layout, columns: Columns) -> Block:
    """The block of one order per tensor, as clients send it and as the server sends it back."""
    return Block("update", columns.width, Kind.RANKS, layout.shapes_in(columns))


def names(layout: Layout, columns: Columns) -> tuple[str, ...]:
    """The names of the tensors that lie in some columns, in their order."""
    return tuple(name for name, at in zip(layout.names, layout.offsets, strict=True)
                 if any(a <= at < b for a, b in columns.ranges))


def places(rows: Tensor, sizes: list[int]) -> Tensor:
    """The place [C, D] int64 of every column of rows [C, D] in the ascending order of its tensor, from 0; `sizes` are
    the tensors' columns. Of equal numbers the first column comes first.

    >>> places(torch.tensor([[0.3, 0.1, 0.2, 5.0, 4.0]]), [3, 2]).tolist()
    [[2, 0, 1, 1, 0]]
    """
    return torch.cat([_places(piece) for piece in rows.split(sizes, dim=1)], dim=1)


def _places(rows: Tensor) -> Tensor:
    order = rows.argsort(dim=1, stable=True)   # who stands at a place; turned round: the place where each stands
    at = torch.arange(rows.shape[1], device=rows.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, at)


def at_places(numbers: Tensor, where: Tensor, sizes: list[int]) -> Tensor:
    """Of each tensor the numbers [D], put so that column e has the one at place where[e], where [D] int64.

    >>> at_places(torch.tensor([1.0, 2.0, 3.0, 7.0, 8.0]), torch.tensor([2, 0, 1, 1, 0]), [3, 2]).tolist()
    [3.0, 1.0, 2.0, 8.0, 7.0]
    """
    return torch.cat([some[to] for some, to in zip(numbers.split(sizes), where.split(sizes), strict=True)])


def kept(share: float, columns: int) -> int:
    """How many columns of a tensor a mask keeps: ceil(share columns).

    >>> kept(0.5, 5), kept(0.55, 100)
    (3, 55)
    """
    return max(1, math.ceil(round(share * columns, 6)))   # 0.55 * 100 is a little more than 55
