"""The halves of a round, and the phase before them: what clients are asked, and told, before they train.

Methods that need values before weights (group gaps, losses, slopes of a disparity) ask for them here: clients that have
downloaded the model send a row of plain numbers, the server answers each of them with another, and may change what
they will count. Both rows are priced. Liars lie about what they learned, not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from . import wire
from .executors import Executor
from .folding import blocks
from .layout import Columns
from .plan import Plan, questions
from .types import Cohort, Combined, Interrupted, Memory, Payload, State, Stop


@dataclass(frozen=True)
class Asked:
    """What the first phase leaves behind: what the server learnt of clients, and bytes of all of them."""

    learnt: Memory = field(default_factory=Memory)
    up: int = 0
    down: int = 0


def answers(plan: Plan, state: State, stop: Stop, cohort: Cohort) -> Tensor:
    """The first phase at the clients of a chunk: their answers [C, A] about the model they start from."""
    if stop():
        raise Interrupted
    e, world = plan.experiment, plan.world
    start = e.distribute.start(world, state, cohort.ids)
    return torch.cat([f.answer(world, start, cohort.ids) for f in e.fairness if f.asks(world)], dim=1)


def asked_first(plan: Plan, state: State, executor: Executor, stop: Stop, cohort: Cohort) -> tuple[Cohort, Asked]:
    """The first phase: the cohort with what each client is told, and with the weights it will have."""
    e, world = plan.experiment, plan.world
    memory = state.memory["fairness"]
    if not any(f.asks(world) for f in e.fairness) or not len(cohort):
        return cohort, Asked(memory.of(cohort.ids))
    came = executor.steady().map(partial(answers, executor.path(plan), state, stop), cohort)
    came = torch.cat(list(came)).split([f.asks(world) for f in e.fairness], dim=1)
    told, factor, learnt = [], torch.ones_like(cohort.weights), Memory()
    weights = e.aggregate.weigh(cohort.sizes) * cohort.weights
    shares = weights / weights.sum().clamp(min=1e-300)
    for i, (f, heard) in enumerate(zip(e.fairness, came, strict=True)):
        mine = memory.under(str(i)).of(cohort.ids)
        if f.asks(world):
            reply = f.reply(world, heard, shares, mine)
            told.append(reply.told)
            factor, mine = factor * reply.factor, reply.memory
        learnt |= mine.prefixed(str(i))
    up, down = questions(plan)
    return (replace(cohort, weights=cohort.weights * factor, told=torch.cat(told, dim=1).to(world.device, world.dtype)),
            Asked(learnt, len(cohort) * up, len(cohort) * down))


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
    mine = state.memory["local"].at_clients(ids)
    mine = e.distribute.heard(state, ids, mine)
    trained = e.local.train(world, start, cohort, mine, keys, plan.tamper(cohort), stop)
    known = state.memory["aggregate"].own.get("public")   # what others know of a client, where that is not its start
    blocks = {"update": world.sent.take(trained.end - start) if known is None else
              world.sent.take(trained.end) - known.gather(ids), **trained.extras}
    rows = torch.cat([blocks[b.name] for b in plan.space.blocks], dim=1) if trained.extras else blocks["update"]
    if e.privatise is not None:
        rows = e.privatise.client(rows, world.keys("local noise", cohort.round, ids), plan.ledger)
    payload, codec = wire.encoded(e.encode, rows, plan.space, world.keys("encode", cohort.round, ids),
                                  state.memory["encode"].at_clients(ids), e.local.travels(world, state))
    own = {"local": trained.own}
    if e.personalise is not None:
        own["personalise"] = e.personalise.learn(world, e.local, start, trained.end, cohort,
                                                 state.memory["personalise"].of(ids),
                                                 world.keys("personal", cohort.round, ids), stop)
    return Sent(payload, own | {"encode": codec.own}, e.distribute.at_home(world, trained.end), trained.loss)


def server_half(plan: Plan, state: State, rows: Iterator[Tensor],
                cohort: Cohort) -> tuple[Combined | None, Memory, Memory]:
    """Lie, replay, bound, fold, noise: what is combined, or None when nobody came and no noise is due; what the
    aggregator (rows of the cohort) and the mechanism of privacy remember.

    Decoded rows come a chunk at a time and go as they are folded, so that a mean never holds them all.
    """
    e, world = plan.experiment, plan.world
    mine, private = state.memory["aggregate"].of(cohort.ids), state.memory["privatise"]
    weights = e.aggregate.weigh(cohort.sizes) * cohort.weights
    if not plan.space.width and len(cohort):   # everything stays at home: there is nothing to lie about or to combine
        return Combined(torch.cat([*rows]).sum(0)), mine, private
    rows = rows if e.attack is None else _lies(plan, rows, cohort)
    total, at, counted = None, 0, torch.zeros((), dtype=world.dtype, device=world.device)
    for block in blocks(rows):
        some = cohort[at:at + len(block)]
        at += len(block)
        block = e.local.replay(world, block, some, state.memory["local"])
        if e.privatise is not None:
            counted = counted + e.privatise.count(block, private).sum()
            block = e.privatise.bound(block, private)
        total = e.aggregate.fold(total, _as_meant(plan, state, block, some), weights[at - len(block):at])
    if e.privatise is not None and e.privatise.central:   # an empty round releases noise only
        total = torch.zeros(plan.meant.width, dtype=world.dtype, device=world.device) if total is None else total
        total, private = e.privatise.noise(total, plan.ledger, e.aggregate.sensitivity,
                                           world.keys("privacy noise", cohort.round, 0), private)
        private = e.privatise.learn(counted, plan.ledger, world.keys("count noise", cohort.round, 0), private)
    if total is None:
        return None, mine, private
    combined, mine = e.aggregate.combine(world, total, weights, plan.expected, cohort, mine)
    return combined if isinstance(combined, Combined) else Combined(combined), mine, private


def _as_meant(plan: Plan, state: State, rows: Tensor, some: Cohort) -> Tensor:
    """Rows as the aggregate is to read them: whole models where it mixes these; and what a client sends beside its
    update counts once, however much the schedule makes of the update."""
    e, world, width = plan.experiment, plan.world, plan.meant.blocks[0].width
    if e.aggregate.of_models:
        known = state.memory["aggregate"].own.get("public")
        known = (world.sent.take(e.distribute.start(world, state, some.ids)) if known is None
                 else known.gather(some.ids))
        rows = torch.cat([rows[:, :width] + known, rows[:, width:]], dim=1)
    if rows.shape[1] > width and bool((some.weights != 1).any()):
        rows = torch.cat([rows[:, :width], rows[:, width:] / some.weights[:, None].to(rows)], dim=1)
    return rows


def _lies(plan: Plan, rows: Iterator[Tensor], cohort: Cohort) -> Iterator[Tensor]:
    attack, at = plan.experiment.attack, 0
    for some in ([torch.cat(list(rows))] if attack.needs_all and len(cohort) else rows):
        ids = cohort.ids[at:at + len(some)]
        bad = plan.lying(ids).to(some.device)
        yield attack.lie(some, bad, plan.world.keys("lie", cohort.round, ids), plan.space)
        at += len(some)


def sent_back(plan: Plan, combined: Combined | None, count: int) -> int:
    """Bytes of the rows that clients get back."""
    if combined is None or combined.rows is None:
        return 0
    each = plan.experiment.aggregate.sends_back(plan.world)
    return int(combined.down.sum()) if combined.down is not None else count * each


def stay(plan: Plan, state: State, moved: Columns | None, model: Tensor, server: Memory) -> tuple[Tensor, Memory]:
    """The new model [P], and what the server remembers, of which only the columns `moved` [D] are new."""
    if moved is None:
        return model, server
    world = plan.world
    new = moved.put(torch.ones(moved.width, dtype=torch.bool, device=world.device))
    news = {t.numel(): t for t in (new, world.sent.put(new))}
    shared = {name: torch.where(news[t.numel()], t, state.memory["server"].shared[name]) if t.numel() in news else t
              for name, t in server.shared.items()}
    return torch.where(news[model.numel()], model, state.model), replace(server, shared=shared)


def blocks_of(plan: Plan, combined: Combined, state: State) -> dict[str, Tensor]:
    """The combined blocks, of which "update" is the way from the model of all, also where whole models were mixed."""
    value = plan.meant.split(combined.value)
    if plan.experiment.aggregate.of_models:
        value = value | {"update": value["update"] - plan.world.sent.take(state.model)}
    return value


def moved(plan: Plan, combined: Combined, state: State) -> float:
    return float(blocks_of(plan, combined, state)["update"].double().norm())


def come_back(plan: Plan, state: State, ids: Tensor, combined: Combined) -> Tensor | None:
    """The weights [C, P] that clients ids [C] get back from an aggregate that gives each a row of its own."""
    if combined.rows is None:
        return None
    e, world = plan.experiment, plan.world
    start, rows = e.distribute.start(world, state, ids), combined.rows[:, :world.sent.width]
    return world.sent.put(rows if e.aggregate.of_models else rows + world.sent.take(start), into=start)
