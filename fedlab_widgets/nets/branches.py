from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from ..part import BadInput, part, slot
from ..slots import Net
from .mlp import MLP


class Fork(nn.Module):
    """Nets of one shape side by side; the answer is that of the one at the largest entry of `choice` [k]."""

    def __init__(self, nets: list[nn.Module]):
        super().__init__()
        self.choice = nn.Parameter(torch.zeros(len(nets)))
        self.branches = nn.ModuleList(nets)

    def forward(self, x: Tensor) -> Tensor:
        outputs = torch.stack([net(x) for net in self.branches])   # all of them: under vmap clients differ in theirs
        mine = torch.arange(len(outputs), device=x.device) == self.choice.argmax()
        return torch.where(mine[:, None, None], outputs, 0).sum(0)


@part
class Branches(Net):
    """Several copies of a net that start apart; each client uses the one that suits it (clusters of clients).

    build: rows [B, *inputs] -> [B, K] of the branch at the largest entry of `choice` [k], at first 0 for all: k P + k
    weights, of which `choice` is the client's own and stays at home. To be used with the distribute part KeepLayers of
    "choice" and the local training LeastLoss; `run.model(client).choice.argmax()` is the branch of a client. Steps that
    are not LeastLoss's, and readings, go through all k nets. Raises BadInput for k out of range, and for nets that
    freeze weights, which would differ between branches. Source: the k cluster models of Ghosh et al. (see LeastLoss).
    """

    of: slot(Net) = Field(MLP(), description="the net of each branch")
    k: int = Field(3, ge=2, le=16, description="how many branches: as many as there are kinds of clients")

    def build(self, inputs, outputs):
        nets = [self.of.build(inputs, outputs) for _ in range(self.k)]
        if not all(p.requires_grad for p in nets[0].parameters()):
            raise BadInput(f"net = branches cannot copy {self.of.name}, which freezes weights; let all of them learn")
        return Fork(nets)

    def remarks(self, plan):
        """What a reader should know before the run, in sentences."""
        if not getattr(plan.experiment.local, "chooses", False):
            yield (f"net = branches has {self.k} branches, and local = {plan.experiment.local.name} never chooses one: "
                   "all clients train the first. Set local to 'least_loss'")


def count(world) -> int:
    """How many branches the net of a world has; 1 where it is no fork."""
    return len(world.net.branches) if isinstance(world.net, Fork) else 1


def unfit(part, plan) -> Iterator[str]:
    """Why the columns that travel are not just one branch after another, as parts that cut rows into them need."""
    k, shapes = count(plan.world), plan.world.layout.shapes_in(plan.world.sent)
    if k == 1:
        return
    each = shapes[:len(shapes) // k]
    if not each or shapes != each * k:
        yield (f"{part.slot} = {part.name} needs each client's choice of a branch to stay at home, and the same layers "
               "of all branches to travel; set distribute to KeepLayers(layers=(\"choice\",))")
    if len(plan.space.blocks) > 1:
        more = ", ".join(b.name for b in plan.space.blocks[1:])
        yield (f"{part.slot} = {part.name} cuts rows into branches, and local sends {more} beside the update; remove "
               "the correction from local.correct")


def most_moved(pieces: Tensor) -> tuple[Tensor, Tensor]:
    """pieces [C, k, W] of rows -> which of the k is longest [C], and whether it is no zero [C]."""
    longest, which = pieces.square().sum(2).max(1)
    return which, longest != 0   # what is no number moves, so that a run that explodes ends
