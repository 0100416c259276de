"""What a run will cost, before it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from tempfile import gettempdir

import torch

from . import room, table
from .engine import SLOW_READINGS, client_half
from .evaluate.measure import measure, readings, slow_readings
from .executors import Executor, fitting
from .phases import asked_first
from .plan import Plan, begin, prepare, questions, told, uplink
from .session import one_thread
from .slots import Local
from .spec import Experiment
from .types import Interrupted, State, never, payload_bytes
from .wording import size, span
from .world import pick_device, world_of

LOOKS = 5   # looks at the clock of the local training that is timed
WORTH_SAYING = 10_000_000   # bytes that clients remember


@dataclass(frozen=True)
class Forecast:
    """Totals of a run. `exact` says whether the bytes are certain; if not they are expectations.

    bytes_up, bytes_down: of the whole run. epsilon at delta: after the last round, of the released model, for
    neighbours as in `relation`; None without a privacy mechanism. seconds: from a few steps and one reading measured
    here, so roughly; memory_bytes: rows, weights and tables at their largest, without Python and torch themselves.
    state_bytes: of the rows that clients remember between rounds, expected at the end; state_bound: at most;
    covers: what epsilon is about; own_account: what clients promise to their rows beside it, if anything.
    state_folder: where they go once they are more than memory is to hold (see `table.Table`); None if they never are.
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
    state_bytes: int = 0
    state_bound: int = 0
    state_folder: str | None = None
    covers: str = "what the released model tells about any one client with all its rows"
    own_account: str = ""

    def __str__(self) -> str:
        about = "" if self.exact else "≈ "
        privacy = (self.own_account or "no privacy mechanism") if self.epsilon is None else (
            f"epsilon {self.epsilon:.3g} at delta {self.delta:.2g} for {self.covers} ({self.relation}; reproducible "
            "noise: demonstration)")
        rounds = f"{self.rounds} round{'s' if self.rounds > 1 else ''}"
        return (f"{rounds}, ≈ {span(self.seconds)}, {about}{size(self.bytes_up)} up, "
                f"{about}{size(self.bytes_down)} down, ≈ {size(self.memory_bytes)} of memory, {self._remembered()}"
                f"{privacy}")

    def _remembered(self) -> str:
        if self.state_bound <= WORTH_SAYING:
            return ""
        most = f"at most {size(self.state_bound)}" if self.state_bound > 1.01 * self.state_bytes else ""
        place = f"beyond {size(table.HELD)} in a file in {self.state_folder}" if self.state_folder else ""
        more = "; ".join(filter(None, (most, place)))
        return f"≈ {size(self.state_bytes)} that clients remember{f' ({more})' if more else ''}, "


def forecast(e: Experiment, device: str | None = None) -> Forecast:
    """The forecast of an experiment. Raises BadInput as `run` would."""
    with one_thread():
        world = world_of(e, pick_device(device))
        plan = prepare(e, world)
        state, executor = begin(plan), fitting(world)[0].settled(world)
        room.for_run(plan, executor)
        reports = e.schedule.rate(world.clients) * len(e.schedule.eligible(world.clients))
        seconds = e.rounds * _training(plan, state, executor, reports) + _reading(plan, state)
    asked, answered = questions(plan)
    back = e.aggregate.sends_back(world)
    most = payload_bytes(world.sent.width, world.dtype) if back is None else back
    up = e.rounds * reports * (_each(plan, state) * _links(plan) + asked)
    model = _model(plan, state) + told(plan, state)
    down = e.rounds * (e.schedule.asked(world.clients) * model + reports * (answered + most))
    ledger, tables = plan.ledger, room.tables_of(state)
    expected, largest = room.touched(e, world.clients)
    return Forecast(e.rounds, round(up), round(down), ledger and ledger.epsilon(e.rounds), ledger and ledger.delta,
                    _memory(plan, tables, largest, reports, executor.chunk), seconds,
                    all(p.certain for p in (e.schedule, e.distribute, e.encode)) and back is not None and (
                        e.local.in_turn or type(e.local).travels is Local.travels),
                    ledger and ledger.relation, ledger and ledger.noise_multiplier,
                    round(expected * sum(t.width for t in tables)), largest * sum(t.width for t in tables),
                    gettempdir() if any(largest * t.width > table.HELD for t in tables) else None,
                    *([e.privatise.covers] if e.privatise is not None else [Forecast.covers]), e.local.own_account)


def _each(plan: Plan, state: State) -> float:
    """Bytes that a client sends in the mean of the rounds."""
    e = plan.experiment
    rounds = e.rounds if type(e.local).travels is not Local.travels else 1
    return sum(uplink(plan, replace(state, round=r)) for r in range(rounds)) / rounds


def _model(plan: Plan, state: State) -> float:
    """Bytes of model that a client downloads in the mean of the rounds: what is known of it beforehand."""
    e, world = plan.experiment, plan.world
    if not e.local.in_turn:
        return e.distribute.expected(plan, _each(plan, state))
    cohort = e.schedule.next(world, state)[0]
    return sum(e.distribute.downloads(plan, replace(state, round=r), cohort) for r in range(e.rounds)) / (
        e.rounds * max(cohort.invited, 1))


def _links(plan: Plan) -> float:
    """To how many others a client sends its payload, in the mean."""
    links = plan.experiment.aggregate.links(plan.world, 1, torch.arange(plan.world.clients))
    return 1.0 if links is None else float(links.double().mean())


def _training(plan: Plan, state: State, executor: Executor, reports: float) -> float:
    """Seconds of one round's client half: the first chunk really trains for a few looks at the clock."""
    e, world = plan.experiment, plan.world
    piece = e.schedule.next(world, state)[0][:executor.chunk]
    if not len(piece):
        return 0.0
    began, marks = time.perf_counter(), []
    piece, _ = asked_first(plan, state, executor, never, piece)
    first = time.perf_counter() - began

    def clock() -> bool:
        marks.append(time.perf_counter())
        return len(marks) >= LOOKS

    try:
        client_half(plan, state, clock, piece)
        marks.append(time.perf_counter())
        whole = marks[-1] - marks[0]
    except Interrupted:   # each look came after the same number of steps: the rest is in proportion
        from .local.sgd import POLL

        steps = float(e.local.steps_of(piece.sizes, world.shards.largest).max())
        whole = min(b - a for a, b in zip(marks, marks[1:], strict=False)) / POLL * steps
    return (first + whole) * max(reports, 1) / len(piece)


def _reading(plan: Plan, state: State) -> float:
    """Seconds of all readings of the run, from one of each; the first of a process loads libraries and is not timed."""
    e = plan.experiment
    for _ in range(2):
        start = time.perf_counter()
        tables = measure(plan, state)
        readings(e, tables, 0)
        quick = time.perf_counter() - start
        slow_readings(e, tables, 0)
        slow = time.perf_counter() - start - quick
    return quick * (e.rounds // e.evaluate.every + 1) + slow * (e.rounds // SLOW_READINGS + 1)


def _memory(plan: Plan, tables: list[table.Table], most: int, reports: float, chunk: int) -> int:
    world, item = plan.world, plan.world.dtype.itemsize
    rows = sum(t.numel() * t.element_size() for t in vars(world.data).values() if hasattr(t, "numel"))
    registered = world.clients * (24 + 4 * len(tables))              # where its rows are, and where what it remembers
    side_by_side = min(chunk, reports) * world.layout.total * 4      # start, weights, gradient, update
    sent = reports * (plan.space.width if plan.experiment.aggregate.folds else 3 * plan.meant.width)
    remembered = sum(min(table.HELD, most * t.width) for t in tables)
    return int(rows + registered + remembered + item * (side_by_side + sent + 3 * world.layout.total))
