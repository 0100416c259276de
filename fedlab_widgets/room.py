"""What a run needs at least, held against the memory that is free: said before it starts, not when it dies."""

from __future__ import annotations

import math
import shutil
from copy import deepcopy
from tempfile import gettempdir

import psutil
import torch
from torch import nn

from . import table
from .executors import Executor
from .part import BadInput
from .plan import Plan, begin
from .shards import Data
from .spec import Experiment
from .types import State
from .wording import size


def free(device: torch.device) -> int:
    """Bytes of memory that nobody uses just now, where a run would be."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def for_rows(data: Data, dtype: torch.dtype, device: torch.device) -> None:
    """Raises BadInput where the rows cannot be dealt out: they are copied for it, and converted before."""
    copies = 1 + (data.x.dtype != dtype or device.type != data.x.device.type)
    need, there = copies * data.x.numel() * dtype.itemsize, free(device)
    if need > there:
        less = " or precision=float32" if dtype == torch.float64 else ""
        raise BadInput(f"task: its {len(data.x):,} rows need {size(need)} to be dealt out, and {size(there)} of memory "
                       f"are free on {device}; take fewer rows or columns{less}")


def for_run(plan: Plan, executor: Executor) -> None:
    """Raises BadInput where a step of the largest client cannot fit, or what clients remember."""
    _for_a_step(plan, executor)
    e, clients, tables = plan.experiment, plan.world.clients, tables_of(begin(plan))
    need = touched(e, clients)[0] * sum(t.width for t in tables)
    if need > table.HELD and need > (there := shutil.disk_usage(gettempdir()).free):
        raise BadInput(f"rounds = {e.rounds}: by then clients remember about {size(need)} in a file, and {size(there)} "
                       f"are free in {gettempdir()}; set the environment variable TMPDIR to a folder with more, or "
                       "take fewer rounds or fewer clients a round")


def touched(e: Experiment, clients: int) -> tuple[float, int]:
    """How many clients take part at least once: expected, and at most.

    >>> from fedlab_widgets import Fixed, Lockstep
    >>> touched(Experiment(rounds=2, schedule=Lockstep(sampler=Fixed(m=5))), 10)   # 10 (1 - 0.5 ** 2), 2 x 5
    (7.5, 10)
    """
    eligible = len(e.schedule.eligible(clients))
    most = math.ceil(e.rounds * e.schedule.asked(clients) - 1e-6) if e.schedule.certain else eligible
    return eligible * (1 - (1 - e.schedule.rate(clients)) ** e.rounds), min(eligible, most)


def tables_of(state: State) -> list[table.Table]:
    """All rows that clients remember between rounds."""
    own = [t for memory in state.memory.values() for t in memory.own.values()]
    return [*own, state.own] if state.own is not None else own


def _for_a_step(plan: Plan, executor: Executor) -> None:
    """Counted is what every step must hold: a batch of rows, and what each layer makes of it."""
    e, world = plan.experiment, plan.world
    largest, batch = max(1, world.shards.largest), getattr(e.local, "batch", None)
    rows = min(batch or largest, largest)
    each = world.dtype.itemsize * (world.data.x[0].numel() + made(world.net, world.data.x[:1]))
    together = 1
    if world.device.type == "cpu":   # a GPU takes fewer at a time when its memory is short
        come = max(1, math.ceil(e.schedule.rate(world.clients) * len(e.schedule.eligible(world.clients))))
        chunk = min(executor.chunk, come)
        together = chunk * min(getattr(executor, "workers", None) or 1, math.ceil(come / chunk))
    need, there = together * rows * each, free(world.device)
    if need > there:
        who = f"{together:,} clients side by side" if together > 1 else "one client"
        less = [f"local.batch={there // (2 * together * each):,} or less"] if hasattr(e.local, "batch") else []
        raise BadInput(f"local.batch = {batch or 'all of the rows'} does not fit: a step of {who} on {rows:,} rows "
                       f"holds at least {size(need)}, and {size(there)} of memory are free on {world.device}; use "
                       f"{', '.join([*less, *['executor=fl.OneByOne()'] * (together > 1)])} or a smaller net")


def made(net: nn.Module, x: torch.Tensor) -> int:
    """Numbers that the layers of a net give out for a row x [1, ...]."""
    count = 0

    def note(_module, _inputs, out):
        nonlocal count
        count += out.numel() if isinstance(out, torch.Tensor) else 0

    copy = deepcopy(net)
    for module in copy.modules():
        if not list(module.children()) and not isinstance(module, nn.Flatten):
            module.register_forward_hook(note)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        copy(x)
    return count
