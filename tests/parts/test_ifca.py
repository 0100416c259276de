"""Clusters of clients that find each other: by hand on branches of one weight, through the contracts, on turned digits.

Branches hold one weight w of the line w x; clients 0, 1, 2 have losses  ((w - 1)^2 + (2 w)^2)/2,  (w - 2)^2/2  and
((2 w - 2)^2 + (w - 2)^2)/2 over their 2, 1 and 2 rows. At w = 0 they are 0.5, 2, 4; at w = 1.5 they are 4.625, 0.125,
0.625; at w = 9 all are larger. From branches at 0, 1.5, 9 the choices are therefore 0, 1, 1. The mean gradients there
are (5 w - 1)/2 = -0.5,  w - 2 = -0.5  and  (5 w - 6)/2 = 0.75: steps of 0.1 move by 0.05, 0.05 and -0.075.
"""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn

import fedlab_widgets as fl
from fedlab_widgets.contracts import contracts_of, toy
from fedlab_widgets.engine import advance
from fedlab_widgets.local.least_loss import _inner
from fedlab_widgets.plan import begin
from fedlab_widgets.session import one_thread
from fedlab_widgets.slots import Net
from fedlab_widgets.types import never

THREE = ((1.0, 1, 0), (2.0, 0, 0), (1.0, 2, 1), (2.0, 2, 2), (1.0, 2, 2))
HOME = fl.KeepLayers(layers=("choice",))


@pytest.fixture
def forked(line):
    """forked(**fields) -> the plan of IFCA with three branches of one weight."""

    def make(**fields):
        return line(**{"rows": THREE, "net": fl.Branches(of=line().experiment.net, k=3), "distribute": HOME,
                       "local": fl.LeastLoss(lr=0.1, epochs=1, batch=None), "encode": fl.OneBranch(branches=3),
                       "aggregate": fl.ByBranch(then=fl.Mean(weights="samples")), **fields})

    return make


def started(plan, *weights):
    """The state before the first round, with branches at these weights: each lies in a line of its own."""
    model = begin(plan).model.clone()
    model[list(plan.world.layout.offsets[1:])] = torch.tensor(weights, dtype=model.dtype)
    return replace(begin(plan), model=model)


def next_of(plan, state, executor=fl.Stacked(3)):
    with one_thread():
        state, events = advance(plan, state, executor.settled(plan.world), never)
    return state, events[-1]


def at(plan, state):
    return state.model[list(plan.world.layout.offsets[1:])].tolist()


def choices(state, clients=3):
    return state.own.gather(torch.arange(clients)).tolist()


# --- by hand --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("executor", [fl.Stacked(3), fl.Stacked(2), fl.OneByOne()], ids=repr)
def test_a_round_by_hand(forked, executor):
    """Branch 0 is client 0's alone: 0.05. Branch 1: (1 row * 0.05 - 2 rows * 0.075) / 3 rows = -1/30. Nobody chose
    branch 2. Up: 8 bytes of weight and 4 of number each; down: three weights of 8 bytes, to three clients."""
    plan = forked()
    state, ended = next_of(plan, started(plan, 0.0, 1.5, 9.0), executor)
    assert at(plan, state) == pytest.approx([0.05, 1.5 - 1 / 30, 9.0], abs=1e-15)
    assert choices(state) == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert (ended.bytes_up, ended.bytes_down) == (3 * 12, 3 * 24)


def test_clients_that_count_the_same(forked):
    plan = forked(aggregate=fl.ByBranch(then=fl.Mean(weights="uniform")))   # (0.05 - 0.075) / 2
    state, _ = next_of(plan, started(plan, 0.0, 1.5, 9.0))
    assert at(plan, state) == pytest.approx([0.05, 1.4875, 9.0], abs=1e-15)


def test_the_plain_mean_is_the_papers_averaging_of_gradients(forked):
    # Divided by all three clients: 0.05/3 and (0.05 - 0.075)/3. A row sent as it is costs three weights of 8 bytes.
    plan = forked(aggregate=fl.Mean(weights="uniform"), encode=fl.Update())
    state, ended = next_of(plan, started(plan, 0.0, 1.5, 9.0))
    assert at(plan, state) == pytest.approx([0.05 / 3, 1.5 - 0.025 / 3, 9.0], abs=1e-15)
    assert ended.bytes_up == 3 * 24


def test_a_choice_is_made_anew(forked):
    """From 0, 1.5, 1.9 client 1 takes branch 2 (0.005 against 0.125), client 2 branch 1 still (0.625 against 1.625)."""
    plan = forked()
    first, _ = next_of(plan, started(plan, 0.0, 1.5, 9.0))
    second, _ = next_of(plan, replace(first, model=started(plan, 0.0, 1.5, 1.9).model))
    assert choices(second) == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert at(plan, second) == pytest.approx([0.05, 1.425, 1.9 + 0.1 * 0.1], abs=1e-15)


def test_who_is_not_asked_keeps_the_choice_and_the_first_is_everybodys_at_first(forked):
    plan = forked(schedule=fl.Lockstep(clients=(2,)))
    state, _ = next_of(plan, started(plan, 0.0, 1.5, 9.0))
    assert choices(state) == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert at(plan, state) == pytest.approx([0.0, 1.425, 9.0], abs=1e-15)
    w = plan.experiment.distribute.start(plan.world, state, torch.arange(3))
    ones = torch.ones(3, 1, 1, dtype=torch.float64)
    assert plan.world.forward(w, ones).flatten().tolist() == pytest.approx([0.0, 0.0, 1.425])   # argmax of zeros: 0


def test_a_liar_spoils_its_own_branch_alone(forked):
    """Client 1 sends -0.05: branch 1 moves by (-0.05 - 2 * 0.075)/3, the others as without it."""
    plan = forked(attack=fl.SignFlip(liars=(1,)))
    state, _ = next_of(plan, started(plan, 0.0, 1.5, 9.0))
    assert at(plan, state) == pytest.approx([0.05, 1.5 - 0.2 / 3, 9.0], abs=1e-15)


def test_a_row_that_moves_nothing_counts_for_no_branch(forked):
    plan = forked(aggregate=fl.ByBranch(then=fl.Mean(weights="uniform")), attack=fl.FreeRider(liars=(2,), size=0))
    state, _ = next_of(plan, started(plan, 0.0, 1.5, 9.0))
    assert at(plan, state) == pytest.approx([0.05, 1.55, 9.0], abs=1e-15)


def test_a_row_on_the_wire_and_back():
    space = fl.types.Space((fl.types.Block("update", 6),))
    rows = torch.tensor([[0.0, 0, 5, -7, 0, 0], [1, 2, 0, 0, 0, 0], [0.1, 0, 0, 0, 0, -3]])
    arrays, _ = fl.OneBranch(branches=3).encode(rows, space, torch.zeros(3, dtype=torch.int64), None)
    assert arrays["branch"].tolist() == [[1], [0], [2]]
    assert arrays["values"].tolist() == [[5, -7], [1, 2], [0, -3]]
    expected = rows.clone()
    expected[2, 0] = 0   # what moved less is not sent
    assert torch.equal(fl.OneBranch(branches=3).decode(arrays, space), expected)


# --- contracts, with branches in the toy world ----------------------------------------------------------------------

FORKED = {"net": fl.Branches(of=fl.MLP(hidden=(4,)), k=2), "distribute": HOME,
          "local": fl.LeastLoss(epochs=1, batch=8, momentum=0.5), "aggregate": fl.ByBranch(),
          "encode": fl.OneBranch(branches=2)}


WORK = {"untouched", "precision", "permuted", "pieces", "terms", "wire", "stacked", "chunk", "resume", "bytes",
        "cohorts"}


@pytest.mark.parametrize("part", [FORKED["local"], FORKED["encode"], fl.ByBranch(then=fl.Median())], ids=repr)
def test_the_contracts_hold_with_branches(part, monkeypatch):
    path, _ = toy.PLACES[part.slot]
    monkeypatch.setitem(toy.PLACES, part.slot, (path, lambda p: FORKED | {part.slot: p}))
    for contract in WORK & set(contracts_of(part.slot)) - ({"stacked"} if part == FORKED["encode"] else set()):
        assert list(fl.check_part(part, only=contract).kept) == [contract]


def test_a_branch_is_trained_on_the_path_written_out_by_hand(forked):
    world = toy.Case(fl.Apply()).plan(**FORKED).world
    assert world.stack is None and _inner(world).stack is not None
    assert _inner(replace(world, stacks=False)).stack is None   # one by one, autograd is the reference


# --- refused, or explained, before the run --------------------------------------------------------------------------

@pytest.mark.parametrize("fields, said", [
    ({"distribute": fl.Broadcast()}, "set distribute to KeepLayers"),
    ({"distribute": fl.KeepLayers(layers=("*",))}, "of all branches to travel"),
    ({"distribute": fl.KeepLayers(layers=("choice", "branches.0.*"))}, "the same layers of all branches"),
    ({"encode": fl.OneBranch(branches=2)}, r"encode.branches = 2, and the net has 3; set encode.branches to 3"),
    ({"net": fl.Logistic(), "distribute": fl.Broadcast()}, "the net has no branches; set encode to 'update'"),
    ({"encode": fl.Sign()}, r"spreads what one branch learnt .* OneBranch\(branches=3\)"),
    ({"local": fl.SGD(correct=(fl.ControlVariate(),)), "aggregate": fl.ByBranch(then=fl.Mean(weights="uniform"))},
     "local sends control"),
    ({"aggregate": fl.ByBranch(then=fl.CentredClipping())}, "choose another rule in then"),
    ({"aggregate": fl.ByBranch(then=fl.FLTrust())}, "choose another rule in then"),
], ids=lambda v: v[:30] if isinstance(v, str) else "")
def test_what_does_not_fit_is_refused(forked, fields, said):
    with pytest.raises(fl.BadInput, match=said):
        forked(**fields)


@pytest.mark.parametrize("codec", [fl.Update(), fl.TopK(fraction=0.2), fl.Quantise(), fl.Drive(), fl.Float16()],
                         ids=lambda c: c.name)
def test_other_codecs_leave_branches_apart(codec):
    plan = toy.Case(fl.Apply()).plan(**FORKED | {"encode": codec})
    assert toy.run(plan, 2)[0].round == 2


def test_without_branches_it_is_plain_sgd_and_the_run_says_so(line):
    plain, named = line(), line(local=fl.LeastLoss(lr=0.1, epochs=1, batch=None), aggregate=fl.ByBranch(
        then=fl.Mean(weights="uniform")))
    assert torch.equal(next_of(plain, begin(plain))[0].model, next_of(named, begin(named))[0].model)
    assert any("no branches to choose from" in note for note in named.notes)


def test_branches_that_nobody_chooses_from(forked):
    assert any("all clients train the first" in note for note in forked(local=fl.SGD()).notes)


def test_a_net_that_freezes_weights_is_refused(forked):
    class Half(Net):
        name = "half"

        def build(self, inputs, outputs):
            net = nn.Linear(1, outputs)
            net.bias.requires_grad_(False)
            return net

    with pytest.raises(fl.BadInput, match="half, which freezes weights"):
        forked(net=fl.Branches(of=Half(), k=3))


# --- turned digits --------------------------------------------------------------------------------------------------

def test_clients_of_one_turn_share_a_branch(tmp_path):
    """Client i sees digits turned by i mod 4 quarter turns: what it shares with the others is found, not told."""
    e = fl.recipe("ifca").changed(rounds=10, seed=2, **{"evaluate.every": 10})
    run = fl.run(e, out=tmp_path / "ifca", progress=False)
    branch = [int(run.model(i).choice.argmax()) for i in range(20)]
    shared = [Counter(branch[turn::4]) for turn in range(4)]
    assert [len(c) for c in shared] == [1] * 4 and len({b for c in shared for b in c}) == 4
    plain = e.changed(net=e.net.of, distribute="broadcast", local=fl.SGD(lr=0.1, epochs=2, batch=16), encode="update",
                      aggregate=fl.Mean())
    fedavg = fl.run(plain, out=tmp_path / "fedavg", progress=False)
    assert run.history.mean_client.iloc[-1] > fedavg.history.mean_client.iloc[-1] + 0.1   # 0.896 and 0.696
    assert run.history.bytes_up.iloc[-1] == fedavg.history.bytes_up.iloc[-1] + 20 * 4   # a number each
