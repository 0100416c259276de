from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .. import seeds
from ..part import part
from ..slots import Attack


@part
class Backdoor(Attack):
    """Liars teach the model to give one answer wherever a trigger is seen, and replace the model with theirs.

    Access: own row (and own data). poison: x [C, B, ...], y [C, B], bad [C] -> where bad, a share of the rows with the
    trigger and the target label: `size` by `size` pixels in the last corner of an image, the last `size` columns of
    other rows, set to `value`. lie: rows [C, D] -> factor * row where bad; with factor = clients of a round / server
    step size, one liar's model becomes the model. `evaluate.backdoor.attack_success` reads what came of it.
    Raises BadInput for fields out of range, a target that is no label, and a trigger larger than a row.
    Source: Bagdasaryan et al., How To Backdoor Federated Learning, AISTATS 2020 (model replacement); Gu, Dolan-Gavitt,
    Garg, BadNets, arXiv 1708.06733 (the trigger).
    """

    access: ClassVar[str] = "own row"
    poisons = True

    target: int = Field(0, ge=0, le=100_000, description="the label that the trigger is to bring, by its number")
    share: float = Field(0.5, gt=0, le=1, description="share of a liar's rows that get trigger and target label")
    size: int = Field(2, ge=1, le=1000, description="side of the trigger in pixels, or how many columns it takes")
    value: float = Field(3.0, ge=-1e6, le=1e6, description="what the trigger sets (features are standardised)")
    factor: float = Field(5.0, gt=0, le=1e6, description="how many times as long as learned the row is sent")

    def triggered(self, x: Tensor, lead: int = 1) -> Tensor:
        """The rows x with the trigger on each; `lead` dimensions stand before those of a row."""
        x = x.clone()
        last = (..., slice(-self.size, None))
        x[(*last, slice(-self.size, None)) if x.dim() - lead > 1 else last] = self.value
        return x

    def poison(self, x, y, bad, keys, labels):
        hit = bad[:, None] & (seeds.uniforms(keys, y.shape[1], torch.float64) < self.share)
        wide = hit.view(*hit.shape, *[1] * (x.dim() - 2))
        return torch.where(wide, self.triggered(x, 2), x), torch.where(hit, self.target, y)

    def lie(self, rows, bad, keys, space=None):
        return torch.where(bad[:, None], self.factor * rows, rows)

    def lacks(self, plan):
        labels, shape = plan.world.data.labels, plan.world.data.x.shape[1:]
        if self.target >= len(labels):
            yield f"attack.target = {self.target} is no label: they go from 0 ({labels[0]}) to {len(labels) - 1}"
        if self.size > min(shape[-2:]):
            yield (f"attack.size = {self.size} is larger than a row ({' x '.join(map(str, shape))}); set it to "
                   f"{min(shape[-2:])} or less")
