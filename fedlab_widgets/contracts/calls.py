"""The hooks of a part as calls on made-up clients: what is per client, what is common, what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .. import seeds
from ..evaluate.measure import measure
from ..folding import blocks
from ..ranking import places
from ..types import Block, Cohort, Combined, Kind, Space, State, never
from ..world import build
from .rules import moved
from .toy import Case

BUSY = 5   # clients in a call: fewer than there are, and not a power of two


@dataclass(frozen=True)
class Call:
    """hook(each, common) -> out. `each` has a row per client in every tensor; `out` is

    "rows" a row per client, which that client's input alone decides; "joint" a row per client, decided by all;
    "one" a common value, whatever the order of the clients; "value" anything else.
    """

    name: str
    hook: Callable[[dict, dict], Any]
    each: dict[str, Any] = field(default_factory=dict)
    common: dict[str, Any] = field(default_factory=dict)
    out: str = "rows"
    typed: bool = True   # whether fractional numbers come out in the run's precision

    def __call__(self, each: dict | None = None) -> Any:
        return self.hook(self.each if each is None else each, self.common)


class Setting:
    """Where calls are made: the plan of a case in some precision and place, and the same state moved there."""

    def __init__(self, case: Case, dtype: str = "float32", device: str = "cpu"):
        self.part, self.case, self.plan = case.part, case, case.plan(device, precision=dtype)

    @cached_property
    def state(self) -> State:
        return moved(self.case.state, self.world.dtype, self.world.device)

    @property
    def world(self):
        return self.plan.world

    @property
    def ids(self) -> Tensor:
        return torch.arange(self.world.clients)[::2][:BUSY]

    def keys(self, purpose: str = "contract", clients: int | None = None) -> Tensor:
        return self.world.keys(purpose, 1, self.ids if clients is None else torch.arange(clients))

    def rows(self, width: int, clients: int | None = None, purpose: str = "contract rows") -> Tensor:
        """Made-up rows [C, width], the same numbers in every precision and place."""
        made = seeds.normals(self.keys(purpose, clients), width)
        return made.to(self.world.device, self.world.dtype)

    def made(self, clients: int | None = None) -> Tensor:
        """Made-up rows [C, D] as this run sends them: numbers, orders and masks where they belong."""
        rows, space = self.rows(self.plan.space.width, clients), self.plan.space
        pieces = [places(piece, b.sizes).to(rows) if b.kind is Kind.RANKS else
                  (piece > 0).to(rows) if b.kind is Kind.BITS else piece
                  for b, piece in zip(space.blocks, space.split(rows).values(), strict=True)]
        return torch.cat(pieces, dim=1)

    def cohort(self) -> Cohort:
        ids, n = self.ids, len(self.ids)
        return Cohort(3, ids, self.world.shards.train[ids], torch.ones(n, dtype=torch.float64),
                      torch.full((n,), 2), n, 3.0)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Rows x [C, 4, ...] and labels y [C, 4] of the clients' own."""
        at = self.world.shards.offsets[self.ids][:, None] + torch.arange(4)
        at = at.clamp(max=len(self.world.shards.y) - 1).to(self.world.device)
        return self.world.shards.x[at], self.world.shards.y[at]

    def weights(self) -> Tensor:
        """Model rows [C, P] that differ between clients; padding stays zero."""
        layout = self.world.layout
        return layout.real.put(layout.real.take(self.state.model + 0.1 * self.rows(layout.total)))


def calls(s: Setting) -> list[Call]:
    """Every hook of the part, by its slot."""
    return CALLS[s.part.slot](s)


def _task(s):
    outputs = s.rows(4 * len(s.world.data.labels)).view(len(s.ids), 4, -1)
    loss = Call("loss", lambda e, c: s.part.loss(e["outputs"], e["y"]), {"outputs": outputs, "y": s.batch()[1]})
    return [loss, Call("load", lambda e, c: s.plan.experiment.task.load(), out="value", typed=False)]


def _net(s):
    return [Call("forward", lambda e, c: s.world.forward(e["w"], e["x"]), {"w": s.weights(), "x": s.batch()[0]}),
            Call("build", lambda e, c: build(s.part, c["data"], 7), {}, {"data": s.world.data}, "value", typed=False)]


def _partition(s):
    data, key = s.plan.experiment.task.load(), seeds.keys(5, "partition", 0, 0)
    owner = s.part.assign(data, key)
    return [Call("assign", lambda e, c: s.part.assign(c["data"], key), {}, {"data": data}, "value"),
            Call("seen", lambda e, c: s.part.seen(c["data"], c["owner"], key), {}, {"data": data, "owner": owner},
                 "value", typed=False)]


def _topology(s):
    return [Call(f"edges of {n}", lambda e, c, n=n: s.part.edges(n, 3, s.world.keys("topology", 0, 0)), out="value",
                 typed=False) for n in (10, 64) if not [*s.part.unfit(n)]]


def _oracle(s):
    parties = len(s.ids)
    keys = seeds.fold(s.keys("users")[:, None], torch.arange(40))
    values = seeds.integers(seeds.fold(keys, 9), 1, 6)[..., 0]
    each = {"values": values, "there": values < 5, "d": torch.full((parties,), 6), "keys": keys}
    return [Call("ask", lambda e, c: s.part.ask(e["values"], e["there"], e["d"], 1.0, e["keys"], 8), each,
                 typed=False),
            Call("estimate", lambda e, c: s.part.estimate(e["counts"], e["users"], e["d"], 1.0),
                 {"counts": values[:, :6], "users": torch.full((parties,), 40), "d": each["d"]}, typed=False),
            Call("bits", lambda e, c: s.part.bits(e["d"], 1.0), {"d": each["d"]}, typed=False)]


def _sampler(s):
    return [Call(f"draw of {n}", lambda e, c, n=n: s.part.draw(n, 1, s.world.keys("sampling", 1, 0)), out="value")
            for n in (1, 2, 1000)]


def _schedule(s):
    common = {"world": s.world, "state": s.state}
    return [Call("next", lambda e, c: s.part.next(c["world"], c["state"]), {}, common, "value", typed=False)]


def _distribute(s):
    common = {"world": s.world, "state": s.state}
    return [Call("start", lambda e, c: s.part.start(c["world"], c["state"], e["ids"]), {"ids": s.ids}, common)]


def _fairness(s):
    world, p = s.world, s.part
    y = s.batch()[1]
    outputs = s.rows(y.shape[1] * len(world.data.labels)).view(*y.shape, -1)
    group, share = (y + torch.arange(y.shape[1], device=y.device)) % 2, torch.full_like(outputs[..., 0], 0.25)
    told = s.rows(p.tells(world)) if p.tells(world) else s.rows(1)[:, :0]
    batch = {"outputs": outputs, "y": y, "group": group, "share": share, "told": told}
    found = [Call("rows", lambda e, c: p.rows(c["world"], e["y"], e["group"], e["told"]), batch, {"world": world}),
             Call("penalty", lambda e, c: p.penalty(
                 c["world"], e["outputs"], e["y"], e["group"], e["share"], e["told"]), batch, {"world": world})]
    if p.asks(world):
        start, mine = s.weights(), s.state.memory["fairness"].under("0").of(s.ids)
        answers = p.answer(world, start, s.ids)
        shares = (torch.arange(len(s.ids)) + 1.0).double() / len(s.ids)
        found += [Call("answer", lambda e, c: p.answer(c["world"], e["start"], e["ids"]),
                       {"start": start, "ids": s.ids}, {"world": world}),
                  Call("reply", lambda e, c: p.reply(c["world"], e["answers"], e["shares"], e["mine"]),
                       {"answers": answers, "shares": shares, "mine": mine}, {"world": world}, "joint", False)]
    return found


def value_of(s) -> dict[str, Tensor]:
    return {b.name: s.rows(b.width, 1)[0] for b in s.plan.meant.blocks} if s.plan.meant != s.plan.space else (
        s.plan.space.split(s.made(1)[0]))


def _local(s):
    mine = s.state.memory["local"]
    each = {"start": s.weights(), "cohort": s.cohort(), "mine": mine.of(s.ids), "keys": s.keys("training")}
    train = Call("train", lambda e, c: s.part.train(
        c["world"], e["start"], e["cohort"], e["mine"], e["keys"], None, never), each, {"world": s.world})
    fold = Call("fold", lambda e, c: s.part.fold(c["world"], c["value"], c["memory"], 0.5), {},
                {"world": s.world, "value": value_of(s), "memory": mine}, "value")
    return [train, fold]


def _personalise(s):
    mine = s.state.memory["personalise"].of(s.ids)
    each = {"start": s.weights(), "end": s.weights() * 1.1, "cohort": s.cohort(), "mine": mine,
            "keys": s.keys("personal")}
    common = {"world": s.world, "local": s.plan.experiment.local}
    return [Call("learn", lambda e, c: s.part.learn(c["world"], c["local"], e["start"], e["end"], e["cohort"],
                                                    e["mine"], e["keys"], never), each, common),
            Call("models", lambda e, c: s.part.models(c["world"], c["local"], e["start"], e["cohort"], e["mine"],
                                                      e["keys"]), each, common)]


def _correct(s):
    joint = s.state.memory["local"].under("0")
    each = {"w": s.weights(), "start": s.state.model + 0 * s.weights(), "g": s.rows(s.world.layout.total),
            "mine": joint.of(s.ids), "path": torch.full((len(s.ids), 1), 0.3).to(s.rows(1))}
    common = {"world": s.world}
    step = (Call("affine", lambda e, c: s.part.affine(c["world"], e["start"], e["mine"]), each, common)
            if s.part.linear else
            Call("grad", lambda e, c: s.part.grad(e["g"], e["w"], e["start"], e["mine"]), each, common))
    x, y = s.batch()
    batch = Call("batch", lambda e, c: s.part.batch(
        c["world"], e["w"], e["x"], e["y"], e["share"], e["start"], e["mine"]),
        each | {"x": x, "y": y, "share": torch.full(y.shape, 0.25, dtype=s.world.dtype, device=y.device)}, common)
    finish = Call("finish", lambda e, c: s.part.finish(
        c["world"], e["start"], e["w"], e["path"], e["mine"]), each, common)
    fold = Call("fold", lambda e, c: s.part.fold(c["world"], c["value"], c["memory"], 0.5), {},
                {"world": s.world, "value": value_of(s), "memory": joint}, "value")
    settle = Call("settle", lambda e, c: s.part.settle(c["world"], c["value"], c["memory"], 0.5), {},
                  {"world": s.world, "value": value_of(s), "memory": joint}, "value")
    return [step, *([batch] if s.part.sees_rows else []), finish, settle, fold]


def spaces(s: Setting) -> list[Space]:
    """Rows to encode: as this run sends them, two blocks, a single column."""
    kind = min(s.part.takes & {Kind.VALUES} or s.part.takes)
    return [s.plan.space, *(Space(tuple(Block(name, width, kind) for name, width in blocks))
                            for blocks in ([("update", 40), ("control", 3)], [("update", 1)]))]


def _encode(s):
    found = []
    for space in spaces(s):
        mine = s.part.init(s.world, space)
        for table in mine.own.values():
            table.scatter(s.ids, 0.1 * s.rows(table.fill.numel(), purpose="memory").view(len(s.ids), *table.fill.shape))
        each = {"rows": s.rows(space.width), "keys": s.keys("encode"), "mine": mine.of(s.ids)}
        arrays = s.part.encode(each["rows"], space, each["keys"], each["mine"])[0]
        found += [Call("encode", lambda e, c, sp=space: s.part.encode(e["rows"], sp, e["keys"], e["mine"]), each),
                  Call("decode", lambda e, c, sp=space: s.part.decode(e["arrays"], sp), {"arrays": arrays})]
    return found


def _attack(s):
    x, y = s.batch()
    bad = (torch.arange(len(s.ids)) % 2 == 0).to(s.world.device)
    labels, rows = len(s.world.data.labels), s.rows(7) if Kind.VALUES in s.part.takes else s.made()
    return [Call("lie", lambda e, c: s.part.lie(e["rows"], e["bad"], e["keys"], s.plan.space),
                 {"rows": rows, "bad": bad, "keys": s.keys("lie")}, out="joint" if s.part.needs_all else "rows"),
            Call("poison", lambda e, c: s.part.poison(e["x"], e["y"], e["bad"], e["keys"], labels),
                 {"x": x, "y": y, "bad": bad, "keys": s.keys("poison")})]


def _privatise(s):
    each = {"rows": 3 * s.rows(9), "keys": s.keys("local noise")}
    key = s.world.keys("privacy noise", 1, 0)
    common = {"mine": s.state.memory["privatise"], "total": s.rows(9, 1)[0], "counted": s.rows(1, 1)[0, 0]}
    return [Call("client", lambda e, c: s.part.client(e["rows"], e["keys"], s.plan.ledger), each),
            Call("bound", lambda e, c: s.part.bound(e["rows"], c["mine"]), each, common),
            Call("count", lambda e, c: s.part.count(e["rows"], c["mine"]), each, common),
            Call("noise", lambda e, c: s.part.noise(c["total"], s.plan.ledger, 1.0, key, c["mine"]), {}, common,
                 "value"),
            Call("learn", lambda e, c: s.part.learn(c["counted"], s.plan.ledger, key, c["mine"]), {}, common,
                 "value")]


def combined(part, s: Setting, rows: Tensor, weights: Tensor, expected: float, ids: Tensor) -> Any:
    """What the engine makes of rows [C, D] of clients ids [C]: folded in blocks, then finished."""
    total, at = None, 0
    for block in blocks(iter([rows])):
        total = part.fold(total, block, weights[at:at + len(block)])
        at += len(block)
    cohort = Cohort(1, ids, torch.ones_like(ids), torch.ones(len(ids), dtype=torch.float64), torch.zeros_like(ids),
                    len(ids), 1.0)
    world = replace(s.world, shards=replace(s.world.shards, train=torch.ones(20, dtype=torch.int64)))
    mine = part.init(world, Space((Block("update", rows.shape[1]),))).of(ids)
    made = part.combine(world, total, weights, expected, cohort, mine)[0]
    return made.value if isinstance(made, Combined) else made


def _of_models(s):
    """The rule on rows of this run, and what comes back to each client."""
    found = []
    for clients in (2, 5, s.world.clients):
        ids = torch.arange(clients)
        each = {"rows": s.made(clients), "ids": ids, "weights": s.part.weigh(s.world.shards.train[ids])}

        def both(e):
            n = len(e["ids"])
            cohort = Cohort(3, e["ids"], s.world.shards.train[e["ids"]], torch.ones(n, dtype=torch.float64),
                            torch.full_like(e["ids"], 2), n, 3.0)
            mine, total, at = s.state.memory["aggregate"].of(e["ids"]), None, 0
            for block in blocks(iter([e["rows"]])):
                total = s.part.fold(total, block, e["weights"][at:at + len(block)])
                at += len(block)
            return s.part.combine(s.world, total, e["weights"], 12.0, cohort, mine)[0]

        found += [Call(f"combine of {clients} rows", lambda e, c: both(e).value, each, out="one"),
                  Call(f"combine of {clients} rows, what comes back", lambda e, c: both(e).rows, each, out="joint")]
    return found


def _aggregate(s):
    found = _of_models(s) if s.part.returns_rows else []
    if found:
        return found
    for clients in (1, 2, 5, 20):
        sizes = 3 + torch.arange(clients) * 7 % 11
        rows = s.made(clients) if Kind.BITS in s.plan.meant.kinds else s.rows(6, clients)
        each = {"rows": rows, "weights": s.part.weigh(sizes), "ids": torch.arange(clients)}
        out = combined(s.part, s, each["rows"], each["weights"], 12.0, each["ids"])
        found.append(Call(f"fold and combine of {clients} rows",
                          lambda e, c: combined(s.part, s, e["rows"], e["weights"], 12.0, e["ids"]), each,
                          out="joint" if out.dim() == 2 else "one"))
    return [*found, Call("weigh", lambda e, c: s.part.weigh(e["sizes"]), {"sizes": sizes}, typed=False)]


def _server(s):
    common = {"world": s.world, "state": s.state, "value": value_of(s), "memory": s.state.memory["server"]}
    return [Call("step", lambda e, c: s.part.step(c["world"], c["state"], c["value"], c["memory"]), {}, common,
                 "value")]


def _evaluate(s):
    tables = measure(s.plan, s.state)
    each = {"ids": tables.ids, "counts": tables.counts, "losses": tables.losses}
    return [Call("read", lambda e, c: s.part.read(replace(c["tables"], **e)), each, {"tables": tables}, "one", False),
            Call("later", lambda e, c: s.part.later(c["tables"], 10), {}, {"tables": tables}, "value", False)]


CALLS: dict[str, Callable[[Setting], list[Call]]] = {
    "task": _task, "net": _net, "partition": _partition, "topology": _topology, "oracle": _oracle,
    "sampler": _sampler,
    "schedule": _schedule, "distribute": _distribute, "fairness": _fairness, "local": _local,
    "personalise": _personalise, "correct": _correct, "encode": _encode,
    "attack": _attack, "privatise": _privatise, "aggregate": _aggregate, "server": _server, "evaluate": _evaluate,
}
