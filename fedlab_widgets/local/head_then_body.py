from dataclasses import replace

import torch
from pydantic import Field

from .. import seeds
from ..part import part
from ..slots import Correct, Local
from ..types import Block, Memory, Space, Trained
from .sgd import SGD


class Frozen(Correct):
    """Leave some columns where they are: g' = g on the others, free [P] from memory (1 or 0), and 0 on these."""

    linear = False

    def grad(self, g, w, start, mine):
        return g * mine.shared["free"]


@part
class HeadThenBody(Local):
    """Train the layers that stay at home first, then the others, each while the rest stands still (FedRep).

    train: start [C, P] -> end [C, P]; `head_epochs` passes of SGD over a client's rows move the columns that stay at
    home alone, then `epochs` passes move those that travel alone. Step size, batch and momentum are those of both;
    momentum starts at zero in each. Sends block "update" = end - start of what travels. Loss: the mean over all steps.
    Where no layer, or every layer, stays at home, that is plain SGD, and the run says so. Raises BadInput for fields
    out of range.
    Source: Collins et al., Exploiting Shared Representations for Personalized Federated Learning, ICML 2021 (arXiv
    2102.07078), Algorithm 1 (recalled). Differs: there the body takes one gradient step; here as many passes as asked.
    """

    heeds_fairness = True

    lr: float = Field(0.1, gt=0, le=100, description="step size")
    head_epochs: int = Field(2, ge=1, le=1000, description="passes over a client's rows that move its own layers")
    epochs: int = Field(1, ge=1, le=1000, description="passes after them that move the layers trained together")
    batch: int | None = Field(32, ge=1, le=1_000_000, description="rows in a step; all of the client's when empty")
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that is kept")

    def gives(self, world):
        return Space((Block("update", world.sent.width, shapes=world.layout.shapes_in(world.sent)),))

    def remarks(self, plan):
        """What a reader should know before the run, in sentences."""
        world = plan.world
        if not 0 < world.sent.width < world.layout.real.width:
            which = "none does" if world.sent.width else "all do"
            yield (f"local = head_then_body trains the layers that stay at home, then the others, and here {which}: it "
                   "is plain SGD. Set distribute to KeepLayers with the last layer, as the recipe fedrep does")

    def steps_of(self, sizes, largest):
        per_epoch = (sizes + (self.batch or max(largest, 1)) - 1) // (self.batch or max(largest, 1))
        return torch.where(sizes > 0, per_epoch * (self.head_epochs + self.epochs), 0)

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        body = world.sent.put(start.new_ones(world.sent.width))
        head = self._phase(self.head_epochs, 1 - body, world, start, cohort, keys, tamper, stop)
        both = self._phase(self.epochs, body, world, head.end, cohort, seeds.fold(keys, 1), tamper, stop)
        passes = self.head_epochs + self.epochs
        return Trained(both.end, (self.head_epochs * head.loss + self.epochs * both.loss) / passes)

    def _phase(self, epochs, free, world, start, cohort, keys, tamper, stop):
        """Passes of SGD that move the columns where free [P] is 1."""
        sgd = SGD(lr=self.lr, epochs=epochs, batch=self.batch, momentum=self.momentum)
        stack = world.stack and world.stack.moving(free)
        if stack is not None:   # layers as a whole: the fast path leaves them out
            return sgd.train(replace(world, stack=stack), start, cohort, Memory(), keys, tamper, stop)
        sgd = sgd.model_copy(update={"correct": (Frozen(),)})
        return sgd.train(world, start, cohort, Memory(shared={"0.free": free}), keys, tamper, stop)
