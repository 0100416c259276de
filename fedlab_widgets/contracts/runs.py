"""Contracts on a part at work: rounds of the real engine."""

from __future__ import annotations

import json
from functools import partial

import torch
from safetensors.torch import load, save

from .. import wire
from ..engine import client_half, rounds
from ..events import Event, RoundEnded, Stopped, Warned
from ..executors import OneByOne, Stacked
from ..part import BadInput
from ..partition import IID
from ..phases import asked_first
from ..plan import Plan, begin
from ..schedule import Lockstep
from ..store import flatten, unflatten
from ..types import State, never
from .rules import Skip, contract, difference, need
from .toy import CLIENTS, WARM, Case, one_thread, run

TRAINING = ("task", "net", "distribute", "fairness", "local", "personalise", "correct", "encode", "attack", "privatise",
            "aggregate", "server")
A_ROUND = 1e-12   # what two ways of summing may differ by, a round


def whole(plan: Plan, executor=None, state: State | None = None) -> tuple[list[Event], list[State | None]]:
    """All events of a run, each with the state beside it."""
    executor = (executor or Stacked()).settled(plan.world)
    with one_thread():
        pairs = list(rounds(plan, state or begin(plan), executor, never))
    return [event for event, _ in pairs], [state for _, state in pairs]


@contract("rounds")
def all_rounds(case):
    """An experiment with it runs to its end, says so in JSON, and its model moves and stays finite."""
    plan = case.plan()
    events, states = whole(plan)
    for event in events:
        json.loads(event.to_json())
    need(isinstance(events[-1], Stopped) and events[-1].reason == "finished", f"the run ends with {events[-1]!r:.200}")
    before, after = begin(plan), states[-1]
    need(bool(torch.isfinite(after.model).all()), "the model is not finite after four rounds")
    need(not torch.equal(before.model, after.model) or after.own is not None, "the model never moves")
    need(all(type(v) is float for e in events for v in getattr(e, "metrics", {}).values()), "a metric is no float")


@contract("stacked", *TRAINING)
def stacked(case):
    """Clients side by side and one by one end at the same model, within 1e-12 a round in float64."""
    if not getattr(case.part, "smooth", True):
        raise Skip("what it does jumps with a rounding error; the other contracts give it the same rows")
    plan = case.plan(precision="float64")
    side, _ = run(plan, 2, executor=Stacked(CLIENTS))
    for name, executor in (("one by one", OneByOne()), ("in chunks of 1", Stacked(1))):
        found = difference(side, run(plan, 2, executor=executor)[0], 2 * A_ROUND)
        need(not found, f"stacked and {name}: {found}")


@contract("chunk", *TRAINING)
def chunk(case):
    """The same bits whatever the chunk: 2 or 3 clients, one left over, or all at once, on one thread."""
    plan = case.plan()
    reference, said = run(plan, 2, executor=Stacked(CLIENTS))
    for size in (2, 3):
        state, also = run(plan, 2, executor=Stacked(size))
        found = difference(reference, state) or (None if said == also else "what the rounds say differs")
        need(not found, f"chunks of {size} and of {CLIENTS}: {found}")


@contract("resume")
def resume(case):
    """Stopped, written to bytes, read again and gone on with, a run ends bit for bit as undisturbed."""
    events, states = whole(case.plan())
    final, kept = flatten(states[-1]), None
    plan, said = case.plan(), []
    with one_thread():
        for event, state in rounds(plan, begin(plan), Stacked().settled(plan.world), never):
            said.append(event)
            if state is not None and state.round == WARM:
                kept = save({k: t.cpu().contiguous() for k, t in flatten(state).items()})
                about = {"round": str(state.round), "time": repr(state.time), "trips": str(state.trips)}
                break
    need(kept is not None, "no state was offered after the second round")
    later = case.plan()
    rest, ends = whole(later, state=unflatten(load(kept), about, begin(later)))
    found = difference(final, flatten(ends[-1]))
    need(not found, f"after a resume {found}; whatever must survive goes into Memory")
    expected = [e.fixed() for e in events[len(said):] if e.round > WARM]
    got = [e.fixed() for e in rest if e.round > WARM]   # it begins by saying where it stands
    need(expected == got, f"after a resume the events differ: {_first_difference(expected, got)}")


def _first_difference(expected: list, got: list) -> str:
    for a, b in zip(expected, got, strict=False):
        if a != b:
            return f"{str({k: v for k, v in a.items() if b.get(k) != v})[:150]} became " \
                   f"{str({k: v for k, v in b.items() if a.get(k) != v})[:150]}"
    return f"{len(expected)} events became {len(got)}"


@contract("bytes", "distribute", "fairness", "local", "correct", "encode", "schedule", "sampler")
def bytes_(case):
    """The bytes that a round reports are those of the payloads, really packed, and of the columns that travel."""
    plan = case.plan()
    state, encode = begin(plan), plan.experiment.encode
    cohort = plan.experiment.schedule.next(plan.world, state)[0]
    with one_thread():
        cohort, asked = asked_first(plan, state, Stacked(3), never, cohort)
        sent = list(Stacked(3).map(partial(client_half, plan, state, never), cohort))
    space = wire.cut(plan.space, plan.experiment.local.travels(plan.world, state))
    packed = [len(wire.packed(encode, s.payload, space, i)) for s in sent for i in range(len(s.payload.bytes))]
    said = next(e for e in run(plan, 1)[1] if e["event"] == RoundEnded.__name__)
    up, links = said["bytes_up"], plan.experiment.aggregate.links(plan.world, cohort.round, cohort.ids)
    due = sum(packed) if links is None else sum(n * k for n, k in zip(packed, links.tolist(), strict=True))
    need(up == due + asked.up, f"the round reports {up} bytes up, and {due + asked.up} were sent")
    block = plan.space.blocks[0]   # an order takes fewer bits than numbers; who has a model needs none
    far = plan.experiment.distribute
    model = (0 if far.takes_rows or not far.certain else wire.native_price(block) if block.kind in wire.NATIVE
             else plan.world.sent.width * plan.world.dtype.itemsize)
    shared = sum(t.numel() * t.element_size() for place in ("local", "encode")
                 for t in state.memory[place].sent.values())
    least = cohort.invited * (model + shared) + asked.down
    need(said["bytes_down"] >= least, f"the round reports {said['bytes_down']} bytes down, and {least} are needed")


@contract("cohorts")
def cohorts(case):
    """Rounds to which nobody comes leave the model alone or release noise only; a single client is enough."""
    for what, changes in _small(case).items():
        try:
            plan = case.plan(rounds=6, **changes)
        except BadInput as refusal:   # a sentence before the run is as good
            need(bool(str(refusal)), "it is refused without a word")
            continue
        state, sizes = begin(plan), []
        for _ in range(6):
            before = state.model
            state, said = run(plan, 1, state)
            ended = next(e for e in said if e["event"] == RoundEnded.__name__)
            sizes.append(len(ended["cohort"]))
            need(bool(torch.isfinite(state.model).all()), f"with {what} the model is no longer finite")
            warned = plan.experiment.schedule.idles or any(e["event"] == Warned.__name__ for e in said)
            if not sizes[-1] and plan.ledger is None:
                need(torch.equal(before, state.model) and warned, f"with {what} the model moves, and nobody came")


def _small(case: Case) -> dict[str, dict]:
    """Experiments with empty rounds and with one client, as far as the part's slot leaves the choice."""
    part, found = case.part, {}
    if part.slot != "schedule":
        sampler = {"sampler": part} if part.slot == "sampler" else {}
        found["empty rounds"] = {"schedule": Lockstep(dropout=0.95, **sampler)}
    if part.slot != "partition":
        found["one client"] = {"partition": IID(clients=1)}
    elif "clients" in type(part).model_fields:
        try:
            found["one client"] = {"partition": case.other(clients=1).part}
        except BadInput:
            found["two clients"] = {"partition": case.other(clients=2).part}
    return found


@contract("cuda rounds")
def cuda_rounds(case):
    """Two rounds on a GPU end at the model of the CPU, within 1e-12 a round in float64, and repeat bit for bit."""
    if not torch.cuda.is_available():
        raise Skip("there is no CUDA GPU here")
    here, _ = run(case.plan(precision="float64"), 2)
    there, _ = run(case.plan("cuda:0", precision="float64"), 2)
    again, _ = run(case.plan("cuda:0", precision="float64"), 2)
    found = difference(here, there, 2 * A_ROUND)
    need(not found, f"on CPU and CUDA: {found}")
    need(not difference(there, again), f"twice on CUDA: {difference(there, again)}")
