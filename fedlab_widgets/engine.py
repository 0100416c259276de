"""The round, written once.

    schedule -> distribute -> local (correct …) -> privatise.client -> encode        the client half, in an executor
    decode -> attack -> privatise.bound -> aggregate (+ noise on the sum) -> server  the server half
    evaluate -> events

`rounds` is a generator: it yields events and calls nobody back. Beside each event comes the state, where it is safe to
keep one, else None.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from .evaluate.measure import measure, readings, slow_readings, started
from .events import Event, Failed, RoundEnded, Stopped, Warned
from .executors import Executor, TooBig
from .folding import blocks
from .plan import Plan, downlink
from .spec import Experiment
from .types import Cohort, Interrupted, Payload, State, Stop, never

SLOW_READINGS = 10    # rounds between two readings of what is too slow for every round


@dataclass(frozen=True)
class Sent:
    """What came back from the clients of one chunk; own rows by place of memory."""

    payload: Payload
    own: dict[str, dict[str, Tensor]]
    kept: Tensor | None
    loss: Tensor


def client_half(plan: Plan, state: State, stop: Stop, cohort: Cohort) -> Sent:
    """What the clients of a chunk do: pure in its arguments, so that it may run anywhere, in any chunks."""
    e, world, ids = plan.experiment, plan.world, cohort.ids
    start = e.distribute.start(world, state, ids)
    keys = world.keys("training", cohort.round, ids)
    trained = e.local.train(world, start, cohort, state.memory["local"].of(ids), keys, plan.tamper(cohort), stop)
    blocks = {"update": world.sent.take(trained.end - start), **trained.extras}
    rows = torch.cat([blocks[b.name] for b in plan.space.blocks], dim=1) if trained.extras else blocks["update"]
    if e.privatise is not None:
        rows = e.privatise.client(rows, world.keys("local noise", cohort.round, ids))
    arrays, codec = e.encode.encode(rows, plan.space, world.keys("encode", cohort.round, ids),
                                    state.memory["encode"].of(ids))
    kept = world.layout.columns(e.distribute.kept(world.layout)).take(trained.end) if state.own is not None else None
    return Sent(e.encode.payload(arrays, plan.space, world.dtype), {"local": trained.own, "encode": codec.own}, kept,
                trained.loss)


def server_half(plan: Plan, rows: Iterator[Tensor], cohort: Cohort) -> Tensor | None:
    """Lie, bound, fold, noise: the combined row [D], or None when nobody came and no noise is due.

    Decoded rows come a chunk at a time and go as they are folded, so that a mean never holds them all.
    """
    e, world = plan.experiment, plan.world
    weights = e.aggregate.weigh(cohort.sizes) * cohort.weights
    rows = rows if e.attack is None else _lies(plan, rows, cohort)
    total, at = None, 0
    for block in blocks(rows):
        if e.privatise is not None:
            block = e.privatise.bound(block)
        total = e.aggregate.fold(total, block, weights[at:at + len(block)])
        at += len(block)
    if plan.ledger is not None:   # an empty round releases noise only
        total = torch.zeros(plan.space.width, dtype=world.dtype, device=world.device) if total is None else total
        total = e.privatise.noise(total, plan.ledger, e.aggregate.sensitivity,
                                  world.keys("privacy noise", cohort.round, 0))
    return None if total is None else e.aggregate.finish(total, weights, plan.expected)


def _lies(plan: Plan, rows: Iterator[Tensor], cohort: Cohort) -> Iterator[Tensor]:
    attack, at = plan.experiment.attack, 0
    for some in ([torch.cat(list(rows))] if attack.needs_all and len(cohort) else rows):
        ids = cohort.ids[at:at + len(some)]
        bad = plan.lying(ids).to(some.device)
        yield attack.lie(some, bad, plan.world.keys("lie", cohort.round, ids))
        at += len(some)


def advance(plan: Plan, state: State, executor: Executor, stop: Stop) -> tuple[State, list[Event]]:
    """One server update. Raises Interrupted when `stop` says so; the state given stays valid then."""
    e, world, began = plan.experiment, plan.world, time.perf_counter()
    cohort = e.schedule.next(world, state)
    sent: list[Sent] = []

    def rows() -> Iterator[Tensor]:
        for came in executor.map(partial(client_half, executor.path(plan), state, stop), cohort):
            sent.append(replace(came, payload=replace(came.payload, tensors={})))   # what was on the wire may go
            yield e.encode.decode(came.payload.tensors, plan.space)

    try:
        value, events = server_half(plan, rows(), cohort), []
    except Exception as error:   # so far nothing of the state was written
        executor.lessen(error)
        raise
    due = replace(state, round=cohort.round, time=cohort.time, trips=state.trips + len(cohort))
    if value is None:
        events.append(Warned(cohort.round, "nobody took part in this round: the model stays as it was"))
    else:
        events += [Warned(cohort.round, note) for note in [e.aggregate.warning(len(cohort))] if note]
        due = _commit(plan, due, sent, cohort, plan.space.split(value))
    losses = torch.cat([s.loss for s in sent])[cohort.sizes.to(world.device) > 0] if sent else None
    events.append(RoundEnded(
        cohort.round, cohort.time, due.trips, time.perf_counter() - began,
        bytes_up=sum(int(s.payload.bytes.sum()) for s in sent), bytes_down=cohort.invited * downlink(plan, state),
        epsilon=plan.ledger and plan.ledger.so_far(cohort.round, e.rounds),
        train_loss=float(losses.double().mean()) if losses is not None and len(losses) else None,
        update_norm=None if value is None else float(plan.space.split(value)["update"].double().norm()),
        cohort=cohort.ids.tolist() if len(cohort) <= 1000 else None))
    return due, events


def _commit(plan: Plan, state: State, sent: list[Sent], cohort: Cohort, value: dict[str, Tensor]) -> State:
    """Write what clients keep, fold what they share, move the model. Raises FloatingPointError if it is not finite."""
    e, world = plan.experiment, plan.world
    model, server = e.server.step(world, state, value, state.memory["server"])
    if not all(bool(torch.isfinite(rows).all()) for rows in (model, *(s.kept for s in sent if s.kept is not None))):
        raise FloatingPointError
    at = 0
    for s in sent:   # chunk by chunk: joined, they would stand in memory twice
        ids = cohort.ids[at:at + len(s.loss)]
        at += len(ids)
        if s.kept is not None:
            state.own.scatter(ids, s.kept)
        for place, tables in s.own.items():
            for name, rows in tables.items():
                state.memory[place].own[name].scatter(ids, rows)
    share = e.aggregate.stands_for(len(cohort), plan.expected) / world.clients
    local = e.local.fold(world, value, state.memory["local"], share)
    return replace(state, model=model, memory=state.memory | {"local": local, "server": server})


def rounds(plan: Plan, state: State, executor: Executor, stop: Stop = never,
           settings: dict | None = None) -> Iterator[tuple[Event, State | None]]:
    """Every event of a run from `state` on, each with the state where it may be kept.

    The last event is Stopped or Failed. Readings that are slow run beside the next round, in a thread of their own.
    """
    e = plan.experiment
    yield started(plan, state, settings or {}), None
    for note in plan.notes:
        yield Warned(0, note), None
    with ThreadPoolExecutor(1, "readings") as pool:
        later: Future | None = None
        while state.round < e.rounds:
            again = None
            try:
                if stop():
                    raise Interrupted
                state, events = advance(plan, state, executor, stop)
            except TooBig as short:
                executor, again = short.smaller, Warned(state.round + 1, str(short))
            except (Interrupted, FloatingPointError) as end:
                if later is not None:
                    yield later.result(), state
                yield (Stopped(state.round, "stopped") if isinstance(end, Interrupted) else
                       Failed(state.round, exploded(e, state.round + 1))), state
                return
            if again is not None:   # outside the handler, which would hold on to what did not fit
                yield again, None
                continue
            if later is not None:
                yield later.result(), None
                later = None
            last = state.round == e.rounds
            for event in events[:-1]:
                yield event, None
            if state.round % e.evaluate.every and not last:
                yield events[-1], state
                continue
            yield events[-1], None
            tables = measure(plan, state)
            if state.round % SLOW_READINGS == 0 or last:
                later = pool.submit(slow_readings, e, tables, state.round)
            yield readings(e, tables, state.round), None if later else state
        if later is not None:
            yield later.result(), state
    yield Stopped(state.round, "finished"), state


def exploded(e: Experiment, round: int) -> str:
    return (f"the model is no longer finite after round {round}: steps are too long for this net and data; lower "
            f"local.lr (now {getattr(e.local, 'lr', 'not set')}), or set local.clip. The rounds before it are kept")
