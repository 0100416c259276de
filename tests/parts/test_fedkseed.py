"""Seeds instead of weights: steps and sums of a model of one weight by hand, chances by hand, bytes by the formula.

Client 1 of `line` has the loss (w - 2)^2 / 2: along z its two-point slope is z (w - 2), whatever epsilon, as the loss
is a parabola. Client 0 has ((w - 1)^2 + (2 w)^2) / 4 and so the slope z (5 w - 1) / 2.
"""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import directions
from fedlab_widgets.directions import Pool, normals, two_point
from fedlab_widgets.encode import Nonzero
from fedlab_widgets.engine import advance
from fedlab_widgets.local import SeededSteps
from fedlab_widgets.local.chances import chances, drawn, learnt
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.recipes.fedkseed import fedkseed, fedkseed_austen
from fedlab_widgets.session import one_thread
from fedlab_widgets.types import Block, Cohort, Memory, Space, never
from fedlab_widgets.world import world_of


def plan_of(recipe=fedkseed, **changes):
    e = recipe.experiment.changed(**{"rounds": 3, "evaluate.every": 3, **changes})
    return prepare(e, world_of(e, torch.device("cpu")))


def next_of(plan, state, executor=None):
    with one_thread():
        return advance(plan, state, (executor or fl.Stacked()).settled(plan.world), never)


def cohort_of(plan, *ids):
    ids = torch.tensor(ids)
    return Cohort(1, ids, plan.world.shards.train[ids], torch.ones(len(ids), dtype=torch.float64), ids * 0, len(ids),
                  1.0)


def seeded(line, **fields):
    """The two clients of the one-weight model, full batches, steps of 0.1."""
    return line(**{"local": SeededSteps(**{"directions": 1, "steps": 2, "lr": 0.1, "batch": None, **fields})})


# --- directions -----------------------------------------------------------------------------------------------------

def test_a_slope_by_hand(line):
    """Client 0 at w = 3 along z = 2: 2 (15 - 1) / 2 = 14, the loss at w = 4 is (9 + 64) / 4, at 2 (1 + 16) / 4, their
    mean 22.5 / 2 = 11.25. Client 1 at w = 1 along -1: -(1 - 2) = 1; losses (1.5 - 2)^2 / 2 and (0.5 - 2)^2 / 2."""
    world = line().world
    w, z = torch.zeros(2, world.layout.total).double(), torch.zeros(2, world.layout.total).double()
    w[:, 0], z[:, 0] = torch.tensor([3.0, 1.0]), torch.tensor([2.0, -1.0])
    x, y = torch.tensor([[[1.0], [2.0]], [[1.0], [0.0]]]).double(), torch.tensor([[1, 0], [2, 0]])
    share = torch.tensor([[0.5, 0.5], [1.0, 0.0]]).double()
    slope, loss = two_point(world, w, z, 0.5, x, y, share)
    assert slope.tolist() == pytest.approx([14.0, 1.0], rel=1e-12)
    assert loss.tolist() == pytest.approx([11.25, (0.125 + 1.125) / 2], rel=1e-12)


def test_directions_are_normal_where_something_travels_and_zero_elsewhere():
    world = plan_of(**{"net.of.hidden": (7,)}).world   # tensors of 448, 7, 70 and 10 columns: there is padding
    z = normals(world.keys("a test", 1, torch.arange(200)), world.sent)
    assert world.layout.total > world.sent.width
    assert torch.equal(world.layout.real.put(world.layout.real.take(z)), z)
    free = world.sent.take(z)
    assert abs(float(free.mean())) < 0.02 and abs(float(free.var()) - 1) < 0.02   # of 1e5 numbers
    assert abs(float(free[0] @ free[1])) / free.shape[1] < 0.2


def test_a_pool_gives_the_same_bits_in_pieces_and_whether_it_is_kept_or_not(monkeypatch):
    world = plan_of().world
    pool, index = Pool(5, 300, world), torch.tensor([[299, 0], [7, 7], [120, 3]])
    c = torch.randn(3, 300, generator=torch.Generator().manual_seed(1)) * (torch.arange(300) % 3 > 0)
    whole, summed = pool.rows(index), pool.combine(c)
    assert whole.shape == (3, 2, world.layout.total) and torch.equal(whole[1, 0], whole[1, 1])
    monkeypatch.setattr(directions, "HELD", 0)
    monkeypatch.setattr(directions, "BLOCK", 5 * world.layout.total)
    assert torch.equal(whole, torch.stack([pool.rows(i) for i in index]))
    assert torch.equal(summed, torch.stack([pool.combine(row) for row in c]))
    expected = c.double() @ pool.rows(torch.arange(300)).double()
    assert torch.allclose(summed.double(), expected, atol=1e-5)
    assert not torch.equal(pool.rows(index), Pool(6, 300, world).rows(index))


# --- local steps ----------------------------------------------------------------------------------------------------

def test_two_steps_by_hand(line):
    """From w = 0 along z with lr 0.1, client 1: g1 = -2 z, w = 0.2 z^2, g2 = z (0.2 z^2 - 2). Client 0: g1 = -z / 2,
    w = 0.05 z^2, g2 = z (0.25 z^2 - 1) / 2. A is the mean of the sums, and the model -0.1 z A."""
    plan = seeded(line)
    z = float(plan.experiment.local.pool(plan.world).rows(torch.tensor([0]))[0, 0])
    H = [-z / 2 + z * (0.25 * z * z - 1) / 2, -2 * z + z * (0.2 * z * z - 2)]
    state, _ = next_of(plan, begin(plan))
    A = state.memory["local"].shared["total"]
    assert A.tolist() == pytest.approx([sum(H) / 2], rel=1e-9)
    assert float(state.model[0]) == pytest.approx(-0.1 * z * sum(H) / 2, rel=1e-9)
    state, _ = next_of(plan, state)
    again = plan.experiment.local.pool(plan.world).combine(-0.1 * state.memory["local"].shared["total"])
    assert float(again[0]) == pytest.approx(float(state.model[0]), rel=1e-12) and float(state.model[0]) > 0


def test_what_clients_say_of_their_own_steps(line):
    """Client 1 alone: |g| of its two steps, as above, have the mean (2 + |0.2 z^2 - 2|) |z| / 2."""
    plan = seeded(line, adaptive=True)
    z = float(plan.experiment.local.pool(plan.world).rows(torch.tensor([0]))[0, 0])
    state, world = begin(plan), plan.world
    out = plan.experiment.local.train(world, state.model.expand(1, -1), cohort_of(plan, 1),
                                      state.memory["local"].at_clients(torch.tensor([1])),
                                      world.keys("training", 1, torch.tensor([1])), None, never)
    assert out.extras["size"].tolist() == [[pytest.approx(abs(z) * (2 + abs(0.2 * z * z - 2)) / 2, rel=1e-9)]]
    assert out.extras["visited"].tolist() == [[1.0]]
    assert [(b.name, b.width) for b in plan.space.blocks] == [("update", 1), ("size", 1), ("visited", 1)]


@pytest.mark.parametrize("far, skip", [((1e30, 1, 0), None), ((1.0, 9, 0), 2.0)])
def test_steps_that_cannot_be_trusted_are_not_taken(line, far, skip):
    """Client 0's losses are beyond float32, or differ by 9 * 2 * 0.1 |z|, which is more than skip; client 1 goes on,
    whose losses differ by 2 * 2 * 0.1 |z| at most."""
    plan = line(rows=(far, (1.0, 2, 1)), precision="float32", local=SeededSteps(
        directions=1, steps=2, lr=0.1, batch=None, epsilon=0.1, skip=skip))
    z = abs(float(plan.experiment.local.pool(plan.world).rows(torch.tensor([0]))[0, 0]))
    assert 0.4 * z < 2 < 1.8 * z   # of this seed
    state = begin(plan)
    ids = torch.arange(2)
    out = plan.experiment.local.train(plan.world, state.model.expand(2, -1), cohort_of(plan, 0, 1),
                                      state.memory["local"].at_clients(ids), plan.world.keys("training", 1, ids), None,
                                      never)
    assert out.extras["update"][0].tolist() == [0.0] and float(out.end[0, 0]) == 0 and float(out.loss[0]) == 0
    assert float(out.extras["update"][1].abs()) > 0 and bool(out.end.isfinite().all())


# --- chances --------------------------------------------------------------------------------------------------------

def test_chances_by_hand():
    """Mean slopes 2, 0, 1 stretch to 1, 0, 1/2: e, 1 and e^(1/2) are 2.71828, 1 and 1.64872 of 5.36700."""
    known = Memory(shared={"total": torch.zeros(3), "chances": torch.full((3,), 1 / 3),
                           "server sizes": torch.zeros(3), "server visits": torch.zeros(3)})
    # Both of two clients walked along direction 0 with slopes of 3 in the mean, one along direction 2 with 2:
    # (3 + 3 + 0) / 3 = 2 and (2 + 0) / 2 = 1, each with the 0 that a history begins with.
    after = learnt(known, torch.tensor([3.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.5]), 2.0).shared
    assert (after["server sizes"] / (1 + after["server visits"])).tolist() == [2.0, 0.0, 1.0]
    assert after["chances"].tolist() == pytest.approx([0.50648, 0.18632, 0.30720], abs=1e-5)
    assert chances(torch.tensor([4.0, 4.0])).tolist() == [0.5, 0.5]


def test_directions_are_drawn_by_their_chances_whoever_is_beside():
    keys = torch.arange(40)
    for chance, expected in ((None, [1 / 3] * 3), (torch.tensor([0.1, 0.2, 0.7]), [0.1, 0.2, 0.7])):
        k = drawn(keys, 500, 3, chance)
        share = torch.bincount(k.flatten(), minlength=3) / k.numel()
        assert share.tolist() == pytest.approx(expected, abs=0.015)   # 4 deviations of 20 000 draws
        assert torch.equal(k[7:9], drawn(keys[7:9], 500, 3, chance))


# --- bytes ----------------------------------------------------------------------------------------------------------

def test_nonzero_by_hand():
    """Of 6 numbers of 4 bytes: 1 pair takes 8, 2 take 16, 3 would take 24, as do all."""
    rows = torch.tensor([[0, 5, 0, 0, 0, 0], [1, 0, 0, 0, 0, -2], [1, 0, 3, 0, 0, -2], [0, 0, 0, 0, 0, 0.0]])
    space, codec = Space((Block("update", 6),)), Nonzero()
    payload = codec.payload(codec.encode(rows, space, None, Memory())[0], space, rows.dtype)
    packed = [codec.pack(payload, i) for i in range(4)]
    assert payload.bytes.tolist() == [len(p) for p in packed] == [8, 16, 24, 0] and codec.price(space, rows.dtype) == 24
    assert packed[0] == (1).to_bytes(4, "little") + b"\x00\x00\xa0\x40"   # place 1, then 5.0
    assert torch.equal(codec.decode(codec.unpack(packed, space, rows.dtype).tensors, space), rows)
    for wrong in (packed[0][:5], (6).to_bytes(4, "little") + packed[0][4:], b"\0" * 32):
        with pytest.raises(ValueError):
            codec.unpack([wrong], space, rows.dtype)


def bytes_of(**changes):
    plan, said = plan_of(**changes), []
    state = begin(plan)
    for _ in range(2):
        state, events = next_of(plan, state)
        said.append(events[-1])
    return plan, state, said


def test_bytes_are_those_of_the_formula_and_not_of_the_net():
    """Up 8 bytes for each different direction of 100 steps, down 4 K, and 8 more for the seed the first time; a net
    four times as wide takes as many, where FedAvg's takes 3.8 times as many (19 210 and 4 810 numbers)."""
    _, _, narrow = bytes_of()
    _, _, wide = bytes_of(**{"net.of.hidden": (256,)})
    up, down = ([getattr(e, name) for e in narrow] for name in ("bytes_up", "bytes_down"))
    assert up == [e.bytes_up for e in wide] and down == [e.bytes_down for e in wide]
    assert all(0.85 * 5 * 800 < n <= 5 * 800 for n in up)
    came = [set(e.cohort) for e in narrow]
    assert down == [5 * 4 * 1024 + 8 * 5, 5 * 4 * 1024 + 8 * len(came[1] - came[0])]
    fedavg = [payload for payload in (4 * 4810, 4 * 19_210)]
    assert fedavg[1] / fedavg[0] > 3.9


def test_the_transformer_with_the_papers_numbers_stays_under_18_kilobytes():
    local = fedkseed_austen.experiment.local
    assert (local.directions, local.steps) == (4096, 200)
    assert 4 * local.directions + 8 * local.steps + 8 == 17_992 < 18_000


def test_every_byte_of_the_adaptive_form_is_billed():
    """Up: pairs of sums and of sizes, and a bit a direction; down: A and the chances."""
    plan, state, said = bytes_of(**{"local.adaptive": True})
    assert 0.85 * 5 * 1600 < said[0].bytes_up - 5 * 1024 // 8 <= 5 * 1600
    assert said[0].bytes_down == 5 * (2 * 4 * 1024 + 8)
    known = state.memory["local"].shared
    assert known["chances"].max() / known["chances"].min() <= 2.7183 and float(known["chances"].sum()) == pytest.approx(
        1, abs=1e-5)


def test_who_has_no_model_downloads_it_once():
    plan, state, said = bytes_of(**{"distribute.known": False})
    first = 8 + 4 * 4810
    came = [set(e.cohort) for e in said]
    new = [len(came[0]), len(came[1] - came[0])]
    assert [e.bytes_down for e in said] == [5 * 4 * 1024 + n * first for n in new]


# --- the model ------------------------------------------------------------------------------------------------------

def test_the_numbers_rebuild_the_model_and_it_learns():
    plan = plan_of()
    state = first = begin(plan)
    losses = []
    for _ in range(3):
        state, events = next_of(plan, state)
        losses.append(events[-1].train_loss)
    local = plan.experiment.local
    rebuilt = first.model + local.pool(plan.world).combine(-local.lr * state.memory["local"].shared["total"])
    assert float((rebuilt - state.model).norm() / state.model.norm()) < 1e-6
    assert not torch.equal(first.model, state.model)
    views = next(e for e in events if type(e).__name__ == "Shown").views
    A = state.memory["local"].shared["total"]
    assert views["sums of slopes"]["values"] == pytest.approx(A[:8].tolist(), rel=1e-5)
    assert 0.5 < views["directions used"]["values"][0] < 1   # 1 500 steps on 1 024 directions


def test_trimming_numbers_keeps_a_liar_out():
    """All 20 clients walk along each of 16 directions about 6 times; a tenth lie. What is trimmed is 16 numbers."""
    few = {"local.directions": 16, "schedule": fl.Lockstep(), "partition": fl.IID(clients=20)}
    liars = fl.SignFlip(liars=(0, 1), scale=50.0)
    honest, lied, kept = (bytes_of(**few, **more)[1].memory["local"].shared["total"] for more in (
        {}, {"attack": liars}, {"attack": liars, "aggregate": fl.TrimmedMean(f=2)}))
    assert (kept - honest).norm() < 0.5 * honest.norm() < 0.5 * (lied - honest).norm()


def test_parts_that_do_not_go_together_say_so():
    for changes, said in (({"local": fl.SGD()}, "set local to 'seeded_steps'"),
                          ({"server": fl.Momentum()}, "server = momentum does more"),
                          ({"server.lr": 0.5}, "lr = 1"),
                          ({"distribute": fl.OwnModels(), "aggregate": fl.Gossip(), "schedule": fl.Lockstep()},
                           "aggregate = gossip mixes whole models")):
        with pytest.raises(fl.BadInput, match=said):
            plan_of(**changes)
    notes = " ".join(plan_of(net=fl.MLP(), aggregate=fl.Median(), distribute=fl.Broadcast()).notes)
    assert "warm_start" in notes and "'rebuilt'" in notes and "0.47 walk along" in notes   # 5 (1 - (1023/1024)^100)
