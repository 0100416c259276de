"""One local step of C clients: straight into the weights where net and corrections allow it, else by a gradient."""

from dataclasses import replace

import torch


class Walk:
    """Where C clients stand between two steps: weights w [C, P], steps taken [C] and summed losses [C]."""

    def __init__(self, sgd, world, start, mines, lr):
        self.sgd, self.world, self.start, self.lr = sgd, world, start, lr
        self.w = start.clone(memory_format=torch.contiguous_format)
        self.taken, self.loss = (start.new_zeros(len(start)) for _ in range(2))
        self.speed = torch.zeros_like(start) if sgd.momentum else None
        self.general = [(c, m) for c, m in zip(sgd.correct, mines, strict=True) if not c.linear]
        self.pull, self.push = 0.0, None       # the sum of the affine corrections: g' = g + pull w + push
        for correct, its in zip(sgd.correct, mines, strict=True):
            if correct.linear:
                a, b = correct.affine(world, start, its)
                self.pull += a
                self.push = b if self.push is None else self.push if b is None else self.push + b
        # Steps that are affine in the gradient of a net written out by hand go straight into the weights.
        self.fused = world.stack is not None and not self.general and sgd.clip is None and self.speed is None
        self.shift = None if self.push is None or not self.fused else -lr * self.push

    def step(self, x, y, real):
        """One step of the first A clients on x [A, B, ...]; one among them without real rows stays where it is."""
        alive = real.any(1).to(self.w.dtype)
        losses = (self._fused if self.fused else self._held)(self.w[:len(x)], x, y, real, alive)
        self.taken[:len(x)] += alive
        self.loss[:len(x)] += losses * alive

    def _fused(self, w, x, y, real, alive):
        seen, errors, losses = self.world.stack.errors(w, x, y, real)
        pull = self.pull + self.sgd.weight_decay
        if pull:
            w *= 1 - self.lr * pull * alive[:, None]
        if self.shift is not None:
            w.addcmul_(self.shift[:len(w)], alive[:, None])
        self.world.stack.add(w, seen, errors, -self.lr)
        return losses

    def _held(self, w, x, y, real, alive):
        """The same with the gradient [A, P] in hand, for what needs to see it."""
        count = len(w)
        g, losses = self.world.gradient(w, x, y, real)
        for correct, its in self.general:
            g = correct.grad(g, w, self.start[:count], replace(its, own={k: v[:count] for k, v in its.own.items()}))
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
