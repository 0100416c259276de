"""Where the client half of a round runs, and by which path through the net. An executor is an argument of `run`, not of
the experiment: what a run is does not depend on where it happens."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .part import BadInput
from .trial import Trial
from .types import Cohort, World, chunks_of

if TYPE_CHECKING:
    from .plan import Plan

CACHE = 4 * 2**20   # bytes of client weights that are trained side by side: what stays in a core's cache


class PlaceLost(RuntimeError):
    """Where clients train has gone: a sentence with the way on. The run ends as failed, and may be resumed."""


class TooBig(MemoryError):
    """A chunk did not fit into memory: a sentence, and the executor to do the round again with."""

    def __init__(self, said: str, smaller: Executor):
        super().__init__(said)
        self.smaller = smaller


def short_of_memory(error: BaseException) -> bool:
    return (isinstance(error, (MemoryError, torch.OutOfMemoryError))
            or any(words in str(error) for words in ("allocate memory", "can't start new thread")))


class Executor(ABC):
    """Runs `work` on pieces of a cohort and yields what comes back in the order of the cohort."""

    @abstractmethod
    def settled(self, world: World) -> Executor:
        """The same executor with every choice made, so that a resumed run can repeat it."""

    @abstractmethod
    def path(self, plan: Plan) -> Plan:
        """The plan as the client half is to see it: which of the ways through the net its world offers."""

    @abstractmethod
    def map(self, work: Callable[[Cohort], Any], cohort: Cohort) -> Iterator[Any]:
        """work(piece) for consecutive pieces of the cohort."""

    @abstractmethod
    def describe(self) -> dict:
        """The settings to record: {"executor": name, "path": name, …}."""

    def steady(self) -> Executor:
        """The same, trying nothing out: for work that says nothing about training."""
        return self

    def smaller(self) -> Executor | None:
        """The same with fewer clients side by side, for want of memory; None where there is no less."""
        return None

    def lessen(self, error: Exception) -> None:
        """Raises TooBig when the error is one of memory, and fewer clients side by side may need less."""
        smaller = self.smaller() if short_of_memory(error) else None
        if smaller is not None:
            raise TooBig(f"out of memory with {self.describe()['chunk']} clients side by side: the round is done again "
                         f"with {smaller.describe()['chunk']}", smaller) from error


@dataclass(frozen=True)
class Stacked(Executor):
    """Trains `chunk` clients at a time as one batch dimension; when None sized to the cache, and halved where the first
    round with enough of them shows that to be cheaper.

    way: "fused", the net written out by hand (linear layers with pointwise steps between them), or "vmap", any net
    that torch can batch; None takes the first that fits. workers: threads, a chunk each; None for one a core.
    Bits are the same for any chunk of two or more and any number of workers; alone (chunk 1), a convolution's may
    differ in the last place. Raises BadInput for a chunk or workers below 1, and for a way that does not fit the net.
    """

    chunk: int | None = None
    way: str | None = None
    workers: int | None = None
    trial: Trial | None = field(default=None, compare=False, repr=False)   # of the chunk, unless it was given

    def __post_init__(self):
        for name in ("chunk", "workers"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise BadInput(f"{name} = {value!r} is not allowed: give a whole number at least 1, or None")
        if self.way not in (None, "fused", "vmap"):
            raise BadInput(f"way = {self.way!r} is not allowed: give \"fused\", \"vmap\" or None")

    def settled(self, world):
        if self.way == "fused" and world.stack is None:
            raise BadInput(f"way = 'fused' does not fit: {world.why}; leave it out, and torch's vmap is taken")
        chunk = self.chunk or max(1, CACHE // (world.layout.total * world.dtype.itemsize))
        return Stacked(chunk, self.way or ("vmap" if world.stack is None else "fused"), _workers(self.workers, world),
                       None if self.chunk else Trial(chunk))

    def path(self, plan):
        return _without_stack(plan) if self.way == "vmap" else plan

    def map(self, work, cohort):
        # What fits one cache is not cut to give every core some: small steps wait for the interpreter, not for a core.
        size = self.trial.size(len(cohort)) if self.trial else self.chunk
        pieces = chunks_of(len(cohort), size) if size else self.trial.pieces(len(cohort))
        work = work if size else self.trial.timed(work)
        return in_order(work, [cohort[piece] for piece in pieces], self.workers or 1)

    def steady(self):
        return replace(self, trial=None)

    def smaller(self):
        return replace(self, chunk=max(self.chunk // 2, 1), trial=None) if self.chunk > 1 else None

    def describe(self):
        return {"executor": "stacked", "path": self.way, "chunk": self.chunk, "workers": self.workers}


@dataclass(frozen=True)
class OneByOne(Executor):
    """Trains each client alone, as torch and autograd would: the reference, and the way for nets that do not gain from
    stacking. workers: threads, a client each. Raises BadInput for workers below 1."""

    workers: int | None = 1

    __post_init__ = Stacked.__post_init__
    chunk, way, trial = 1, None, None

    def settled(self, world):
        return OneByOne(_workers(self.workers, world))

    def path(self, plan):
        plan = _without_stack(plan)
        return replace(plan, world=replace(plan.world, stacks=False))

    map = Stacked.map

    def describe(self):
        return {"executor": "one by one", "path": "one net at a time", "chunk": 1, "workers": self.workers}


def fitting(world: World) -> tuple[Executor, str]:
    """The executor that suits a world, and why."""
    if world.stack is not None:
        return Stacked(), "linear layers: the net is written out by hand, clients side by side"
    if not world.stacks:
        return OneByOne(None), f"{world.why}, and torch cannot batch it: one client a thread"
    if world.device.type == "cpu" and any(isinstance(m, nn.modules.conv._ConvNd) for m in world.net.modules()):
        return OneByOne(None), f"{world.why}; convolutions of several clients do not gain from stacking on a CPU"
    return Stacked(), f"{world.why}: clients side by side by torch's vmap"


def in_order(work: Callable[[Any], Any], pieces: list, workers: int) -> Iterator[Any]:
    """work(piece) for every piece, in order, on so many threads; never many more results at hand than threads.

    When one fails, or nobody wants more, the others are waited for: they poll the same stop flag.
    """
    if workers == 1 or len(pieces) < 2:
        yield from map(work, pieces)
        return
    ahead: deque = deque()
    with ThreadPoolExecutor(min(workers, len(pieces)), initializer=partial(torch.set_num_threads, 1)) as pool:
        try:
            for piece in pieces:
                ahead.append(pool.submit(work, piece))
                if len(ahead) > workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def as_described(settings: dict, here: bool = False) -> Executor:
    """The executor that `describe` recorded. here: of a cluster's, the one that its tasks used, on this machine."""
    if settings.get("executor") == "ray" and here:
        chunk, way = settings["chunk"], settings["path"]
        return OneByOne(None) if way == "one by one" else Stacked(chunk, way)
    if settings.get("executor") == "ray":
        from .cluster import Ray  # which imports this

        return Ray(settings["address"], settings["chunk"], settings["path"], settings["num_cpus"], settings["num_gpus"])
    if settings.get("executor") == "one by one":
        return OneByOne(settings.get("workers"))
    return Stacked(settings.get("chunk"), settings.get("path", "vmap"), settings.get("workers"))


def _workers(wanted: int | None, world: World) -> int:
    if wanted is not None or world.device.type != "cpu":
        return wanted or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _without_stack(plan: Plan) -> Plan:
    return replace(plan, world=replace(plan.world, stack=None))
