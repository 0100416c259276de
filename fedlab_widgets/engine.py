"""The round, written once.

    schedule -> (fairness: what clients are asked and told first) ->
    distribute -> local (correct …), personalise -> privatise.client -> encode       the client half, in an executor
    decode -> attack -> local.replay -> privatise.bound -> aggregate (+ noise on the sum) -> server  the server half
    evaluate -> events

The halves are in `phases.py`. `rounds` is a generator: it yields events and calls nobody back. Beside each event comes
the state, where it is safe to keep one, else None.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from . import wire
from .evaluate.measure import measure, readings, slow_readings, started
from .events import Event, Failed, RoundEnded, Shown, Stopped, Warned
from .executors import Executor, TooBig
from .layout import Columns
from .part import parts_in
from .phases import Sent, asked_first, blocks_of, client_half, come_back, moved, sent_back, server_half, stay
from .plan import Plan, told
from .spec import Experiment
from .types import Cohort, Combined, Interrupted, Memory, State, Stop, never

SLOW_READINGS = 10    # rounds between two readings of what is too slow for every round


def advance(plan: Plan, state: State, executor: Executor, stop: Stop) -> tuple[State, list[Event]]:
    """One server update. Raises Interrupted when `stop` says so; the state given stays valid then."""
    e, world, began = plan.experiment, plan.world, time.perf_counter()
    cohort, clock = e.schedule.next(world, state)
    cohort = admitted(cohort, state)
    sent: list[Sent] = []
    travels = e.local.travels(world, state)
    down = e.distribute.downloads(plan, state, cohort) + cohort.invited * told(plan, state)   # as they know it now

    def rows() -> Iterator[Tensor]:
        for came in executor.map(partial(client_half, executor.path(plan), state, stop), cohort):
            sent.append(replace(came, payload=replace(came.payload, tensors={})))   # what was on the wire may go
            yield wire.decoded(e.encode, came.payload.tensors, plan.space, world.dtype, travels)

    try:
        cohort, asked = asked_first(plan, state, executor, stop, cohort)
        combined, learnt, private = server_half(plan, state, rows(), cohort)
    except Exception as error:   # so far nothing of the state was written
        executor.lessen(error)
        raise
    due, events = replace(state, round=cohort.round, time=cohort.time, trips=state.trips + len(cohort),
                          memory=state.memory | {"schedule": clock}), []
    if combined is None and not e.schedule.idles:
        events.append(Warned(cohort.round, "nobody took part in this round: the model stays as it was"))
    links = e.aggregate.links(world, cohort.round, cohort.ids)
    if combined is not None:
        events += [Warned(cohort.round, note) for note in [e.aggregate.warning(len(cohort))] if note]
        due = _commit(plan, due, sent, cohort, combined,
                      {"aggregate": learnt, "fairness": asked.learnt, "privatise": private},
                      travels if e.local.in_turn else None)
    if cohort.round % e.evaluate.every == 0 or cohort.round == e.rounds:
        views = {name: view for part in parts_in(e) for name, view in part.shows(plan, due, cohort).items()}
        events += [Shown(cohort.round, {name: view.plain() for name, view in views.items()})] if views else []
    up = torch.cat([s.payload.bytes for s in sent]) if sent else cohort.ids[:0]
    losses = torch.cat([s.loss for s in sent])[cohort.sizes.to(world.device) > 0] if sent else None
    events.append(RoundEnded(
        cohort.round, cohort.time, due.trips, time.perf_counter() - began,
        bytes_up=int((up if links is None else up * links).sum()) + asked.up,
        bytes_down=down + asked.down + sent_back(plan, combined, len(cohort)),
        epsilon=plan.ledger and plan.ledger.so_far(cohort.round, e.rounds),
        train_loss=float(losses.double().mean()) if losses is not None and len(losses) else None,
        update_norm=None if combined is None else moved(plan, combined, state),
        cohort=cohort.ids.tolist() if len(cohort) <= 1000 else None,
        clip=float(state.memory["privatise"].shared["clip"]) if "clip" in state.memory["privatise"].shared else None))
    return due, events


def admitted(cohort: Cohort, state: State) -> Cohort:
    """The cohort without clients that the aggregate has shut out: they are not asked."""
    out = state.memory["aggregate"].own.get("excluded")
    if out is None or not bool((shut := out.gather(cohort.ids)[:, 0].cpu() > 0).any()):
        return cohort
    return replace(cohort[~shut], invited=cohort.invited - int(shut.sum()))


def _commit(plan: Plan, state: State, sent: list[Sent], cohort: Cohort, combined: Combined,
            learnt: dict[str, Memory], moves: Columns | None) -> State:
    """Write what clients keep, fold what they share, move the model. Raises FloatingPointError if it is not finite."""
    e, world, value = plan.experiment, plan.world, blocks_of(plan, combined, state)
    share = e.aggregate.stands_for(len(cohort), plan.expected) / world.clients
    settled = e.local.settle(world, value, state.memory["local"], share)
    model, server = stay(plan, state, moves, *e.server.step(world, state, settled, state.memory["server"]))
    local = e.local.fold(world, value, state.memory["local"], share)
    back = come_back(plan, state, cohort.ids, combined)
    up = torch.cat([s.payload.bytes for s in sent]) if sent else cohort.ids[:0]
    own, heard = e.distribute.after(world, state, cohort.ids, model, back, local.sent, up)
    learnt = learnt | {"distribute": heard}
    if not all(bool(torch.isfinite(rows).all()) for rows in
               (model, *(rows for rows in (own, *(s.kept for s in sent)) if rows is not None))):
        raise FloatingPointError
    if own is not None:
        state.own.scatter(cohort.ids, own)
    at = 0
    for s in sent:   # chunk by chunk: joined, they would stand in memory twice
        ids = cohort.ids[at:at + len(s.loss)]
        at += len(ids)
        if s.kept is not None:
            state.own.scatter(ids, s.kept)
        for place, tables in s.own.items():
            for name, rows in tables.items():
                state.memory[place].own[name].scatter(ids, rows)
    for place, memory in learnt.items():
        for name, rows in memory.own.items():
            state.memory[place].own[name].scatter(cohort.ids, rows)
    learnt = {place: replace(state.memory[place], shared=memory.shared) for place, memory in learnt.items()}
    return replace(state, model=model, memory=state.memory | learnt | {"local": local, "server": server})


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
