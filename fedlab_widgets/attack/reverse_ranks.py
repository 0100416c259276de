from typing import ClassVar

import torch

from ..part import part
from ..ranking import places
from ..slots import Attack
from ..types import Kind


@part
class ReverseRanks(Attack):
    """Liars train honestly, agree on an order by a vote among themselves, and all send it turned round.

    Access: own row (the liars show each other theirs, and see no honest one). lie: rows [C, D] of places, bad [C] ->
    where bad, the places of the weights in the descending order of the liars' summed places, tensor by tensor. A
    single liar turns its own ballot round. Takes ranks only. Raises BadInput for liars out of range.
    Source: Mozaffari et al., USENIX Security 2023 (see RankSGD), the attack on FRL in its released code.
    """

    takes: ClassVar = frozenset({Kind.RANKS})
    needs_all = True

    def lie(self, rows, bad, keys, space=None):
        sizes = [n for block in space.blocks for n in block.sizes]
        turned = places(-rows[bad].sum(0, keepdim=True), sizes)
        return torch.where(bad[:, None], turned.to(rows), rows)
