"""Ours against the raw loop: rounds in turn, in one process, medians; and where a round's time goes."""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from .. import engine
from ..evaluate.measure import measure, readings
from ..executors import Executor
from ..part import BadInput
from ..plan import begin
from ..session import one_thread, ready
from ..store import RunFolder
from .raw import RawLoop
from .works import work

# What each share of a round is made of: methods of the experiment's parts, by slot.
SHARES = {"sampling": [("schedule", "next")], "training": [("local", "train")],
          "encoding": [("encode", "encode"), ("encode", "decode")],
          "aggregation": [("aggregate", "fold"), ("aggregate", "finish"), ("server", "step")]}


def compare(name: str, repeats: int = 5, executor: Executor | None = None, device: str | None = None,
            raw: bool = True) -> dict:
    """A dictionary of figures: `ms_round` (median) of ours, `ratio_raw` (raw loop on one thread over ours: above 1 is
    faster), `steps` a round of both, `peak_mb` of this process, `path`, and `shares` of a round, which add up to 1.

    One round of each is run before, untimed. Raises BadInput for an unknown name or fewer than 1 repeat.
    """
    if not 1 <= repeats <= 1000:
        raise BadInput(f"repeats = {repeats!r} is not allowed: give a whole number from 1 to 1000")
    e = work(name, rounds=2 * repeats + 2)
    plan, settled = ready(e, executor, device)
    state, ours, theirs, steps = begin(plan), [], [], set()
    loop = RawLoop(replace(plan.world, net=deepcopy(plan.world.net)), e.local.lr, e.local.batch) if raw else None
    with one_thread():
        for i in range(repeats + 1):
            cohort = e.schedule.next(plan.world, state)[0]
            due = int(e.local.steps_of(cohort.sizes, plan.world.shards.largest).sum())
            if loop is not None:
                before, took = loop.steps, loop.round(cohort)
                steps.add(loop.steps - before)
                theirs += [took] if i else []
            start = time.perf_counter()
            state, _ = engine.advance(plan, state, settled, lambda: False)
            ours += [time.perf_counter() - start] if i else []
            steps.add(due)
        shares = _shares(plan, state, settled, repeats)
    found = {"work": name, "ms_round": 1000 * statistics.median(ours), "ms_least": 1000 * min(ours),
             "steps": due, "repeats": repeats, "peak_mb": _peak(), "path": settled.describe(),
             "device": str(plan.world.device), "shares": shares}
    if loop is not None:
        found |= {"ratio_raw": statistics.median(theirs) / statistics.median(ours), "ms_raw": 1000 * statistics.median(
            theirs), "steps_agree": len(steps) == 1}
    return found


def _shares(plan, state, executor, repeats: int) -> dict[str, float]:
    """Shares of a round with a reading after it, from `repeats` rounds under a stopwatch on one thread."""
    e, took = plan.experiment, defaultdict(float)
    alone = replace(executor, workers=1) if hasattr(executor, "workers") else executor
    with ExitStack() as stack:
        folder = RunFolder(Path(stack.enter_context(TemporaryDirectory())))
        for share, methods in SHARES.items():
            for slot, method in methods:
                stack.enter_context(_timed(type(getattr(e, slot)), method, took, share))
        start = time.perf_counter()
        for _ in range(repeats):
            state, _ = engine.advance(plan, state, alone, lambda: False)
            with _clock(took, "evaluation"):
                tables = measure(plan, state)
                read = readings(e, tables, state.round)
            with _clock(took, "recording"):
                folder.record(read)
        whole = time.perf_counter() - start
    shares = {name: took[name] / whole for name in (*SHARES, "evaluation", "recording")}
    return shares | {"rest": 1 - sum(shares.values())}


@contextmanager
def _clock(took, share):
    start = time.perf_counter()
    try:
        yield
    finally:
        took[share] += time.perf_counter() - start


@contextmanager
def _timed(cls, method: str, took, share: str):
    """Every call of a method adds to a share while this lasts."""
    plain, own = getattr(cls, method), method in vars(cls)

    def timed(*args, **keys):
        with _clock(took, share):
            return plain(*args, **keys)

    setattr(cls, method, timed)
    try:
        yield
    finally:
        setattr(cls, method, plain) if own else delattr(cls, method)


def _peak() -> float:
    """The most memory this process ever had, in MB: of several works, give each a process of its own."""
    if sys.platform == "linux":   # where `resource` counts what the process was forked from
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
