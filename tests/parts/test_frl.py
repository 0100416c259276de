"""Federated rank learning: orders of three weights by hand, masks, bytes by the formula, rounds on digits.

Three clients order three weights, least wanted first: [0, 1, 2], [0, 2, 1], [1, 0, 2]. Weight 0 stands at places
0, 0, 1, weight 1 at 1, 2, 0, weight 2 at 2, 1, 2: the sums are 1, 3, 5 and the vote is [0, 1, 2].
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import fedlab_widgets as fl
from fedlab_widgets import distribute, encode, local, nets, server
from fedlab_widgets.attack import ReverseRanks
from fedlab_widgets.engine import advance
from fedlab_widgets.layout import Layout
from fedlab_widgets.nets.super_mask import Masked, mask
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.ranking import at_places, ballot, kept, places
from fedlab_widgets.recipes.frl import frl
from fedlab_widgets.session import one_thread
from fedlab_widgets.slots import Net
from fedlab_widgets.types import Block, Kind, Space, never
from fedlab_widgets.world import world_of

ORDERS = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2]])
PLACES = torch.tensor([[0.0, 1, 2], [0, 2, 1], [1, 0, 2]])
FRL = frl.experiment


class Chain(Net):
    """Two linear layers of 3 and 2 weights with a ReLU between them, in whatever net is wrapped round it."""

    name = "chain"

    def build(self, inputs, outputs):
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs.numel(), 3), nn.ReLU(), nn.Linear(3, outputs))


def plan_of(**changes):
    e = FRL.changed(**{"task": fl.Digits(), "net": fl.SuperMask(of=fl.MLP(hidden=(8,))), "rounds": 2,
                       "local.epochs": 1, **changes})
    return prepare(e, world_of(e, torch.device("cpu")))


def next_of(plan, state, executor=fl.Stacked(7)):
    with one_thread():
        return advance(plan, state, executor.settled(plan.world), never)


# --- orders ---------------------------------------------------------------------------------------------------------

def test_places_turn_orders_round():
    scores = torch.zeros(3, 3).scatter_(1, ORDERS, torch.tensor([0.1, 0.2, 0.7]).expand(3, 3))
    assert places(scores, [3]).tolist() == PLACES.tolist()


def test_the_vote_by_hand():
    vote = places(PLACES.sum(0)[None], [3])[0]
    assert PLACES.sum(0).tolist() == [1, 3, 5] and vote.tolist() == [0, 1, 2]
    assert at_places(torch.tensor([0.1, 0.4, 0.9]), vote, [3]).tolist() == pytest.approx([0.1, 0.4, 0.9])


def test_tensors_are_ordered_each_for_itself():
    assert places(torch.tensor([[9.0, 8.0, 7.0, 1.0, 2.0]]), [3, 2]).tolist() == [[2, 1, 0, 0, 1]]


def test_the_order_of_clients_and_one_ballot():
    """Exchanging clients changes nothing; one ballot moves a sum by n - 1 at most, and by just that when reversed."""
    votes = places(torch.rand(7, 40, generator=torch.Generator().manual_seed(0)), [40]).double()
    assert torch.equal(votes.sum(0), votes.flip(0).sum(0))
    other = votes.clone()
    other[3] = 39 - other[3]
    assert (other.sum(0) - votes.sum(0)).abs().max() == 39


# --- the net --------------------------------------------------------------------------------------------------------

def test_a_mask_by_hand():
    """Half of five, rounded up: 0.9, 0.5 and 0.4 stay. The gradient of sum(2 m) is 2 everywhere, through the mask."""
    scores = torch.tensor([0.5, -0.1, 0.4, 0.9, 0.2], requires_grad=True)
    found = mask(scores, 0.5)
    assert found.tolist() == [1, 0, 1, 1, 0]
    (2 * found).sum().backward()
    assert scores.grad.tolist() == [2] * 5
    assert [kept(0.5, 5), kept(0.55, 100), kept(0.01, 3)] == [3, 55, 1]


def test_weights_are_signed_constants_and_scores_are_not_negative():
    net = fl.SuperMask(of=Chain(), keep=0.5).build(torch.Size([8]), 2)
    assert [n for n, _ in net.named_parameters()] == ["net.1.weight", "net.3.weight"]   # no biases
    assert net.weight0.abs().unique().tolist() == [0.5]                      # sqrt(2 / 8 inputs)
    assert net.weight1.abs().unique().tolist() == pytest.approx([(2 / 3) ** 0.5])
    first, second = net.parameters()
    assert first.min() >= 0 and first.max() <= 8 ** -0.5 and second.max() <= 3 ** -0.5
    assert {-0.5, 0.5} == set(net.weight0.unique().tolist())


def test_an_answer_and_a_gradient_by_hand():
    """One layer of four inputs, weights +-sqrt(2 / 4), the two with the best scores used: x = 1, 2, 3, 4 gives
    sqrt(1/2) (s_1 2 + s_3 4), and a score's gradient is its weight times its input, used or not."""
    net = Masked(nn.Linear(4, 1, bias=False), 0.5)
    signs = net.weight0.sign()[0]
    scores = torch.tensor([[0.1, 0.8, 0.2, 0.7]], requires_grad=True)
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    out = torch.func.functional_call(net, {"net.weight": scores}, (x,))
    out.sum().backward()
    assert out.item() == pytest.approx(0.5 ** 0.5 * float(signs[1] * 2 + signs[3] * 4), rel=1e-6)
    assert torch.allclose(scores.grad, 0.5 ** 0.5 * signs * x)


def test_clients_side_by_side():
    assert plan_of().world.stacks


@pytest.mark.parametrize("of", [fl.CNN(groups=2), fl.Logistic()], ids=lambda p: p.name)
def test_other_nets_can_be_masked(of):
    net = fl.SuperMask(of=of).build(torch.Size([1, 8, 8]), 10)
    assert net(torch.randn(3, 1, 8, 8)).shape == (3, 10) and all(p.dim() > 1 for p in net.parameters())


def test_nets_with_other_vectors_are_refused():
    with pytest.raises(fl.BadInput, match="choice.*net.of"):
        fl.SuperMask(of=fl.Branches(k=2)).build(torch.Size([4]), 2)


# --- bytes ----------------------------------------------------------------------------------------------------------

LENET = ((32, 1, 3, 3), (64, 32, 3, 3), (128, 64 * 14 * 14), (10, 128))


def test_bytes_of_lenet():
    """288 * 9 + 18 432 * 15 + 1 605 632 * 21 + 1 280 * 11 bits = 34 011 424 bits: 4 251 428 bytes, of which float32
    takes 6 502 528, 34.6 % more than are needed."""
    net = nn.Module()
    for i, shape in enumerate(LENET):
        net.register_parameter(f"w{i}", nn.Parameter(torch.zeros(shape)))
    layout = Layout.of(net)
    world = SimpleNamespace(layout=layout, sent=layout.real)
    assert layout.real.width == 1_625_632
    assert distribute.Order().price(world) == 4_251_428
    assert round(1 - 4_251_428 / (4 * layout.real.width), 3) == 0.346


def test_bytes_of_a_round():
    """64 * 8 = 512 weights of 9 bits and 8 * 10 = 80 of 7: 5 168 bits are 646 bytes, up and down, for 20 clients."""
    plan = plan_of()
    _, events = next_of(plan, begin(plan))
    assert (events[-1].bytes_up, events[-1].bytes_down) == (20 * 646, 20 * 646)


# --- rounds ---------------------------------------------------------------------------------------------------------

def test_what_clients_send_are_the_places_of_their_scores():
    plan = plan_of()
    cohort = plan.experiment.schedule.next(plan.world, begin(plan))[0]
    start = begin(plan).model.expand(len(cohort), -1)
    keys = plan.world.keys("training", 1, cohort.ids)
    trained = plan.experiment.local.train(plan.world, start, cohort, begin(plan).memory["local"], keys, None, never)
    scores = plan.world.layout.views(trained.end)["net.3.weight"].flatten(1)
    rank = trained.extras["update"][:, -80:].long()
    assert torch.equal(scores.sort(dim=1).values, scores.scatter(1, rank, scores))
    assert not torch.equal(trained.end, start)


@pytest.mark.parametrize("attack", [None, ReverseRanks(liars=0.2)], ids=["honest", "liars"])
def test_scores_stay_the_same_numbers(attack):
    plan = plan_of(attack=attack)
    first = begin(plan).model
    state, _ = next_of(plan, begin(plan))
    state, _ = next_of(plan, state)
    for name, now in plan.world.layout.views(state.model).items():
        then = plan.world.layout.views(first)[name]
        assert torch.equal(now.flatten().sort().values, then.flatten().sort().values)
        assert not torch.equal(now, then)


def vote(plan, row):
    state, part = begin(plan), plan.experiment.server
    return part.step(plan.world, state, {"update": row}, part.init(plan.world))


def test_equal_ballots_are_the_vote():
    plan = plan_of()
    sizes = ballot(plan.world.layout, plan.world.sent).sizes
    mine = places(torch.rand(1, sum(sizes), generator=torch.Generator().manual_seed(1)), sizes)
    model, memory = vote(plan, mine[0].float())
    again = places(plan.world.sent.take(model)[None], sizes)
    ties = sum(sizes) - sum(len(s.unique()) for s in plan.world.sent.take(model).split(sizes))
    assert int((again != mine).sum()) <= 2 * ties
    assert memory.shared["agreement"].tolist() == pytest.approx([1, 1], abs=1e-5)


def test_overlap_and_agreement_by_hand():
    """A vote for the order that is there keeps all of the mask, one against it (half of it) nothing; and ballots that
    cancel each other have every mean place at (n - 1) / 2: an agreement of 0."""
    plan = plan_of()
    sizes = ballot(plan.world.layout, plan.world.sent).sizes
    now = places(plan.world.sent.take(begin(plan).model)[None], sizes)[0].float()
    last = torch.cat([torch.full((n,), n - 1.0) for n in sizes])
    assert vote(plan, now)[1].shared["overlap"].tolist() == [1, 1]
    assert vote(plan, last - now)[1].shared["overlap"].tolist() == [0, 0]
    assert vote(plan, last / 2)[1].shared["agreement"].tolist() == [0, 0]


def test_agreement_is_kendalls_w():
    """Of the three ballots above: sums 1, 3, 5, S = (1 - 3)^2 + 0 + (5 - 3)^2 = 8, W = 12 S / (9 (27 - 3)) = 4/9."""
    mean = PLACES.mean(0)
    assert 12 * float(mean.var(correction=0)) / 8 == pytest.approx(4 / 9)
    plan = plan_of(net=fl.SuperMask(of=fl.Logistic()))   # one layer of 640: the same with thirds of it at 0, 1, 2 …
    many = torch.cat([mean * 0 + m for m in mean[:, None] * 320])[:640]
    many = torch.cat([many, many.new_zeros(640 - len(many))])
    expected = 12 * float(many.double().var(correction=0)) / (640**2 - 1)
    assert vote(plan, many)[1].shared["agreement"].tolist() == pytest.approx([expected], rel=1e-5)


def test_a_round_is_the_sorted_mean_of_the_ballots():
    plan = plan_of()
    state, _ = next_of(plan, begin(plan))
    block, = plan.space.blocks
    cohort = plan.experiment.schedule.next(plan.world, begin(plan))[0]
    start = begin(plan).model.expand(len(cohort), -1)
    with one_thread():
        sent = plan.experiment.local.train(plan.world, start, cohort, begin(plan).memory["local"],
                                           plan.world.keys("training", 1, cohort.ids), None, never).extras["update"]
    initial = plan.world.sent.take(begin(plan).model)
    for now, was, rows in zip(*(t.split(block.sizes, -1) for t in (plan.world.sent.take(state.model), initial, sent)),
                              strict=True):
        order = rows.sum(0).argsort(stable=True)
        assert torch.equal(now[order], was.sort().values)


def test_a_run_and_single_rounds(tmp_path):
    e = FRL.changed(rounds=3, **{"net.of": fl.MLP(hidden=(16,)), "local.epochs": 1, "attack": ReverseRanks(liars=0.2)})
    whole = fl.run(e)
    plan = prepare(e, world_of(e, torch.device("cpu")))
    state = begin(plan)
    for _ in range(3):   # what is not in the state does not survive
        state, _ = next_of(plan, replace(state), fl.Stacked(6))
    assert torch.equal(plan.world.layout.flatten(whole.model(), plan.world.dtype, plan.world.device), state.model)


def test_views_of_a_round():
    plan = plan_of()
    state, _ = next_of(plan, begin(plan))
    views = plan.experiment.server.shows(plan, state, None)
    assert views["overlap"].labels == ("1.weight", "3.weight") and views["overlap"].kind == "lines"
    assert all(0.5 < v <= 1 for v in views["overlap"].values) and all(0 < v < 1 for v in views["agreement"].values)


# --- liars ----------------------------------------------------------------------------------------------------------

def test_liars_reverse_their_own_vote():
    """The two liars' places 0, 1, 2 and 0, 2, 1 sum to 0, 3, 3; the vote turned round gives weight 0 the best place,
    and of the two that are equal the first comes first: 2, 0, 1. The second tensor, 0 1 and 0 1, becomes 1 0."""
    space = Space((Block("update", 5, Kind.RANKS, ((3,), (2,))),))
    rows = torch.cat([PLACES, torch.tensor([[0.0, 1.0], [0, 1], [1, 0]])], dim=1)
    bad = torch.tensor([True, True, False])
    told = ReverseRanks().lie(rows, bad, None, space)
    assert told.tolist() == [[2, 0, 1, 1, 0], [2, 0, 1, 1, 0], [1, 0, 2, 1, 0]]
    assert torch.equal(ReverseRanks().lie(rows, ~bad & bad, None, space), rows)


# --- what does not go together --------------------------------------------------------------------------------------

@pytest.mark.parametrize("changes, match", [
    ({"net": fl.MLP()}, "super_mask"),
    ({"server": fl.Apply()}, "broadcast"),
    ({"server": fl.Apply(), "distribute": fl.Broadcast()}, "server = apply takes values"),
    ({"encode": encode.TopK()}, "encode"),
    ({"attack": fl.SignFlip()}, "attack = sign_flip takes values"),
    ({"aggregate": fl.Krum()}, "aggregate = krum takes values"),
    ({"local": fl.SGD()}, "server = scores_by_rank takes ranks"),
    ({"privatise": fl.Gaussian(), "aggregate": fl.Mean(weights="uniform", denominator="expected"),
      "schedule": fl.Lockstep(sampler=fl.Poisson(q=0.5))}, "takes values"),
], ids=lambda v: "-".join(v) if isinstance(v, dict) else "")
def test_what_is_refused(changes, match):
    with pytest.raises(fl.BadInput, match=match):
        plan_of(**changes)


def test_scores_that_explode_end_the_run():
    run = fl.run(FRL.changed(rounds=2, **{"net.of": fl.MLP(hidden=(8,)), "local.weight_decay": 10.0,
                                          "local.lr": 100.0, "local.epochs": 20}))
    assert run.status == "failed" and "local.lr" in run.reason


def test_parts_are_in_the_catalogue():
    for part in (nets.SuperMask, local.RankSGD, server.ScoresByRank, distribute.Order, ReverseRanks):
        assert fl.catalogue(part.slot)[part.name] is part
