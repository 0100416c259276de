import math
from typing import Literal

import torch
from pydantic import Field

from ..part import part, slots
from ..slots import Correct, Local
from ..types import Block, Interrupted, Memory, Space, Trained

POLL = 8  # steps between two looks at the stop flag


@part
class SGD(Local):
    """Stochastic gradient descent on each client's own rows, all clients of a chunk side by side.

    train: start [C, P] -> end [C, P]; each client shuffles its rows every epoch, takes ceil(n / batch) steps in it and
    rests when done. A step is  m <- momentum m + clip(g') + weight_decay w;  w <- w - lr m,  with g' the mean gradient
    of the batch after the corrections; momentum starts at zero every round (torch.optim.SGD's form, no dampening).
    Sends block "update" = end - start, then the corrections' blocks.
    Raises BadInput for fields out of range. Source: McMahan et al., AISTATS 2017, Algorithm 1 (ClientUpdate).
    """

    alternatives = (("epochs", "steps"),)

    lr: float = Field(0.1, gt=0, le=100, description="step size")
    epochs: int | None = Field(1, ge=1, le=1000, description="passes over a client's rows in a round")
    steps: int | None = Field(None, ge=1, le=100_000, description="or: steps in a round, whatever the client's size")
    batch: int | None = Field(32, ge=1, le=1_000_000, description="rows in a step; all of the client's when empty")
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that is kept")
    weight_decay: float = Field(0.0, ge=0, le=10, description="pull of the weights towards zero")
    clip: float | None = Field(None, gt=0, description="longest gradient a client may step along; none when empty")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the step size falls over the rounds, to lr_end times lr in the last one")
    lr_end: float = Field(0.0, ge=0, le=1, description="share of lr that is left in the last round")
    correct: slots(Correct) = Field((), description="corrections against drift")

    def rate(self, round: int, rounds: int) -> float:
        """The step size in round 1 .. rounds.

        >>> SGD(lr=1.0, schedule="linear").rate(2, 3)
        0.5
        """
        done = (round - 1) / max(rounds - 1, 1)
        fall = {"constant": 0.0, "linear": done, "cosine": (1 - math.cos(math.pi * done)) / 2}[self.schedule]
        return self.lr * (1 - fall * (1 - self.lr_end))

    def gives(self, world):
        extra = [block for correct in self.correct for block in correct.blocks(world)]
        return Space((Block("update", world.sent.width), *extra))

    def steps_of(self, sizes, largest):
        batch = self.batch or max(largest, 1)
        per_epoch = (sizes + batch - 1) // batch
        return torch.where(sizes > 0, per_epoch * self.epochs if self.steps is None else self.steps, 0)

    def init(self, world):
        memory = Memory()
        for i, correct in enumerate(self.correct):
            memory |= correct.init(world).prefixed(str(i))
        return memory

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        lr = self.rate(cohort.round, world.rounds)
        mines = [mine.under(str(i)) for i in range(len(self.correct))]
        pull, push = self._affine(world, start, mines)
        general = [(c, m) for c, m in zip(self.correct, mines, strict=True) if not c.linear]
        w = start.clone()
        speed = torch.zeros_like(w) if self.momentum else None
        taken, loss = w.new_zeros(len(w)), w.new_zeros(len(w))
        shards = world.shards
        # A full batch is as wide as the largest client of all, so that shapes, and bits, do not depend on the chunk.
        batch, total = self.batch or max(shards.largest, 1), self.steps_of(cohort.sizes, shards.largest)
        for t, (rows, real) in enumerate(shards.batches(cohort.ids, keys, batch, total)):
            if t % POLL == 0 and stop():
                raise Interrupted
            x, y = shards.x[rows], shards.y[rows]
            if tamper is not None:
                x, y = tamper(x, y)
            g, losses = world.gradient(w, x, y, real)
            for correct, its in general:
                g = correct.grad(g, w, start, its)
            if push is not None:
                g = g + push
            if pull:
                g = g + pull * w
            if self.clip is not None:
                g = g * (self.clip / g.norm(dim=1, keepdim=True).clamp(min=1e-30)).clamp(max=1)
            if self.weight_decay:
                g = g + self.weight_decay * w
            alive = real.any(1)
            if speed is not None:
                g = speed = self.momentum * speed + g
            w = w - (lr * alive.to(w.dtype))[:, None] * g    # a client with no more rows rests
            taken, loss = taken + alive, loss + losses * alive
        extras, own = {}, {}
        for i, (correct, its) in enumerate(zip(self.correct, mines, strict=True)):
            blocks, kept = correct.finish(world, start, w, lr * taken[:, None], its)
            extras |= blocks
            own |= {f"{i}.{name}": rows for name, rows in kept.items()}
        return Trained(w, loss / taken.clamp(min=1), extras, own)

    def fold(self, world, value, memory, share):
        for i, correct in enumerate(self.correct):
            memory |= correct.fold(world, value, memory.under(str(i)), share).prefixed(str(i))
        return memory

    def _affine(self, world, start, mines):
        """The sum of the affine corrections: g' = g + pull w + push."""
        pull, push = 0.0, None
        for correct, its in zip(self.correct, mines, strict=True):
            if correct.linear:
                a, b = correct.affine(world, start, its)
                pull = pull + a
                push = b if push is None else push if b is None else push + b
        return pull, push
