import math

import torch
from pydantic import Field
from torch import Tensor

from ..aggregate.collaborators import Collaborators
from ..part import part
from ..slots import Correct
from ..types import Block, Kind

TINY = 1e-10   # of the released code: below this a threshold is noise


@part
class Critical(Correct):
    """Say which weights mattered most in training, beside the update: one bit a weight (FedCAC). No step is changed.

    finish: a weight's sensitivity is |(end - start) end| [C, width]; of each tensor of n weights the floor(tau n) most
    sensitive are critical. Where the last of these has 1e-10 or less, all above 0 are, as in the released code. Ties
    are critical together; what did not move never is. Block "critical": a mask of `width` bits, one a column that
    travels, so width / 8 bytes up, uncoded. Raises BadInput for an aggregate other than collaborators.
    Source: Wu et al., Bold but Cautious: Unlocking the Potential of Personalized Federated Learning through
    Cautiously Aggressive Collaboration, ICCV 2023 (arXiv 2309.11103), from their released code; tau 0.5 is theirs for
    CIFAR-10.
    """

    tag = "models of their own"

    tau: float = Field(0.5, ge=0, le=1, description="share of each tensor's weights that are critical")

    def blocks(self, world):
        return (Block("critical", world.sent.width, Kind.BITS, world.layout.shapes_in(world.sent)),)

    def finish(self, world, start, end, path, mine):
        sizes = self.blocks(world)[0].sizes
        sensitive = world.sent.take((end - start).mul_(end).abs_())
        masks = [most(some, math.floor(self.tau * some.shape[1])) for some in sensitive.split(sizes, dim=1)]
        return {"critical": torch.cat(masks, dim=1)}, {}

    def misfits(self, e):
        if not isinstance(e.aggregate, Collaborators):
            yield (f"local.correct = Critical sends a mask for collaborators to be found by, and aggregate = "
                   f"{e.aggregate.name} has no use for it; set aggregate to 'collaborators' and distribute to "
                   "'own_models', or leave it out")


def most(sensitive: Tensor, k: int) -> Tensor:
    """The mask [C, n], 1 for the k largest of each row of sensitive [C, n] >= 0, for ties with the last of them, and
    for all above 0 where that one is at most TINY.

    >>> most(torch.tensor([[0.3, 0.1, 0.2], [0.0, 0.5, 0.0]]), 2).tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    if not k:
        return torch.zeros_like(sensitive)
    last = sensitive.kthvalue(sensitive.shape[1] - k + 1, dim=1, keepdim=True).values
    return ((sensitive >= last) & (last > TINY) | (sensitive > 0) & (last <= TINY)).to(sensitive)
