"""Many steps of SGD on a net written out by hand, straight into the weights, outside Python.

TorchScript walks through them without the interpreter and its lock: threads with a chunk each really run side by side,
and the page answers meanwhile. Measured against the same functions called from Python: 15 % less time on one thread;
on two, the lock left next to nothing to gain. The bits are the same. (TorchScript is no longer developed, but is there
in every torch that we admit; where it is not, Python does it.)
"""

import warnings
from functools import cache

import torch
from torch import Tensor

from ..stack import Dense, add, errors


def step(layers: list[Dense], w: Tensor, x: Tensor, y: Tensor, share: Tensor, alive: Tensor, lr: float, pull: float,
         push: Tensor | None, speed: Tensor | None, momentum: float) -> Tensor:
    """g' = gradient + pull w + push;  speed <- momentum speed + g';  w <- w - lr speed  (or g', without momentum).

    In place, for clients w [A, P] on rows x [A, B, ...]; those not alive [A] stay where they are. Returns losses [A].
    """
    seen, found, losses = errors(layers, w, x, y, share)
    working = alive.unsqueeze(1)
    if speed is None:
        if pull != 0.0:
            w.mul_(1 - lr * pull * working)
        if push is not None:
            w.addcmul_(push[:w.size(0)], working, value=-lr)
        add(layers, w, seen, found, -lr)
    else:
        fast = speed[:w.size(0)].mul_(momentum)
        if pull != 0.0:
            fast.add_(w, alpha=pull)
        if push is not None:
            fast.add_(push[:w.size(0)])
        add(layers, fast, seen, found, 1.0)
        w.addcmul_(fast, working, value=-lr)
    return losses


def steps(layers: list[Dense], w: Tensor, x: Tensor, y: Tensor, rows: Tensor, share: Tensor, alive: Tensor,
          at_work: list[int], lr: float, pull: float, push: Tensor | None, speed: Tensor | None, momentum: float,
          taken: Tensor, loss: Tensor) -> None:
    """Steps t on rows[t] [C, B] of the data x, y by the first at_work[t] clients; adds to taken [C] and loss [C]."""
    for t, a in enumerate(at_work):
        which = rows[t, :a]
        flat = which.flatten()
        some = x.index_select(0, flat).unflatten(0, which.shape)
        on = alive[t, :a]
        losses = step(layers, w[:a], some, y.index_select(0, flat).view_as(which), share[t, :a], on, lr, pull, push,
                      speed, momentum)
        taken[:a].add_(on)
        loss[:a].add_(losses * on)


@cache
def scripted():
    """`steps`, by TorchScript where it is to be had."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")   # that it is no longer developed
        try:
            fast = torch.jit.script(steps)
        except Exception:                 # whatever a version of torch or Python without it raises
            return steps

    def run(*arguments):
        with torch.jit.optimized_execution(False):   # optimising costs the first calls 0.3 s, and gains nothing here
            fast(*arguments)

    return run
