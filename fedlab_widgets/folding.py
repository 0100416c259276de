"""Rows come from clients in chunks of any size, and are folded in blocks of one: sums come out the same bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 16   # clients folded at a time, whatever the chunk


def blocks(rows: Iterator[Tensor], size: int = BLOCK) -> Iterator[Tensor]:
    """The same rows in blocks of `size`, however they come; only what crosses two chunks is copied.

    >>> [len(block) for block in blocks(iter([torch.ones(3, 1), torch.ones(6, 1)]), size=4)]
    [4, 4, 1]
    """
    held = None
    for some in rows:
        if held is not None:
            need = size - len(held)
            held, some = torch.cat([held, some[:need]]), some[need:]
            if len(held) < size:
                continue
            yield held
        whole = len(some) // size * size
        yield from some[:whole].split(size) if whole else ()
        held = some[whole:].clone() if len(some) > whole else None   # a view would keep the whole chunk
    if held is not None:
        yield held
