from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ..fairness.look import looks
from ..layout import Layout
from ..nets import branches
from ..part import part
from ..slots import Local
from ..stack import Stack
from ..types import Block, Memory, Space, World
from .sgd import SGD


@part
class LeastLoss(Local):
    """Choose the branch of the net with the least loss on the client's own rows, and train that one (IFCA).

    train: start [C, P] -> end [C, P]. The losses [C, k] of all branches on a client's training rows are summed; the
    least one's branch takes the steps of SGD, the others stay, and `choice` [k] of the net Branches becomes 1 there
    and 0 elsewhere. Sends block "update" = end - start. Choosing costs k passes forward. Liars choose by true rows.
    Where the net has no branches this is plain SGD, and the run says so. Raises BadInput for fields out of range, and
    where the choice does not stay at home.
    Source: Ghosh, Chung, Yin, Ramchandran, An Efficient Framework for Clustered Federated Learning, NeurIPS 2020 (arXiv
    2006.04088), Algorithm 1 (recalled). Differs: a client that is not asked keeps its last choice, for readings too.
    """

    heeds_fairness = True
    chooses: ClassVar = True   # one of the branches

    lr: float = Field(0.1, gt=0, le=100, description="step size")
    epochs: int = Field(1, ge=1, le=1000, description="passes over a client's rows in a round")
    batch: int | None = Field(32, ge=1, le=1_000_000, description="rows in a step; all of the client's when empty")
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that is kept")

    @property
    def _sgd(self) -> SGD:
        return SGD(lr=self.lr, epochs=self.epochs, batch=self.batch, momentum=self.momentum)

    def gives(self, world):
        return Space((Block("update", world.sent.width, shapes=world.layout.shapes_in(world.sent)),))

    def lacks(self, plan):
        yield from branches.unfit(self, plan)

    def remarks(self, plan):
        """What a reader should know before the run, in sentences."""
        if branches.count(plan.world) == 1:
            yield "local = least_loss has no branches to choose from: it is plain SGD. Set net to 'branches'"

    def steps_of(self, sizes, largest):
        return self._sgd.steps_of(sizes, largest)

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        k = branches.count(world)
        if k == 1:
            return self._sgd.train(world, start, cohort, Memory(), keys, tamper, stop)
        one, end = _inner(world), start.clone(memory_format=torch.contiguous_format)
        each = end[:, world.layout.offsets[1]:].unflatten(1, (k, -1))   # a view: what is written there is in `end`
        found = torch.stack([_losses(one, each[:, j], cohort.ids) for j in range(k)], 1).argmin(1)
        who = torch.arange(len(end), device=end.device)
        trained = self._sgd.train(one, each[who, found], cohort, Memory(), keys, tamper, stop)
        each[who, found] = trained.end
        world.layout.views(end)["choice"].copy_(nn.functional.one_hot(found, k))
        return replace(trained, end=end)


def _inner(world: World) -> World:
    """The world of a single branch: written out by hand where that can be done and clients run side by side."""
    net = world.net.branches[0]
    layout = Layout.of(net)
    stack = Stack.of(net, layout, world.task)[0] if world.stacks and not world.mixed else None
    return replace(world, net=net, layout=layout, sent=layout.real, stack=stack)


def _losses(world: World, w: Tensor, ids: Tensor) -> Tensor:
    """The summed losses [C] of weights w [C, p] on the training rows of clients ids [C]."""
    total = w.new_zeros(len(w))
    for look in looks(world, w, ids):
        total[look.who] += (world.task.loss(look.outputs, look.y) * look.there).sum(1)
    return total
