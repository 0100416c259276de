"""Local steps of C clients: straight into the weights where net and corrections allow it, else by a gradient."""

from dataclasses import replace

import torch

from ..types import Beside, Interrupted
from .fused import scripted
from .graph import Still


class Walk:
    """Where C clients stand between two steps: weights w [C, P], steps taken [C] and summed losses [C]."""

    def __init__(self, sgd, world, start, mines, lr, told=None):
        self.sgd, self.world, self.start, self.lr = sgd, world, start, lr
        self.told = start.new_zeros(len(start), 0) if told is None else told
        self.weighing = any(f.weighs_rows for f in world.fairness)
        self.penalised = any(f.penalises for f in world.fairness)
        self.w = start.clone(memory_format=torch.contiguous_format)
        self.taken, self.loss = (start.new_zeros(len(start)) for _ in range(2))
        self.speed = torch.zeros_like(self.w) if sgd.momentum else None
        self.general = [(c, m) for c, m in zip(sgd.correct, mines, strict=True) if not c.linear]
        self.pull, self.push = 0.0, None       # the sum of the affine corrections: g' = g + pull w + push
        for correct, its in zip(sgd.correct, mines, strict=True):
            if correct.linear:
                a, b = correct.affine(world, start, its)
                self.pull += a
                self.push = b if self.push is None else self.push if b is None else self.push + b
        # Steps that are affine in the gradient of a net written out by hand go straight into the weights.
        self.fused = world.stack is not None and not (self.general or self.penalised) and sgd.clip is None
        self.bare = world.stack is None and not (self.general or self.pull or sgd.weight_decay or sgd.momentum) and (
            self.push is None and sgd.clip is None)   # w <- w - lr g: no row of gradients is needed

    def go(self, pieces, tamper, stop):
        """The steps of `batches.Steps`, piece by piece. tamper(x, y) is what liars do to the rows of the first A
        clients. Raises Interrupted when `stop` says so."""
        by_hand = self.fused and tamper is None
        still = Still.of(self) if by_hand and self.world.device.type == "cuda" else None
        for steps in pieces:
            if stop():
                raise Interrupted
            if self.weighing:
                steps = self._weighed(steps)
            if still is not None:
                still.go(steps)
            elif by_hand:
                scripted()(list(self.world.stack.layers), self.w, self.world.shards.x, self.world.shards.y, *steps,
                           self.lr, self.pull + self.sgd.weight_decay, self.push, self.speed, self.sgd.momentum,
                           self.taken, self.loss)
            else:
                for rows, share, alive, a in zip(*steps, strict=True):
                    x, y = self.world.shards.gather(rows[:a])
                    beside = Beside(self.world.shards.group[rows[:a]], self.told[:a]) if self.penalised else None
                    self.step(*(tamper(x, y) if tamper else (x, y)), share[:a], alive[:a], beside)
        if still is not None:
            self.w, self.taken, self.loss = still.end()

    def _weighed(self, steps):
        """The same steps, with what each row counts in the eyes of the fairness parts."""
        world = self.world
        y, group = world.shards.y[steps.rows], world.shards.group[steps.rows]
        told = self.told.split([f.tells(world) for f in world.fairness], dim=1)
        for f, its in zip(world.fairness, told, strict=True):
            if f.weighs_rows:
                steps = steps._replace(share=steps.share * f.rows(world, y, group, its))
        return steps

    def step(self, x, y, share, alive, beside=None):
        """One step of the first A clients on x [A, B, ...], by the gradient of each."""
        count = len(x)
        w = self.w[:count]
        if self.bare:
            found, losses = self.world.gradients(w, x, y, share, beside)
            for name, mine in self.world.layout.views(w).items():
                mine.addcmul_(found[name], alive.view(-1, *[1] * (mine.dim() - 1)), value=-self.lr)
        else:
            losses = self._row(w, x, y, share, alive, beside)
        self.taken[:count] += alive
        self.loss[:count] += losses * alive

    def _row(self, w, x, y, share, alive, beside):
        """A step with the gradient as a row [A, P] in hand, for whatever is done to it; returns the losses."""
        count = len(x)
        g, losses = self.world.gradient(w, x, y, share, beside)
        for correct, its in self.general:
            start, its = self.start[:count], replace(its, own={k: v[:count] for k, v in its.own.items()})
            if correct.sees_rows:
                g = g + correct.batch(self.world, w, x, y, share, start, its)
            g = correct.grad(g, w, start, its)
        if self.push is not None:
            g = g + self.push[:count]
        if self.pull:
            g = g + self.pull * w
        if self.sgd.clip is not None:
            g = g * (self.sgd.clip / g.norm(dim=1, keepdim=True).clamp(min=1e-30)).clamp(max=1)
        if self.sgd.weight_decay:
            g = g + self.sgd.weight_decay * w
        if self.speed is not None:
            g = self.speed[:count].mul_(self.sgd.momentum).add_(g)
        w.addcmul_(g, alive[:, None], value=-self.lr)
        return losses
