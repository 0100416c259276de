"""Poisson lots: which rows each client takes in a step, each by a coin of its own, and the gradients of single rows."""

import torch
from torch import Tensor

from .. import seeds
from ..shards import Shards
from ..stack import add, back, forward, top

SPREAD = 4      # deviations of a lot's size that one pass through the net holds; what is beyond comes in another pass
TOGETHER = 8    # rows of a client whose gradients are held at once, of nets that are not written out by hand


def wide(batch: int, largest: int) -> int:
    """Rows of a lot that go through the net at once: the same for all clients, whatever the chunk, and so are bits."""
    return max(1, min(largest, batch + int(SPREAD * batch**0.5) + 1))


def lots(shards: Shards, ids: Tensor, keys: Tensor, batch: int, width: int) -> tuple[Tensor, Tensor]:
    """One lot of each client ids [C], by keys [C]: row indices [S, C, width] and 1.0 or 0.0 where there is a row or
    none, in as many passes S as the longest lot needs.

    Each of a client's n rows comes with chance batch / n, independently (all of them where n <= batch), to within 2^-32
    and never more.
    """
    device, n = shards.y.device, shards.train[ids].to(shards.y.device)
    longest = max(int(n.max()), 1)
    below = (batch * 2**32 // n.clamp(min=1)).clamp(max=2**32)
    coins = seeds.bits(keys.to(device), longest) < below[:, None]
    coins &= torch.arange(longest, device=device) < n[:, None]
    count = coins.sum(1)
    passes = max(1, -(-int(count.max()) // width))
    rows = torch.zeros(len(ids), passes * width, dtype=torch.int64, device=device)
    who, which = coins.nonzero(as_tuple=True)
    rows[who, coins.cumsum(1)[who, which] - 1] = shards.offsets[ids].to(device)[who] + which
    there = torch.arange(passes * width, device=device) < count[:, None]
    fold = lambda t: t.view(len(ids), passes, width).transpose(0, 1)   # noqa: E731
    return fold(rows), fold(there)


def clipped_sum(world, w: Tensor, x: Tensor, y: Tensor, there: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """The sum [C, P] of the gradients at w [C, P] of rows x [C, B, ...], y [C, B] that are `there` [C, B], each cut to
    length `clip`; and the summed losses [C]."""
    if world.stack is None:
        return _one_by_one(world, w, x, y, there, clip)
    layers = world.stack.layers
    seen = forward(layers, w, x)
    d, losses = top(seen.pop(), y, there)
    found = back(layers, w, seen, d)
    factor = (clip / lengths(layers, seen, found).clamp(min=1e-30)).clamp(max=1).unsqueeze(-1)
    total = torch.zeros_like(w)
    add(layers, total, seen, [d * factor for d in found], 1.0)
    return total, losses


def lengths(layers, seen: list[Tensor], found: list[Tensor]) -> Tensor:
    """The length [C, B] of each row's gradient, from the inputs and the errors of the layers alone.

    The gradient of a row is d a^T, and d for the bias: of squared length |d|^2 (|a|^2 + 1). (Goodfellow 2015, arXiv
    1510.01799; "ghost clipping" in Li et al., ICLR 2022.)
    """
    squares = 0.0
    for layer, a, d in zip(layers, seen, found, strict=True):
        squares = squares + d.square().sum(-1) * (a.square().sum(-1) + (1.0 if layer.bias >= 0 else 0.0))
    return squares.sqrt()


def _one_by_one(world, w, x, y, there, clip):
    """The same of any net: every row as if it were a client of its own, a few at a time."""
    total, losses = torch.zeros_like(w), w.new_zeros(len(w))
    for at in range(0, x.shape[1], TOGETHER):
        some, labels, real = x[:, at:at + TOGETHER], y[:, at:at + TOGETHER], there[:, at:at + TOGETHER]
        C, b = labels.shape
        each = w.unsqueeze(1).expand(C, b, -1).reshape(C * b, -1)
        g, loss = world.gradient(each, some.reshape(C * b, 1, *x.shape[2:]), labels.reshape(-1, 1), real.reshape(-1, 1))
        g = g * (clip / g.norm(dim=1, keepdim=True).clamp(min=1e-30)).clamp(max=1)
        total += g.view(C, b, -1).sum(1)
        losses += loss.view(C, b).sum(1)
    return total, losses
