"""What reputations are made of, and what they earn: agreement with a result, shares, the largest entries."""

import torch
from torch import Tensor

from ..ranking import places
from ..types import View
from .rows import norms

INDEX = 4    # bytes that say where an entry lies
SHOWN = 64   # clients in a picture


def agreement(rows: Tensor, result: Tensor) -> Tensor:
    """The cosine [C] (float64) of each of rows [C, D] with result [D]; 0 where it is negative, or either is zero.

    >>> agreement(torch.tensor([[3.0, 4.0], [-1.0, 0.0], [0.0, 0.0]]), torch.tensor([2.0, 0.0])).tolist()
    [0.6, 0.0, 0.0]
    """
    length = norms(rows) * result.norm().double()
    return ((rows @ result).double() / length.clamp(min=1e-300)).clamp(0, 1)


def centred(positions: Tensor, sizes: Tensor) -> Tensor:
    """Places 0 .. n - 1 [.., D] of tensors of n columns, less their mean and as shares of n: all columns count alike.

    >>> centred(torch.tensor([0.0, 1, 2, 3, 1, 0]), torch.tensor([4, 2])).tolist()
    [-0.375, -0.125, 0.125, 0.375, 0.25, -0.25]
    """
    n = sizes.repeat_interleave(sizes).to(positions)
    return (positions - (n - 1) / 2) / n


def shares(r: Tensor) -> Tensor:
    """r [C] divided by its sum; all the same where that is 0."""
    return r / r.sum() if r.any() else torch.full_like(r, 1 / len(r))


def largest(result: Tensor, q: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """(rows [C, D], bytes of each [C]) with the ceil(q_i n) largest entries of each tensor of result [D]; of equal ones
    the first. A number and its place for each entry, or all numbers where that is shorter.

    >>> largest(torch.tensor([1.0, -3.0, 2.0, 5.0]), torch.tensor([1.0, 0.4, 0.0]), torch.tensor([3, 1]))[0].tolist()
    [[1.0, -3.0, 2.0, 5.0], [0.0, -3.0, 2.0, 5.0], [0.0, 0.0, 0.0, 0.0]]
    """
    keep = (q[:, None] * sizes - 1e-9).ceil().long()   # 0.1 * 30 is a little more than 3
    place = places(-result.abs()[None], sizes.tolist())
    chosen = place < keep.repeat_interleave(sizes, dim=1).to(place)
    each = result.element_size()
    down = (keep.sum(1) * (each + INDEX)).clamp(max=len(result) * each)
    return torch.where(chosen, result, torch.zeros_like(result)), down


def pictures(r: Tensor, rewarded: bool) -> dict[str, View]:
    """What is seen of the reputations r [N] of all clients: theirs, and the shares of the result that they earn."""
    labels = tuple(f"client {i}" for i in range(min(len(r), SHOWN)))
    found = {"reputation": View("lines", "Reputation", "The share of all reputation that each client has: 0 for those "
                                "shut out", labels, tuple(r[:SHOWN].tolist()))}
    if rewarded:
        q = r / r.max().clamp(min=1e-300)
        found["reward"] = View("lines", "Reward", "Of what clients learnt together, the share that each gets back",
                               labels, tuple(q[:SHOWN].tolist()))
    return found
