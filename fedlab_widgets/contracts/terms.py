"""Contracts on what a slot's neighbours rely on: shapes, bounds and claims that the engine takes at a part's word."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from .. import seeds
from ..evaluate.measure import measure
from ..layout import Columns
from ..privatise.accountant import Everyone, FixedSampling, InTurnSampling, PoissonSampling
from ..types import Interrupted, Kind, Memory
from ..world import build
from .calls import Setting, spaces, value_of
from .declared import variants
from .rules import Broken, contract, difference, need
from .toy import Case


@contract("terms")
def terms(case):
    """What it claims of itself is so: shapes, ranges, bounds, what it leaves alone."""
    for c in (case, *(Case(v) for v in variants(case.part) if v.slot != "task")):
        TERMS[c.part.slot](c.part, Setting(c, "float64"))


@contract("wire", "encode")
def wire(case):
    """decode(encode(rows)) has the shape of rows, the bytes really packed are those priced, and unpack inverts pack."""
    for dtype in ("float32", "float64"):
        s = Setting(case, dtype)
        for space in spaces(s):
            _wire(case.part, s, space)


def _wire(p, s: Setting, space) -> None:
    dtype, rows, keys = s.world.dtype, s.rows(space.width), s.keys("encode")
    mine = p.init(s.world, space)
    arrays, after = p.encode(rows, space, keys, mine.of(s.ids))
    for name, (length, kind) in p.wire(space, dtype).items():
        sent = arrays.get(name)
        need(sent is not None and sent.shape == (len(rows), length) and sent.dtype == kind,
             f"wire promises {name} [C, {length}] {kind}, and encode gives {_shape(sent)}")
    need(set(after.own) == set(mine.own), f"init makes the memory {sorted(mine.own)}, encode gives {sorted(after.own)}")
    payload = p.payload(arrays, space, dtype)
    packed = [p.pack(payload, i) for i in range(len(rows))]
    lengths = [len(b) for b in packed]
    need(payload.bytes.tolist() == lengths, f"it prices {payload.bytes.tolist()} bytes and packs {lengths}")
    back = p.unpack(packed, space, dtype)
    found = difference((payload.tensors, payload.bytes), (back.tensors, back.bytes))
    need(not found, f"unpack(pack(payload)) is another payload: {found}")
    decoded, arrived = p.decode(payload.tensors, space), p.decode(back.tensors, space)
    need(decoded.shape == rows.shape and decoded.dtype == dtype,
         f"decode(encode(rows)) is {_shape(decoded)} for rows {_shape(rows)}")
    need(bool(decoded.isfinite().all()), "decode(encode(rows)) is not finite")
    need(not difference(decoded, arrived), "decode gives other rows for the bytes that arrived")
    try:
        p.unpack([packed[0] + b"\0"], space, dtype)
    except ValueError:
        return
    raise Broken("unpack takes a message that is a byte too long; raise ValueError")


def _shape(value) -> str:
    return f"{list(value.shape)} {value.dtype}" if isinstance(value, Tensor) else "nothing"


def _is(value, shape, what: str, kinds=None) -> None:
    good = isinstance(value, Tensor) and tuple(value.shape) == tuple(shape) and (kinds is None or value.dtype in kinds)
    need(good, f"{what} is {_shape(value)}, where {list(shape)} is due")


def _task(p, s):
    d, e = s.plan.experiment.task.load(), s.plan.experiment.task
    for x, y, group in ((d.x, d.y, d.group), (d.test_x, d.test_y, d.test_group)):
        need(x.is_floating_point() and bool(x.isfinite().all()), "features must be finite fractional numbers")
        _is(y, (len(x),), "y", (torch.int64,))
        _is(group, (len(x),), "group", (torch.int64,))
        need(bool(((y >= 0) & (y < len(d.labels))).all()), f"y leaves 0 .. {len(d.labels) - 1}")
        need(bool(((group >= 0) & (group < len(d.groups))).all()), f"group leaves 0 .. {len(d.groups) - 1}")
    need(len(d.x) > 0 and len(d.test_x) > 0, "there are no rows to learn from, or none to test on")
    need(d.favourable is None or 0 <= d.favourable < len(d.labels), f"favourable = {d.favourable} is no label")
    outputs = s.rows(4 * len(d.labels)).view(len(s.ids), 4, -1).requires_grad_()
    loss = e.loss(outputs, s.batch()[1])
    _is(loss, (len(s.ids), 4), "loss", (torch.float64,))
    need(bool(torch.autograd.grad(loss.sum(), outputs)[0].isfinite().all()), "the loss has no finite gradient")


def _net(p, s):
    net = build(p, s.world.data, 7)
    need(isinstance(net, nn.Module), f"build gives a {type(net).__name__}, not a torch module")
    _is(s.world.forward(s.weights(), s.batch()[0]), (len(s.ids), 4, len(s.world.data.labels)), "forward")


def _partition(p, s):
    data = s.plan.experiment.task.load()
    clients = p.count(data)
    owner = p.assign(data, seeds.keys(5, "partition", 0, 0))
    _is(owner, (len(data.y),), "assign", (torch.int64,))
    holdings = p.holdings(data)
    need(clients >= holdings >= 1, f"{clients} clients have {holdings} holdings, so that some rows are nobody's")
    need(bool(((owner >= 0) & (owner < holdings)).all()), f"assign leaves 0 .. {holdings - 1}")


def _topology(p, s):
    for n in (2, 10, 64):
        if [*p.unfit(n)]:
            continue
        first, later = (p.edges(n, round, s.world.keys("topology", 0, 0)) for round in (1, 2))
        _is(first, (2, first.shape[1]), "edges", (torch.int64,))
        need(bool(((first >= 0) & (first < n)).all()), f"edges of {n} leave 0 .. {n - 1}")
        need(bool((first[0] != first[1]).all()), "a client is linked to itself")
        need(len(set(map(tuple, first.T.tolist()))) == first.shape[1], "a link is there twice")
        need(p.changes or torch.equal(first, later), "it says that links stay, and they change")


def _oracle(p, s):
    users, d = 4000, torch.tensor([3, 6])
    keys = seeds.fold(s.keys("users", 2)[:, None], torch.arange(users))
    values = torch.minimum(seeds.integers(seeds.fold(keys, 9), 1, 6)[..., 0], d[:, None] - 1)
    there = torch.ones_like(values, dtype=torch.bool)
    for epsilon in (0.5, 3.0):
        right, wrong = p.chances(d, epsilon)
        need(bool(((wrong > 0) & (wrong < right) & (right <= 1)).all()), "a report must support the truth more often")
        counts = p.ask(values, there, d, epsilon, keys, 8)
        _is(counts, (2, 8), "ask", (torch.int64,))
        need(not bool(counts[0, 3:].any() or counts[1, 6:].any()), "ask counts values that nobody can have")
        need(not bool(p.ask(values, ~there, d, epsilon, keys, 8).any()), "ask counts users that do not report")
        told = p.estimate(counts, d * 0 + users, d, epsilon)
        true = torch.stack([v.bincount(minlength=8) for v in values])
        share = true[:, 0].double() / users
        most = 6 * torch.stack([p.variance(torch.tensor([users]), d[i:i + 1], epsilon, float(share[i]))
                                for i in (0, 1)]).sqrt()[:, 0]
        need(bool(((told - true)[:, 0].abs() <= most).all()), "estimates are further off than their variance allows")
        need(bool((p.bits(d, epsilon) >= 1).all()), "a user sends no bit")


def _sampler(p, s):
    for eligible in (1, 7, 1000):
        rate, sizes, tries = p.rate(eligible), [], 60
        need(0 < rate <= 1, f"rate({eligible}) = {rate} is no chance")
        terms = p.sampling(eligible)
        need(terms is None or isinstance(terms, (Everyone, FixedSampling, InTurnSampling, PoissonSampling)),
             f"sampling({eligible}) is a {type(terms).__name__}; give a value of privatise.accountant, or None")
        for i in range(tries):
            drawn = p.draw(eligible, i + 1, seeds.keys(i, "sampling", 1, 0))
            _is(drawn, (len(drawn),), "draw", (torch.int64,))
            need(drawn.tolist() == sorted(set(drawn.tolist()) & set(range(eligible))),
                 f"draw of {eligible} is not ascending, distinct and in range: {drawn.tolist()[:8]}")
            sizes.append(len(drawn))
        spread = 5 * math.sqrt(max(rate * (1 - rate) * eligible / tries, 1e-12)) + 1e-9
        mean = sum(sizes) / tries
        need(abs(mean - rate * eligible) <= spread,
             f"rate({eligible}) promises {rate * eligible:g} clients a round, and {mean:g} come")
        need(not p.certain or len(set(sizes)) == 1, "it calls the number of clients certain, and it varies")


def _schedule(p, s):
    N, (cohort, _) = s.world.clients, p.next(s.world, s.state)
    ids, eligible = cohort.ids, list(p.eligible(N))
    need(ids.tolist() == sorted(set(ids.tolist()) & set(eligible)), "ids are not ascending, distinct and eligible")
    for name in ("sizes", "weights", "versions"):
        _is(getattr(cohort, name), (len(ids),), name)
    need(torch.equal(cohort.sizes, s.world.shards.train[ids]), "sizes are not the clients' training rows")
    need(cohort.invited >= len(ids), f"{cohort.invited} are invited and {len(ids)} come")
    need(cohort.round == s.state.round + 1 and cohort.time >= s.state.time, "rounds must follow one another in time")
    need(bool((cohort.versions <= s.state.round).all()), "somebody starts from a model that does not exist yet")
    need(0 < p.rate(N) <= 1 and p.asked(N) >= p.rate(N) * len(eligible) - 1e-9, "rate and asked do not fit together")


def _distribute(p, s):
    kept = s.world.layout.columns(p.kept(s.world.layout))
    start = p.start(s.world, s.state, s.ids)
    _is(start, (len(s.ids), s.world.layout.total), "start", (s.world.dtype,))
    if kept.width:
        need(torch.equal(kept.take(start), s.state.own.gather(s.ids)), "kept layers do not start from the client's own")
    price = p.price(s.world)
    need(isinstance(price, int) and price >= 0, f"price = {price!r} is no number of bytes")
    need(price == 0 or s.world.sent.width > 0, f"it prices {price} bytes, and nothing travels")


def _fairness(p, s):
    world, N, T = s.world, len(s.ids), p.tells(s.world)
    _, y = s.batch()
    outputs = s.rows(y.shape[1] * len(world.data.labels)).view(*y.shape, -1)
    told, share = s.rows(T) if T else s.rows(1)[:, :0], torch.full(y.shape, 0.1, dtype=world.dtype)
    need(p.sends == (p.asks(world) > 0), f"sends is {p.sends}, and it asks for {p.asks(world)} numbers")
    weights, extra = p.rows(world, y, y % 2, told), p.penalty(world, outputs, y, y % 2, share, told)
    _is(weights, y.shape, "rows", (world.dtype,))
    _is(extra, (N,), "penalty", (world.dtype,))
    need(p.weighs_rows or bool((weights == 1).all()), "rows does something, and weighs_rows is False")
    need(p.penalises or bool((extra == 0).all()), "penalty does something, and penalises is False")
    if not p.sends:
        return
    _is(p.answer(world, s.weights(), s.ids), (N, p.asks(world)), "answer", (world.dtype,))
    shares = torch.full((N,), 1 / N, dtype=torch.float64)
    mine = s.state.memory["fairness"].under("0").of(s.ids)
    reply = p.reply(world, p.answer(world, s.weights(), s.ids), shares, mine)
    _is(reply.told, (N, T), "what it tells", (world.dtype,))
    if isinstance(reply.factor, Tensor):
        _is(reply.factor, (N,), "factor", (torch.float64,))
        need(bool((reply.factor >= 0).all()), "factors are below 0")
    due = p.init(world).own
    need(set(reply.memory.own) == set(due), f"reply remembers {sorted(reply.memory.own)}, init {sorted(due)}")


def _local(p, s):
    space, mine = p.gives(s.world), s.state.memory["local"]
    args = (s.world, s.weights(), s.cohort(), mine.of(s.ids), s.keys("training"), None)
    out = p.train(*args, lambda: False)
    _is(out.end, args[1].shape, "end", (s.world.dtype,))
    _is(out.loss, (len(s.ids),), "loss")
    need(space.blocks[0].name == p.meant(s.world).blocks[0].name == "update", "the first block is not the update")
    settled = p.settle(s.world, value_of(s), mine, 0.5)["update"]
    _is(settled, (s.world.sent.width,), "the update, as settled,")
    _blocks(out.extras, space.blocks[1:], s)
    due = p.init(s.world).own
    need(set(out.own) == set(due), f"train gives own rows {sorted(out.own)}, init {sorted(due)}")
    _is(p.steps_of(args[2].sizes, s.world.shards.largest), (len(s.ids),), "steps_of")
    _padding(out.end, s, "end")
    try:
        p.train(*args, lambda: True)
    except Interrupted:
        return
    raise Broken("train goes on when stop says stop; raise Interrupted")


def _personalise(p, s):
    mine, local = s.state.memory["personalise"].of(s.ids), s.plan.experiment.local
    args = (s.weights(), s.weights(), s.cohort(), mine, s.keys("personal"))
    own = p.learn(s.world, local, *args, lambda: False)
    due = p.init(s.world).own
    need(set(own) == set(due), f"learn gives own rows {sorted(own)}, init {sorted(due)}")
    used = p.models(s.world, local, args[0], *args[2:])
    _is(used, args[0].shape, "models", (s.world.dtype,))
    _padding(used, s, "models")


def _blocks(extras: dict, blocks, s) -> None:
    if "update" in extras:
        _is(extras["update"], (len(s.ids), s.plan.space.blocks[0].width), "update", (s.world.dtype,))
    extras = {name: rows for name, rows in extras.items() if name != "update"}
    need(list(extras) == [b.name for b in blocks], f"it sends {list(extras)}, and promises {[b.name for b in blocks]}")
    for b in blocks:
        _is(extras[b.name], (len(s.ids), b.width), f"block {b.name}", (s.world.dtype,))


def _padding(rows: Tensor, s, what: str) -> None:
    real = s.world.layout.real
    need(torch.equal(real.put(real.take(rows)), rows), f"{what} writes into the padding of the flat row")


def _correct(p, s):
    mine = s.state.memory["local"].under("0").of(s.ids)
    shape = s.weights().shape
    if p.linear:
        a, b = p.affine(s.world, s.weights(), mine)
        number = isinstance(a, (int, float)) or isinstance(a, Tensor) and a.shape in ((), (shape[0], 1))
        need(number, f"a is {_shape(a)}, where a number or [C, 1] is due")
        need(b is None or b.shape == shape, f"b is {_shape(b)}, where {list(shape)} is due")
    else:
        _is(p.grad(s.rows(shape[1]), s.weights(), s.weights(), mine), shape, "grad")
    path = torch.full((len(s.ids), 1), 0.3, dtype=s.world.dtype)
    extras, own = p.finish(s.world, s.state.model.expand(shape), s.weights(), path, mine)
    _blocks(extras, p.blocks(s.world), s)
    due = p.init(s.world).own
    need(set(own) == set(due), f"finish gives own rows {sorted(own)}, init {sorted(due)}")


def _encode(p, s):
    need(bool(p.takes & s.plan.space.kinds), f"it takes no {', '.join(s.plan.space.kinds)}")


def _attack(p, s):
    rows, (x, y), keys = s.made(), s.batch(), s.keys("lie")
    bad = torch.arange(len(rows)) % 2 == 0
    lied = p.lie(rows, bad, keys, s.plan.space)
    _is(lied, rows.shape, "lie", (rows.dtype,))
    need(torch.equal(lied[~bad], rows[~bad]), "lie changes rows of honest clients")
    xs, ys = p.poison(x, y, bad, keys, len(s.world.data.labels))
    need(torch.equal(xs[~bad], x[~bad]) and torch.equal(ys[~bad], y[~bad]), "poison changes rows of honest clients")
    need(xs.shape == x.shape and ys.shape == y.shape, "poison changes the shape of a batch")
    need(p.poisons or torch.equal(xs, x) and torch.equal(ys, y), "poison does something, and poisons is False")


def _privatise(p, s):
    rows, mine = 3 * s.rows(9), s.state.memory["privatise"]
    once = p.bound(rows, mine)
    _is(once, rows.shape, "bound", (rows.dtype,))
    need(bool((once.norm(dim=1) <= rows.norm(dim=1) * (1 + 1e-9)).all()), "bound makes rows longer")
    need(not difference(once, p.bound(once, mine), 1e-12), "bound changes rows that are within the bound")
    longest = [float(p.bound(10.0**n * rows, mine).norm(dim=1).max()) for n in (9, 12)]
    need(not p.central or longest[1] <= longest[0] * (1 + 1e-6), "bound bounds nothing: longer rows stay longer")
    _is(p.client(rows, s.keys(), s.plan.ledger), rows.shape, "client", (rows.dtype,))
    counted = p.count(rows, mine)
    _is(counted, rows.shape[:1], "count", (rows.dtype,))
    need(bool((counted.abs() <= 0.5).all()), "count leaves -1/2 .. 1/2, for which its noise is made")
    after = p.learn(counted.sum(), s.plan.ledger, s.keys()[0], mine)
    need(set(after.shared) == set(mine.shared) and not after.own, "learn gives another memory than init makes")


def _aggregate(p, s):
    sizes = torch.tensor([3, 1, 500, 20, 7])
    weights, rows = p.weigh(sizes), s.rows(6)
    _is(weights, (5,), "weigh", (torch.float64,))
    need(bool((weights >= 0).all()), "weights are below 0")
    need(not p.equal_weights or bool((weights == weights[0]).all()),
         "it says equal_weights, and weigh tells sizes apart")
    if p.folds:
        total = p.fold(p.fold(None, rows[:2], weights[:2]), rows[2:], weights[2:])
        need(isinstance(total, Tensor) and total.shape == rows.shape[1:], "it says that it folds, and keeps every row")
    if p.sensitivity is not None:
        with_, without = p.fold(None, rows, weights), p.fold(None, rows[:-1], weights[:-1])
        moved, allowed = float((with_ - without).norm()), p.sensitivity * float(rows[-1].norm())
        need(moved <= allowed * (1 + 1e-9),
             f"one client moves the sum by {moved:.3g}, and sensitivity allows {allowed:.3g}")
        parts = [p.finish(p.fold(None, rows[:n], weights[:n]), weights[:n], 5.0) / p.fold(None, rows[:n], weights[:n])
                 for n in (3, 5)]
        need(not difference(parts[0], parts[1], 1e-9), "it states a sensitivity, and divides by who came")
    for count in (1, 2, 100):
        note = p.warning(count)
        need(note is None or isinstance(note, str) and bool(note), f"warning({count}) is {note!r}, no text")


def _server(p, s):
    value = s.plan.meant.split(s.made(1)[0])
    model, memory = p.step(s.world, s.state, value, s.state.memory["server"])
    _is(model, s.state.model.shape, "the model", (s.world.dtype,))
    _padding(model, s, "step")
    due = p.init(s.world)
    need(isinstance(memory, Memory) and set(memory.shared) == set(due.shared),
         "step gives another memory than init makes")
    if Kind.VALUES not in p.takes:
        return   # orders of some columns of a tensor are no orders
    half = Columns(((0, 3),), s.world.layout.total)   # as if all other columns stayed at home
    world = replace(s.world, sent=half)
    new = p.step(world, s.state, {"update": torch.ones(3, dtype=model.dtype)}, p.init(world))[0]
    need(torch.equal(new[3:], s.state.model[3:]), "step changes columns that do not travel")


def _evaluate(p, s):
    tables = measure(s.plan, s.state)
    empty = replace(tables, ids=tables.ids[:0], counts=tables.counts[:0], losses=tables.losses[:0],
                    test_counts=0 * tables.test_counts, test_loss=0.0)
    for what, t in (("", tables), (" without rows", empty), (" without groups", replace(tables, favourable=None))):
        for name, value in {**p.read(t), **p.later(t, 10)}.items():
            need(isinstance(name, str) and type(value) is float, f"{name} is {value!r}{what}, not a float")
    need(set(p.read(empty)) <= set(p.read(tables)), "it reads other figures when there are no rows")


TERMS: dict[str, Callable[[object, Setting], None]] = {
    "task": _task, "net": _net, "partition": _partition, "topology": _topology, "oracle": _oracle,
    "sampler": _sampler, "schedule": _schedule, "distribute": _distribute, "fairness": _fairness, "local": _local,
    "personalise": _personalise, "correct": _correct, "encode": _encode, "attack": _attack, "privatise": _privatise,
    "aggregate": _aggregate, "server": _server, "evaluate": _evaluate,
}
