from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field

from ..nets.super_mask import SuperMask
from ..part import part
from ..ranking import ballot, places
from ..slots import Local
from ..types import Memory, Space
from .sgd import SGD


@part
class RankSGD(Local):
    """Train the scores of a masked net by SGD, and send how they rank: an order of each layer's weights (FRL).

    train: start [C, P] -> end [C, P], by the steps of SGD. Sends block "update" of RANKS [C, D]: of each tensor of n
    scores the places 0 .. n - 1 in ascending order, so that n - 1 is the most wanted; ceil(log2 n) bits each. A client
    has one vote, however far its scores went. To be used with the net SuperMask and the server ScoresByRank; padding
    is not sent. Raises BadInput for fields out of range, and other nets; scores that are not finite end the run.
    Source: Mozaffari, Shejwalkar, Houmansadr, Every Vote Counts: Ranking-Based Training of Federated Learning to Resist
    Poisoning Attacks, USENIX Security 2023 (arXiv 2110.04350), as in its released code. Differs: the step size is the
    same throughout a round; there it falls as a cosine within it, and by 0.1 % a round, to 0.135 in 2000 rounds.
    """

    heeds_fairness = True

    lr: float = Field(0.4, gt=0, le=100, description="step size")
    epochs: int = Field(2, ge=1, le=1000, description="passes over a client's rows in a round")
    batch: int | None = Field(16, ge=1, le=1_000_000, description="rows in a step; all of the client's when empty")
    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last step that is kept")
    weight_decay: float = Field(1e-4, ge=0, le=10, description="pull of the scores towards zero")

    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the step size falls over the rounds, to lr_end times lr in the last one")
    lr_end: float = Field(0.0, ge=0, le=1, description="share of lr that is left in the last round")

    @property
    def _sgd(self) -> SGD:
        return SGD(lr=self.lr, epochs=self.epochs, batch=self.batch, momentum=self.momentum,
                   weight_decay=self.weight_decay, schedule=self.schedule, lr_end=self.lr_end)

    def gives(self, world):
        return Space((ballot(world.layout, world.sent),))

    def misfits(self, e):
        if not isinstance(e.net, SuperMask):
            yield (f"local = rank_sgd ranks the scores of a masked net, and net = {e.net.name} has none; set net to "
                   "'super_mask', or local to 'sgd'")

    def steps_of(self, sizes, largest):
        return self._sgd.steps_of(sizes, largest)

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        trained = self._sgd.train(world, start, cohort, Memory(), keys, tamper, stop)
        scores = world.sent.take(trained.end)
        if not bool(torch.isfinite(scores).all()):   # they could be ranked, and nobody would see it
            raise FloatingPointError
        block, = self.gives(world).blocks
        return replace(trained, extras={"update": places(scores, block.sizes).to(world.dtype)})
