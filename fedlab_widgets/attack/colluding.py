from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from ..slots import Attack


class Colluding(Attack):
    """Liars who see every honest row of the round and all send one and the same row instead of their own.

    Where nobody in a round is honest there is nothing to see, and liars send what they learned.
    """

    access: ClassVar[str] = "all honest rows"
    needs_all = True

    @abstractmethod
    def craft(self, honest: Tensor, count: int) -> Tensor:
        """The lie [D], from the honest rows [H, D], H > 0, of the `count` rows of the round."""

    def lie(self, rows, bad, keys, space=None):
        if bad.all() or not bad.any():
            return rows
        return torch.where(bad[:, None], self.craft(rows[~bad], len(rows)), rows)

    def lacks(self, plan):
        if len(plan.liars) == plan.world.clients:
            yield (f"attack: {self.name} is made from honest rows, and all {plan.world.clients} clients lie; set "
                   "attack.liars to fewer")


def deviation(honest: Tensor) -> Tensor:
    """The sample standard deviation [D] (with H - 1) of honest rows [H, D]; zeros for a single one."""
    return honest.std(0, correction=1) if len(honest) > 1 else torch.zeros_like(honest[0])
