"""The variance inside each weight matrix of a model, and models stretched to have another."""

from __future__ import annotations

from itertools import accumulate, pairwise
from math import prod

import torch
from torch import Tensor

Spans = list[tuple[int, int]]
EPSILON = 1e-12   # wide layers have variances near 1e-3, beside which the 1e-4 of the released code would count


def spans(world) -> Spans:
    """Where the tensors of two and more dimensions, T of them, lie in the columns that travel."""
    shapes = world.layout.shapes_in(world.sent)
    ends = pairwise(accumulate(map(prod, shapes), initial=0))
    return [span for span, shape in zip(ends, shapes, strict=True) if len(shape) > 1]


def variances(rows: Tensor, where: Spans) -> Tensor:
    """rows [C, D] -> the variance [C, T] of the numbers of each tensor.

    >>> variances(torch.tensor([[0.0, 2.0, 7.0]]), [(0, 2)]).tolist()
    [[1.0]]
    """
    found = [rows[:, a:b].var(1, correction=0) for a, b in where]
    return torch.stack(found, dim=1) if found else rows[:, :0]


def stretched(rows: Tensor, where: Spans, due: Tensor) -> Tensor:
    """rows [C, D] whose tensors have the variances `due` [C, T], about the means they had.

    >>> stretched(torch.tensor([[0.0, 2.0, 7.0]]), [(0, 2)], torch.tensor([[9.0]])).tolist()
    [[-2.0, 4.0, 7.0]]
    """
    factors, rows = share(due, variances(rows, where)).sqrt(), rows.clone()
    for (a, b), factor in zip(where, factors.unbind(1), strict=True):
        mean = rows[:, a:b].mean(1, keepdim=True)
        rows[:, a:b] = (rows[:, a:b] - mean) * factor[:, None] + mean
    return rows


def share(some: Tensor, whole: Tensor) -> Tensor:
    """some / whole, and 1 where both are nothing."""
    return (some + EPSILON) / (whole + EPSILON)
