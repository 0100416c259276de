"""An experiment with its world, and all that follows from the two before the first round."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from . import seeds, wire
from .encode import Update
from .part import BadInput, parts_in
from .spec import Experiment
from .types import Cohort, Memory, Space, State, Tamper, World, payload_bytes


@dataclass(frozen=True)
class Plan:
    """What a run is made of: pure data, the same on every machine."""

    experiment: Experiment
    world: World
    space: Space              # rows as they are sent …
    meant: Space              # … and as they are combined
    ledger: object | None     # privatise.accountant.Ledger
    expected: float           # the sum of aggregation weights a round should bring
    liars: Tensor             # ids, ascending
    panel: Tensor             # ids, ascending
    notes: tuple[str, ...] = ()   # what a reader should know before the first round

    def lying(self, ids: Tensor) -> Tensor:
        """Which of the clients ids [C] lie [C], at a cost of C searches."""
        if not len(self.liars):
            return torch.zeros(len(ids), dtype=torch.bool)
        place = torch.searchsorted(self.liars, ids).clamp(max=len(self.liars) - 1)
        return self.liars[place] == ids

    def tamper(self, cohort: Cohort) -> Tamper | None:
        """What the liars among these clients do to their batches; None where nobody poisons."""
        attack, world = self.experiment.attack, self.world
        if attack is None or not attack.poisons:
            return None
        bad, keys = self.lying(cohort.ids).to(world.device), world.keys("poison", cohort.round, cohort.ids)
        return lambda x, y, who: attack.poison(x, y, bad[who], keys[who], len(world.data.labels))


def prepare(experiment: Experiment, world: World) -> Plan:
    """Everything that can be known, and refused, before the run. Raises BadInput."""
    e, N = experiment, world.clients
    eligible = e.schedule.eligible(N)
    if eligible[-1] >= N:
        raise BadInput(f"schedule.clients = {eligible[-1]} is no client: ids go from 0 to {N - 1}")
    space, meant = e.local.gives(world), e.local.meant(world)
    for part in filter(None, (e.encode, e.attack, e.privatise, e.aggregate, e.server)):
        kinds = {"encode": wire.coded(space).kinds, "attack": space.kinds,
                 "server": {meant.blocks[0].kind}}.get(part.slot, meant.kinds)
        if not kinds <= part.takes:
            raise BadInput(f"{part.slot} = {part.name} takes {', '.join(sorted(part.takes))}, and local = "
                           f"{e.local.name} sends {', '.join(sorted(kinds))}; choose another {part.slot}")
    if not wire.coded(space).width and space.width and type(e.encode) is not Update:
        raise BadInput(f"encode = {e.encode.name} has nothing to encode: local = {e.local.name} sends "
                       f"{', '.join(sorted(space.kinds))}, which go out as they are; set encode to 'update'")
    ledger = e.privatise and e.privatise.ledger(e.schedule.sampling(N), len(eligible), e.rounds)
    panel = seeds.subset(world.keys("panel", 0, 0), N, min(e.evaluate.clients, N))
    expected = e.schedule.expected(world, e.aggregate)
    notes = () if ledger is None else tuple(e.privatise.notes(ledger, len(eligible), meant.width, expected))
    plan = Plan(e, world, space, meant, ledger, expected, liars(e.attack, N, world.seed), panel, notes)
    for lack in (lack for part in parts_in(e) for lack in part.lacks(plan)):
        raise BadInput(lack)
    return replace(plan, notes=(*notes, *(remark for part in parts_in(e) for remark in part.remarks(plan))))


def liars(attack, clients: int, seed: int) -> Tensor:
    """The ids of the liars, ascending: as given, or as many as the share says, chosen by seed."""
    if attack is None:
        return torch.empty(0, dtype=torch.int64)
    if isinstance(attack.liars, tuple):
        if max(attack.liars, default=0) >= clients:
            raise BadInput(f"attack.liars = {max(attack.liars)} is no client: ids go from 0 to {clients - 1}")
        return torch.tensor(sorted(set(attack.liars)), dtype=torch.int64)
    return seeds.subset(seeds.keys(seed, "liars", 0, 0), clients, round(attack.liars * clients))


def begin(plan: Plan) -> State:
    """The state before the first round."""
    e, world = plan.experiment, plan.world
    model = world.layout.flatten(world.net, world.dtype, world.device)
    memory = {"local": e.local.init(world), "encode": e.encode.init(world, wire.coded(plan.space)),
              "aggregate": e.aggregate.init(world, plan.meant), "server": e.server.init(world), "fairness": Memory(),
              "privatise": Memory() if e.privatise is None else e.privatise.init(world, coming(e, world),
                                                                                 plan.meant.width),
              "schedule": e.schedule.init(world)}
    memory["distribute"] = e.distribute.init(world, memory["local"].sent)
    memory["personalise"] = Memory() if e.personalise is None else e.personalise.init(world)
    for i, f in enumerate(e.fairness):
        memory["fairness"] |= f.init(world).prefixed(str(i))
    return State(model, e.distribute.own(world, model, lambda i: _drawn(plan, i)), memory)


def _drawn(plan: Plan, client: int) -> Tensor:
    """First weights [P] of a client's own, drawn as those of the model of all are, by other numbers."""
    from .world import build  # which imports this

    net, world = plan.experiment.net, plan.world
    return world.layout.flatten(build(net, world.data, world.seed, client + 1), world.dtype, world.device)


def coming(e: Experiment, world: World) -> float:
    """How many clients are expected in a round."""
    return e.schedule.rate(world.clients) * len(e.schedule.eligible(world.clients))


def models(plan: Plan, state: State, ids: Tensor) -> Tensor:
    """The weights that clients ids [K] use: one row [1, P] where all use the same, else each its own [K, P]."""
    e, world = plan.experiment, plan.world
    if e.personalise is None and not e.own_models:
        return state.model[None]
    rows = e.distribute.start(world, state, ids)
    if e.personalise is None:
        return rows
    sizes = world.shards.train[ids]
    cohort = Cohort(max(state.round, 1), ids, sizes, torch.ones(len(ids), dtype=torch.float64), ids * 0, len(ids), 0.0)
    with torch.enable_grad():   # it may train
        return e.personalise.models(world, e.local, rows, cohort, state.memory["personalise"].of(ids),
                                    world.keys("personal reading", state.round, ids))


def questions(plan: Plan) -> tuple[int, int]:
    """Bytes (up, down) of one client's answer and of what it is told, in the phase before training."""
    asking = [f for f in plan.experiment.fairness if not f.stays]
    return tuple(payload_bytes(sum(width(f) for f in asking), plan.world.dtype)
                 for width in (lambda f: f.asks(plan.world), lambda f: f.tells(plan.world)))


def told(plan: Plan, state: State) -> int:
    """Bytes one client downloads beside the model: the shared values that it reads."""
    shared = [t for place in ("local", "encode") for t in state.memory[place].sent.values()]
    return sum(t.numel() * t.element_size() for t in shared)


def uplink(plan: Plan, state: State) -> int:
    """Bytes one client sends in the round after `state`; the most, where they depend on the row."""
    e, world = plan.experiment, plan.world
    return wire.price(e.encode, wire.cut(plan.space, e.local.travels(world, state)), world.dtype)
