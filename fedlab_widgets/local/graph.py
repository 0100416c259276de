"""A local step on buffers that stand still, captured once as a CUDA graph and then replayed.

A small step is thirty kernels of a few microseconds: asking for each from Python takes longer than running it. A graph
asks for all of them at once, but its shapes and addresses may never change. So clients stand in `room` lanes, those
beyond the cohort and those at rest masked out, and the step size is no part of it: rows count `lr` times as much
instead. Never run on a GPU by us so far; everything but the capture itself is tested on the CPU.
"""

from weakref import WeakKeyDictionary

import torch

from .fused import step

LANES = 16   # cohorts are padded to a multiple, so that one of another size seldom needs a graph of its own
_KEPT: WeakKeyDictionary = WeakKeyDictionary()   # net -> the buffers and graphs of its last few ways to step
MOST = 4


def captured(work, device: torch.device):
    """`work()` as something quick to call again: a CUDA graph on a GPU, itself elsewhere."""
    if device.type != "cuda":
        return work
    aside = torch.cuda.Stream(device)
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):
        for _ in range(3):   # libraries allocate their workspaces in the first calls
            work()
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class Still:
    """The buffers of a step for `room` clients with `batch` rows each, and the step on them."""

    @classmethod
    def of(cls, walk):
        """The buffers that suit a walk, at its start; kept from round to round.

        They read the rows of the walk's world, and are those of one thread: a GPU is given one chunk at a time.
        """
        sgd, world = walk.sgd, walk.world
        batch = sgd.batch or max(world.shards.largest, 1)
        room = -(-len(walk.w) // LANES) * LANES
        pull = walk.lr * (walk.pull + sgd.weight_decay)
        key = room, batch, pull, walk.push is not None, sgd.momentum, world.dtype, world.device
        kept = _KEPT.setdefault(world.net, {})
        if key not in kept:
            while len(kept) >= MOST:
                kept.pop(next(iter(kept)))
            kept[key] = cls(world, room, batch, pull, walk.push is not None, sgd.momentum)
        still = kept[key]
        still.begin(walk.start, walk.push, walk.lr)
        return still

    def __init__(self, world, room, batch, pull, pushed, momentum):
        new = lambda *shape, dtype=world.dtype: torch.zeros(shape, dtype=dtype, device=world.device)  # noqa: E731
        P = world.layout.total
        self.w, self.taken, self.loss = new(room, P), new(room), new(room)
        self.push = new(room, P) if pushed else None
        self.speed = new(room, P) if momentum else None
        self.rows, self.share, self.alive = new(room, batch, dtype=torch.int64), new(room, batch), new(room)
        layers, x, y = list(world.stack.layers), world.shards.x, world.shards.y

        def work():
            flat = self.rows.flatten()
            some = x.index_select(0, flat).view(room, batch, *x.shape[1:])
            losses = step(layers, self.w, some, y.index_select(0, flat).view(room, batch), self.share, self.alive, 1.0,
                          pull, self.push, self.speed, momentum)
            self.taken += self.alive
            self.loss += losses * self.alive

        self.step = captured(work, world.device)

    def begin(self, start, push, lr):
        self.count, self.lr = len(start), lr
        for buffer in (self.w, self.push, self.speed, self.rows, self.share, self.alive, self.taken, self.loss):
            if buffer is not None:
                buffer.zero_()
        self.w[:self.count] = start
        if push is not None:
            torch.mul(push, lr, out=self.push[:self.count])

    def go(self, steps):
        """The steps of a `batches.Steps`: nothing in here waits for the device."""
        share = steps.share * self.lr
        for t in range(len(steps.rows)):
            self.rows[:self.count].copy_(steps.rows[t])
            self.share[:self.count].copy_(share[t])
            self.alive[:self.count].copy_(steps.alive[t])
            self.step()

    def end(self):
        """The weights [C, P], the steps taken [C] and the summed losses [C], copied out."""
        C = self.count
        return self.w[:C].clone(), self.taken[:C].clone(), self.loss[:C] / self.lr
