from typing import ClassVar

import torch
from pydantic import Field

from ..part import part
from ..slots import Attack


@part
class Scaled(Attack):
    """Liars send what they learned, made longer, so that they count for more than one client.

    Access: own row. lie: rows [C, D], bad [C] -> factor * row where bad. Raises BadInput for fields out of range.
    Source: Bhagoji et al., Analyzing Federated Learning through an Adversarial Lens, ICML 2019 (explicit boosting).
    """

    access: ClassVar[str] = "own row"

    factor: float = Field(10.0, gt=0, le=1e6, description="length of the lie in lengths of the honest row")

    def lie(self, rows, bad, keys, space=None):
        return torch.where(bad[:, None], self.factor * rows, rows)
