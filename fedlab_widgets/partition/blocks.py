"""What the skewed partitions share: rows that go home to a block of clients, and rows that go astray."""

import torch
from torch import Tensor

from .. import seeds


def send_home(home: Tensor, blocks: int, clients: int, stay: float, key: Tensor) -> Tensor:
    """Client [rows] of rows with home block [rows] in 0 .. blocks - 1, each staying with chance `stay`.

    The clients form `blocks` runs of (nearly) equal length. Within a block, rows are dealt out evenly after a shuffle.
    Exactly round(stay * n) of a block's n rows stay; the others go to the other blocks in turn.
    With fewer clients than blocks, block b lives on client b mod clients.
    """
    order = seeds.permutations(key, len(home))
    target = home.clone()
    for b in range(blocks):
        mine = order[home[order] == b]
        away = mine[round(stay * len(mine)):]
        if blocks > 1:
            target[away] = (b + 1 + torch.arange(len(away)) % (blocks - 1)) % blocks
    owner = torch.empty_like(target)
    for b in range(blocks):
        first, last = (b * clients // blocks, (b + 1) * clients // blocks) if clients >= blocks else (b % clients,) * 2
        members = order[target[order] == b]
        owner[members] = first + torch.arange(len(members)) % max(last - first, 1)
    return owner
