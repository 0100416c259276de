"""Error feedback: what did not arrive of one row is added to the next, so that nothing is lost, only late."""

import torch
from torch import Tensor

from ..types import Memory, Table


def residual(world, space) -> Memory:
    """An empty residual [D] for every client, own "residual" [N, D]."""
    return Memory(own={"residual": Table(world.clients, torch.zeros(space.width, dtype=world.dtype,
                                                                    device=world.device))})


def kept(rows: Tensor, arrived: Tensor, mine: Memory) -> Memory:
    """The memory after rows [C, D], the old residual included, of which `arrived` [C, D] is what the server decodes."""
    return Memory(mine.own | {"residual": rows - arrived}, mine.shared)
