from typing import ClassVar

import torch

from ..part import part
from ..slots import Attack


@part
class LabelFlip(Attack):
    """Liars train on wrong labels: y becomes K - 1 - y.

    Access: own data. poison: x [C, B, ...], y [C, B], bad [C] -> labels turned round where bad. With two labels: the
    opposite one. Raises BadInput for liars out of range.
    Source: Fang et al., USENIX Security 2020, section 4.1 (the form K - 1 - y).
    """

    access: ClassVar[str] = "own data"
    poisons = True

    def poison(self, x, y, bad, keys, labels):
        return x, torch.where(bad[:, None], labels - 1 - y, y)
