"""Which rows each client takes in each step: worked out for many steps at once, before the first of them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import seeds
from ..shards import Shards

ROOM = 1 << 20  # places (steps x clients x rows) worked out at once: 8 MB a table of them


class Steps(NamedTuple):
    """T steps of C clients: row indices [T, C, B], what each row counts in its client's mean [T, C, B] (zero where
    there is no row), 1 or 0 for clients at work or at rest [T, C], and in each step the first at_work clients to run.
    """

    rows: Tensor
    share: Tensor
    alive: Tensor
    at_work: list[int]


def batches(shards: Shards, ids: Tensor, keys: Tensor, batch: int, total: Tensor, dtype: torch.dtype,
            most: int) -> Iterator[Steps]:
    """The mini-batches of clients ids [C] side by side, at most so many steps at a time.

    Each client goes through its own rows in its own order (keys [C]), anew each epoch of ceil(n / batch) steps, and
    rests after its `total` [C] steps, which must not rise: those at work come first. What it sees depends on its key
    and rows alone, not on who else is there. At least 2 of several clients run: products of one take other kernels.
    """
    device, C, sizes = shards.y.device, len(ids), shards.train[ids]
    per_epoch = ((sizes + batch - 1) // batch).clamp(min=1)
    width, steps = max(int(sizes.max()), 1), int(total.max())
    at_work = (total[None] > torch.arange(steps)[:, None]).sum(1).clamp(min=min(2, C)).tolist()
    window = max(1, ROOM // (C * batch))
    base, keys, lane = shards.offsets[ids].to(device), keys.to(device), torch.arange(batch, device=device)
    there = [n.to(device) for n in (sizes, per_epoch, total)]
    for begin in range(0, steps, window):
        end = min(begin + window, steps)
        first = begin // per_epoch
        epochs = int(((total.clamp(max=end) - 1).clamp(min=begin) // per_epoch - first).max()) + 1
        rows, share = _window(begin, end, first.to(device), epochs, width, base, keys, lane, *there, dtype)
        alive = (share[..., 0] > 0).to(dtype)   # a step's rows fill its places from the left
        for a in range(0, end - begin, most):
            yield Steps(rows[a:a + most], share[a:a + most], alive[a:a + most],
                        at_work[begin + a:min(begin + a + most, end)])


def _window(begin, end, first, epochs, width, base, keys, lane, sizes, per_epoch, total, dtype):
    """Row indices and shares [T, C, B] of steps begin .. end, with the orders of `epochs` epochs from `first` [C]."""
    device, C = keys.device, len(keys)
    each = first[:, None] + torch.arange(epochs, device=device)
    order = seeds.permutations(seeds.fold(keys[:, None], each), width, sizes[:, None].expand(C, epochs))
    t, row = torch.arange(begin, end, device=device)[:, None], torch.arange(0, C * epochs, epochs, device=device)
    xp = torch
    if device.type == "cpu":   # the same words mean the same to NumPy, which says them three times as fast
        xp, (order, t, row, first, base, lane, sizes, per_epoch, total) = np, (
            a.numpy() for a in (order, t, row, first, base, lane, sizes, per_epoch, total))
    place = (t % per_epoch)[..., None] * len(lane) + lane
    real = (place < sizes[:, None]) & (t < total)[..., None]
    drawn = row + xp.clip(t // per_epoch - first, None, epochs - 1)
    rows = base[:, None] + order.reshape(-1)[drawn[..., None] * width + xp.clip(place, None, width - 1)]
    rows, real = torch.as_tensor(rows * real), torch.as_tensor(real)
    share = real / real.sum(-1, keepdim=True, dtype=dtype).clamp(min=1)
    return rows, share   # a place beyond the client's rows reads row 0 of the data, and counts for nothing
