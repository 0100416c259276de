"""Steps of AdamW of C clients side by side, as torch.optim.AdamW takes them: for every part that trains with it."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ..slots import Local
from ..types import Block, Cohort, Interrupted, Memory, Space, Stop, Table, Tamper, World
from .batches import batches
from .sgd import POLL


class Adam(Local):
    """The fields of AdamW, and its steps; parts under it say what goes home, and what is sent."""

    lr: float = Field(1e-3, gt=0, le=10, description="step size")
    steps: int = Field(30, ge=1, le=100_000, description="steps in a round, whatever the client's size")
    batch: int | None = Field(32, ge=1, le=1_000_000, description="rows in a step; all of the client's when empty")
    beta1: float = Field(0.9, ge=0, lt=1, description="memory of the direction")
    beta2: float = Field(0.999, ge=0, lt=1, description="memory of the size")
    eps: float = Field(1e-8, gt=0, le=1, description="added to the root of the size, lest it be zero")
    weight_decay: float = Field(0.01, ge=0, le=10, description="share of lr by which weights shrink in a step")
    clip: float | None = Field(None, gt=0, description="longest gradient a client may step along; none when empty")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the step size falls over the rounds, to lr_end times lr in the last one")
    lr_end: float = Field(0.0, ge=0, le=1, description="share of lr that is left in the last round")

    def rate(self, round: int, rounds: int) -> float:
        """The step size in round 1 .. rounds."""
        done = (round - 1) / max(rounds - 1, 1)
        fall = {"constant": 0.0, "linear": done, "cosine": (1 - math.cos(math.pi * done)) / 2}[self.schedule]
        return self.lr * (1 - fall * (1 - self.lr_end))

    def gives(self, world):
        return Space((Block("update", world.sent.width, shapes=world.layout.shapes_in(world.sent)),))

    def steps_of(self, sizes, largest):
        return torch.where(sizes > 0, self.steps, 0)

    def moments(self, world: World) -> Memory:
        """Tables of both moments [N, P] and of the steps ever taken [N, 1], all zero."""
        zero = torch.zeros(world.layout.total, dtype=world.dtype, device=world.device)
        return Memory({"m": Table(world.clients, zero), "v": Table(world.clients, zero),
                       "age": Table(world.clients, zero[:1])})

    def walk(self, world: World, w: Tensor, mine: dict[str, Tensor], cohort: Cohort, keys: Tensor,
             tamper: Tamper | None, stop: Stop, before: Callable[[int, Tensor, Tensor], None] | None = None,
             ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """(weights [C, P], mean losses [C], moments and ages) after the round's steps from weights w [C, P] with
        moments m, v [C, P] and ages [C, 1]. before(t, w, who) may change the weights, in place and as they stand, at
        the clients in places `who`, before step t = 0, 1, … Raises Interrupted when `stop` says so."""
        shards, lr = world.shards, self.rate(cohort.round, world.rounds)
        total = self.steps_of(cohort.sizes, shards.largest)
        order = total.argsort(descending=True, stable=True)   # who has no rows stands last: those at work are a prefix
        who, back = order.to(world.device), order.argsort().to(world.device)
        w, m, v, age = (rows[who].contiguous() for rows in (w, *(mine[name] for name in ("m", "v", "age"))))
        # A full batch is as wide as the largest client of all, so that shapes, and bits, do not depend on the chunk.
        batch = min(self.batch or shards.largest, max(shards.largest, 1))
        loss, t = w.new_zeros(len(w)), 0
        for steps in batches(shards, cohort.ids[order], keys.cpu()[order], batch, total[order], world.dtype, POLL):
            if stop():
                raise Interrupted
            for rows, share, alive, a in zip(*steps, strict=True):
                if before is not None:
                    before(t, w, who)
                x, y = shards.gather(rows[:a])
                x, y = (x, y) if tamper is None else tamper(x, y, who[:a])
                g, losses = world.gradient(w[:a], x, y, share[:a])
                self._step(w[:a], g, m[:a], v[:a], age[:a], alive[:a, None], lr)
                loss[:a] += losses * alive[:a]
                t += 1
        loss /= total[order].clamp(min=1).to(loss)
        return w[back], loss[back], {"m": m[back], "v": v[back], "age": age[back]}

    def _step(self, w, g, m, v, age, alive, lr):
        """One step, in place, of the clients that are alive [C, 1] (1 or 0)."""
        if self.clip is not None:
            g = g * (self.clip / g.norm(dim=1, keepdim=True).clamp(min=1e-30)).clamp(max=1)
        age += alive
        m.lerp_(g, (1 - self.beta1) * alive)
        v.lerp_(g * g, (1 - self.beta2) * alive)
        ever = age.double().clamp(min=1)   # in float32 1 - beta2^t would lose four of its digits in the first step
        first, second = ((1 - beta**ever).to(w) for beta in (self.beta1, self.beta2))
        w.mul_(1 - lr * self.weight_decay * alive)
        w.sub_(m / (v.sqrt() / second.sqrt() + self.eps) * (lr * alive / first))
