"""What robust rules are made of: all rows of a round, their lengths, their distances, their columns in order."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FAR = 1e10    # no honest row holds such a number, and squares of it still leave room for the digits of others
WIDE = 1024   # columns taken at a time: with a hundred rows they stay in the cache


def gathered(total: list[Tensor]) -> Tensor:
    """The blocks of a round as one tensor of rows [C, D], a new one: it may be written on.

    What is beyond FAR, or no number, becomes FAR: a row like any other that lies too far away. Left as it is, it would
    spoil every sum, also where its weight is zero. Where half of the rows or more are not finite, it is training that
    fails, not somebody who lies: they stay, so that the run ends and says so.
    """
    rows = torch.cat(total)
    low, high = rows.aminmax()
    if low >= -FAR and high <= FAR or 2 * int(rows.isfinite().all(1).sum()) <= len(rows):
        return rows
    return finite(rows)


def finite(rows: Tensor) -> Tensor:
    """A copy of rows [C, D] in which what is beyond FAR, or no number, is FAR."""
    return rows.nan_to_num(FAR).clamp_(-FAR, FAR)


def norms(rows: Tensor) -> Tensor:
    """The lengths [C] (float64) of rows [C, D]; infinite where a square is no float32."""
    return torch.linalg.vector_norm(rows, dim=1).double()


def products(rows: Tensor) -> Tensor:
    """The inner products [C, C] (float64) of rows [C, D], summed in float64 a few columns at a time."""
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    room = total.new_empty(len(rows), min(WIDE, rows.shape[1]))   # one for all: new pages would cost more than the sums
    for some in rows.split(WIDE, dim=1):
        some = room[:, :some.shape[1]].copy_(some)
        total.addmm_(some, some.T)
    return total


def squared_distances(rows: Tensor) -> Tensor:
    """The squared distances [C, C] (float64) of rows [C, D], from one matrix of their products.

    |a - b|^2 = |a|^2 + |b|^2 - 2 a b: in float64, so that what cancels is far below the precision of float32 rows, and
    a row far away does not blur the distances of the others. Room: C^2 numbers, and WIDE columns in float64.

    >>> squared_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist()
    [[0.0, 25.0], [25.0, 0.0]]
    """
    gram = products(rows)
    gram = (gram + gram.T) / 2   # so that two rows are as far apart in both directions, to the last bit
    square = gram.diagonal()
    return (square[:, None] + square - 2 * gram).clamp_(min=0).fill_diagonal_(0)


def shrink(lengths: Tensor, bound: float | Tensor) -> Tensor:
    """The factors [C] that bring lengths [C] down to `bound`; 1 where they are within it."""
    return (bound / lengths.clamp(min=1e-300)).clamp(max=1)


def lowest(score: Tensor, then: Tensor) -> Tensor:
    """The places [C] of ascending scores [C], equal ones in ascending order of `then` [C].

    Rows of one neighbour come in pairs with the same score, and which of the two comes first in a round says nothing.
    """
    order = then.argsort()
    return order[score[order].argsort(stable=True)]


def middle(values: Tensor) -> Tensor:
    """The median [] of values [C]; of an even number the mean of the two in the middle."""
    return values.quantile(0.5)


def by_column(rows: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """reduce(columns [W, C], each in ascending order) -> [W], over all columns of rows [C, D]: [D].

    >>> by_column(torch.tensor([[3.0, 1.0], [1.0, 5.0], [2.0, 9.0]]), lambda columns: columns[:, 1]).tolist()
    [2.0, 5.0]
    """
    return torch.cat([reduce(_ascending(some.T)) for some in rows.split(WIDE, dim=1)])


def _ascending(columns: Tensor) -> Tensor:
    if columns.device.type != "cpu":
        return columns.sort(dim=1).values
    columns = columns.clone(memory_format=torch.contiguous_format)
    columns.numpy().sort(axis=1)   # ten times as fast as torch's, of a hundred numbers each
    return columns
