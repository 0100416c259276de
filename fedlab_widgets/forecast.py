"""What a run will cost, before it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .engine import client_half
from .executors import Stacked
from .plan import begin, prepare
from .session import one_thread
from .spec import Experiment
from .types import never
from .world import pick_device, world_of


@dataclass(frozen=True)
class Forecast:
    """Totals of a run. `exact` says whether the bytes are certain; if not they are expectations.

    bytes_up, bytes_down: of the whole run. epsilon at delta: after the last round, of the released model, for
    neighbours as in `relation`; None without a privacy mechanism. seconds: from a few steps measured here, so roughly;
    memory_bytes: rows, weights and tables at their largest, without Python and torch themselves.
    """

    rounds: int
    bytes_up: int
    bytes_down: int
    epsilon: float | None
    delta: float | None
    memory_bytes: int
    seconds: float
    exact: bool
    relation: str | None = None
    noise_multiplier: float | None = None

    def __str__(self) -> str:
        about = "" if self.exact else "≈ "
        privacy = "no privacy mechanism" if self.epsilon is None else (
            f"epsilon {self.epsilon:.3g} at delta {self.delta:.2g} ({self.relation}; reproducible noise: demonstration)")
        return (f"{self.rounds} rounds, ≈ {self.seconds:.2g} s, {about}{size(self.bytes_up)} up, "
                f"{about}{size(self.bytes_down)} down, ≈ {size(self.memory_bytes)} of memory, {privacy}")


def size(count: float) -> str:
    """Bytes in words a person reads.

    >>> size(23_560_000)
    '23.6 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def forecast(e: Experiment, device: str | None = None) -> Forecast:
    """The forecast of an experiment. Raises BadInput as `run` would."""
    with one_thread():
        world = world_of(e, pick_device(device))
        plan = prepare(e, world)
        state = begin(plan)
        executor = Stacked().settled(world)
        eligible = len(e.schedule.eligible(world.clients))
        rate = e.schedule.rate(world.clients)
        asked = rate / (1 - getattr(e.schedule, "dropout", 0.0)) * eligible
        shared = sum(t.numel() * t.element_size() for place in ("local", "encode")
                     for t in state.memory[place].shared.values())
        up = e.rounds * rate * eligible * e.encode.price(plan.space, world.dtype)
        down = e.rounds * asked * (e.distribute.price(world) + shared)
        sampler = getattr(e.schedule, "sampler", None)
        exact = getattr(e.schedule, "dropout", 0.0) == 0 and getattr(sampler, "name", "") in ("full", "fixed")
        seconds = e.rounds * (_round_seconds(plan, state, executor, rate * eligible))
    ledger = plan.ledger
    return Forecast(e.rounds, round(up), round(down), ledger and ledger.epsilon(e.rounds), ledger and ledger.delta,
                    _memory(plan, rate * eligible, executor.chunk), seconds, exact, ledger and ledger.relation,
                    ledger and ledger.noise_multiplier)


def _round_seconds(plan, state, executor, clients: float) -> float:
    """Seconds of one round: a real client half of the first chunk, timed after a warm-up step, scaled by what is left."""
    class Enough(Exception):
        pass

    world, e = plan.world, plan.experiment
    sizes = world.shards.train
    cohort = e.schedule.next(world, state)
    if not len(cohort):
        return 0.0
    piece = cohort[:executor.chunk]
    looks, marks = 0, []

    def clock() -> bool:
        nonlocal looks
        looks += 1
        marks.append(time.perf_counter())
        if looks > 4:
            raise Enough
        return False

    try:
        client_half(plan, state, clock, piece)
        marks.append(time.perf_counter())
    except Enough:
        pass
    batch = getattr(e.local, "batch", None) or world.shards.largest
    steps = getattr(e.local, "steps", None) or (
        float((sizes[piece.ids].double() / batch).ceil().max()) * (getattr(e.local, "epochs", None) or 1))
    spans = [b - a for a, b in zip(marks, marks[1:], strict=False)]
    each = min(spans[1:] or spans) / min(8, max(steps, 1))
    return each * steps * max(clients, 1) / len(piece)


def _memory(plan, clients: float, chunk: int) -> int:
    world, item = plan.world, plan.world.dtype.itemsize
    rows = sum(t.numel() * t.element_size() for t in vars(world.data).values() if hasattr(t, "numel"))
    side_by_side = min(chunk, clients) * world.layout.total * 4      # start, weights, gradient, update
    sent = clients * plan.space.width * (1 if plan.experiment.aggregate.folds else 3)
    own = sum(t.fill.numel() for place in ("local", "encode") for t in begin(plan).memory[place].own.values())
    touched = world.clients * own
    return int(rows + item * (side_by_side + sent + touched + 3 * world.layout.total))


__all__ = ["Forecast", "forecast", "never", "size"]
