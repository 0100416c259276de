from typing import ClassVar

import torch
from pydantic import Field

from ..part import part
from ..slots import Attack


@part
class SignFlip(Attack):
    """Liars send the opposite of what they learned, `scale` times as long.

    Access: own row. lie: rows [C, D], bad [C] -> rows with -scale * row where bad.
    Raises BadInput for fields out of range. Source: standard; e.g. Li et al., RSA, AAAI 2019.
    """

    access: ClassVar[str] = "own row"

    scale: float = Field(1.0, gt=0, le=1000, description="length of the lie in lengths of the honest row")

    def lie(self, rows, bad, keys, space=None):
        return torch.where(bad[:, None], -self.scale * rows, rows)
