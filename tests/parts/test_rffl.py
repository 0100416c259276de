"""Reputations: two rounds by hand, exclusion by id, downloads by their formula, and the vote of ranks.

Rows (3, 4), (0, 10), (0, -1) no longer than 5 are (3, 4), (0, 5), (0, -1); their mean is A = (1, 8/3), of length
sqrt(73)/3. Their cosines with it are 41/(5 sqrt(73)), 40/(5 sqrt(73)) and below 0, so r = (41, 40, 0)/81: client 2 is
below (1/3)/3 and goes, q = (1, 40/41, 0). Of two columns these are 2, 2 and 0 entries, for which all of A (16 bytes in
float64) is shorter than numbers with places (24).
Then (5, 0) and (-5, 0) with weights 41/81 and 40/81 make A = (5/81, 0) and phi = (1, 0): with alpha = 1/2
r = (41/162 + 1/2, 40/162) = (61, 20)/81, which is over 1/6. q = (1, 20/61): 2 entries, 16 bytes, and 1 entry, 12 bytes.
"""

import math
from dataclasses import replace

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.aggregate import Reputation
from fedlab_widgets.attack import ReverseRanks
from fedlab_widgets.contracts import toy
from fedlab_widgets.distribute import OwnModels
from fedlab_widgets.local import RankSGD
from fedlab_widgets.nets import SuperMask
from fedlab_widgets.plan import models, prepare
from fedlab_widgets.recipes.rffl import rffl
from fedlab_widgets.server import ScoresByRank
from fedlab_widgets.types import Block, Cohort, Kind, Memory, Space
from fedlab_widgets.world import world_of

REWARD = {"distribute": OwnModels()}


def cohort(round, ids):
    ids = torch.tensor(ids)
    ones = torch.ones(len(ids), dtype=torch.float64)
    return Cohort(round, ids, ones.long(), ones, ids * 0, len(ids), float(round))


def combine(part, world, space, round, ids, rows, memory):
    """A round of rows for clients ids, and the memory with what was learnt of them written into it."""
    who = cohort(round, ids)
    weights = part.weigh(who.sizes)
    total = part.fold(None, torch.tensor(rows, dtype=torch.float64), weights)
    found, learnt = part.combine(world, total, weights, float(len(ids)), who, memory.of(who.ids))
    for name, of_clients in learnt.own.items():
        memory.own[name].scatter(who.ids, of_clients)
    return found, Memory(memory.own, learnt.shared)


@pytest.fixture
def world(line):
    return line(rows=((1.0, 1, 0), (2.0, 0, 1), (1.0, 2, 2), (1.0, 2, 3))).world


def of(memory, name, ids):
    return memory.own[name].gather(torch.tensor(ids))[:, 0].tolist()


# --- by hand --------------------------------------------------------------------------------------------------------

def test_two_rounds_by_hand(world):
    part, space = Reputation(alpha=0.5, patience=0, clip=5.0, reward=True), Space((Block("update", 2),))
    memory = part.init(world, space)
    found, memory = combine(part, world, space, 1, [0, 1, 2], [[3, 4], [0, 10], [0, -1]], memory)
    assert found.value.tolist() == pytest.approx([1, 8 / 3])
    assert of(memory, "reputation", [0, 1, 2]) == pytest.approx([41 / 81, 40 / 81, 0])
    assert of(memory, "excluded", [0, 1, 2]) == [0, 0, 1]
    assert found.rows.flatten().tolist() == pytest.approx([4, 4 + 8 / 3, 1, 5 + 8 / 3, 0, -1])
    assert found.down.tolist() == [16, 16, 0]
    found, memory = combine(part, world, space, 2, [0, 1], [[5, 0], [-5, 0]], memory)
    assert found.value.tolist() == pytest.approx([5 / 81, 0])
    assert of(memory, "reputation", [0, 1, 2]) == pytest.approx([61 / 81, 20 / 81, 0])
    assert found.rows.flatten().tolist() == pytest.approx([5 + 5 / 81, 0, -5 + 5 / 81, 0])
    assert found.down.tolist() == [16, 12]


def test_nobody_goes_before_patience_ends(world):
    part, space = Reputation(alpha=0.5, patience=1, clip=5.0), Space((Block("update", 2),))
    memory = part.init(world, space)
    for round, out in ((1, [0, 0, 0]), (2, [0, 0, 1])):
        found, memory = combine(part, world, space, round, [0, 1, 2], [[3, 4], [0, 10], [0, -1]], memory)
        assert of(memory, "excluded", [0, 1, 2]) == out and torch.is_tensor(found)


def test_sizes_weigh_the_first_round_only(world):
    part, space = Reputation(alpha=0.5, clip=None), Space((Block("update", 1),))
    who = replace(cohort(1, [0, 1]), sizes=torch.tensor([3, 1]))
    rows, weights = [torch.tensor([[1.0], [5.0]], dtype=torch.float64)], part.weigh(who.sizes)
    found, learnt = part.combine(world, rows, weights, 4.0, who, part.init(world, space).of(who.ids))
    assert found.tolist() == [2.0]   # (3 * 1 + 5)/4; both point the same way
    assert part.combine(world, rows, weights, 4.0, who, learnt)[0].tolist() == [3.0]


def test_rows_of_zeros_from_all_leave_all_alike(world):
    part, space = Reputation(patience=0, reward=True), Space((Block("update", 2),))
    found, memory = combine(part, world, space, 1, [0, 1], [[0, 0], [0, 0]], part.init(world, space))
    assert of(memory, "reputation", [0, 1]) == [0.5, 0.5] and of(memory, "excluded", [0, 1]) == [0, 0]
    assert bool(torch.isfinite(found.rows).all())


def test_ranks_agree_by_the_correlation_of_places(world):
    """Places (2, 1, 0), (2, 0, 1) and (0, 1, 2) less 1 are (1, 0, -1), (1, -1, 0) and (-1, 0, 1), their mean
    (1/3, -1/3, 0): correlations sqrt(3)/2 less none: (1/3)/(sqrt(2) sqrt(2)/3) = 1/2, (2/3)/(2/3) = 1, and below 0. A
    second tensor of one column says nothing."""
    part = Reputation(alpha=0.5, clip=0.1)   # which ranks do not heed
    space = Space((Block("update", 4, Kind.RANKS, ((3,), (1,))),))
    ballots = [[2, 1, 0, 0], [2, 0, 1, 0], [0, 1, 2, 0]]
    found, memory = combine(part, world, space, 1, [0, 1, 2], ballots, part.init(world, space))
    assert found.tolist() == pytest.approx([4 / 3, 2 / 3, 1, 0])
    assert of(memory, "reputation", [0, 1, 2]) == pytest.approx([1 / 3, 2 / 3, 0])


def test_a_round_of_the_engine_by_hand(line):
    """From w = 0 the clients go 0.05 and 0.2 (see `line`); of one column each gets all of A = 0.125 for 8 bytes, and
    both point the same way for ever. The free rider's row is 0: it keeps what it has."""
    plan = line(**REWARD, aggregate=Reputation(then=fl.Mean(weights="uniform"), reward=True))
    state, said = toy.run(plan, 1)
    assert state.own.gather(torch.arange(2))[:, 0].tolist() == pytest.approx([0.175, 0.325])
    assert said[-1]["bytes_down"] == 2 * 8 and said[-1]["bytes_up"] == 2 * 8
    plan = line(**REWARD, attack=fl.FreeRider(liars=(1,)),
                aggregate=Reputation(then=fl.Mean(weights="uniform"), reward=True, patience=0))
    state, said = toy.run(plan, 1)
    assert state.own.gather(torch.arange(2))[:, 0].tolist() == pytest.approx([0.05 + 0.025, 0])
    assert said[-1]["bytes_down"] == 8
    assert toy.run(plan, 1, state)[1][-1]["cohort"] == [0]


# --- at work --------------------------------------------------------------------------------------------------------

SMALL = {"task": fl.Digits(), "partition": fl.IID(clients=5), "rounds": 5, "seed": 1,
         "local": fl.SGD(lr=0.1, epochs=1, batch=32), "evaluate": fl.Evaluation(readings=(fl.Accuracy(),))}


def after(rounds, **fields):
    plan = toy.Case(fl.Apply()).plan(**SMALL | fields)
    return plan, *toy.run(plan, rounds)


def table(state, name, clients=5):
    return state.memory["aggregate"].own[name].gather(torch.arange(clients))[:, 0]


@pytest.mark.parametrize("liar", [0, 4])
@pytest.mark.parametrize("attack", [fl.SignFlip, fl.FreeRider])
def test_the_liar_goes_and_nobody_else_whichever_its_id(attack, liar):
    """The released code hands rows and rewards to different clients where adversaries come first."""
    plan, state, said = after(5, **REWARD, attack=attack(liars=(liar,)),
                              aggregate=Reputation(alpha=0.5, patience=2, clip=0.5, reward=True))
    assert table(state, "excluded").nonzero().flatten().tolist() == [liar]
    cohorts = [e["cohort"] for e in said if e["event"] == "RoundEnded"]
    assert all(liar in ids for ids in cohorts[:3]) and not any(liar in ids for ids in cohorts[3:])
    honest = [i for i in range(5) if i != liar]
    assert table(state, "reputation")[honest].min() > 0.2 and table(state, "reputation")[liar] == 0
    views = plan.experiment.aggregate.shows(plan, state, None)
    assert views["reward"].values[liar] == 0 and max(views["reward"].values) == 1
    assert views["reputation"].values == tuple(table(state, "reputation").tolist())
    before, now = (s.own.gather(torch.arange(5)) for s in (toy.run(plan, 3)[0], state))
    assert torch.equal(before[liar], now[liar]) and not (before[honest] == now[honest]).all(1).any()


def test_downloads_follow_the_formula():
    """Numbers of 4 bytes, places of 4: of each tensor the ceil(q n) entries, or all numbers where that is shorter."""
    plan, state, said = after(1, **REWARD, partition=fl.Quantity(clients=5, power=2),
                              aggregate=Reputation(clip=0.5, reward=True))
    q = table(state, "reputation") / table(state, "reputation").max()
    sizes = [math.prod(shape) for shape in plan.world.layout.shapes]
    each = [min(8 * sum(math.ceil(share * n - 1e-9) for n in sizes), 4 * sum(sizes)) for share in q.tolist()]
    assert said[-1]["bytes_down"] == sum(each) and min(each) < max(each) == 4 * sum(sizes)


def test_one_model_for_all_behind_a_trimmed_mean():
    _, state, said = after(4, attack=fl.SignFlip(liars=(2,)), aggregate=Reputation(
        then=fl.TrimmedMean(f=1), alpha=0.5, patience=2, clip=None))
    assert table(state, "excluded").tolist() == [0, 0, 1, 0, 0] and state.own is None
    assert [e["bytes_down"] for e in said if e["event"] == "RoundEnded"] == [5 * 2600] * 3 + [4 * 2600]   # 650 weights


def test_votes_by_rank_shut_out_who_turns_them_round():
    _, state, _ = after(4, net=SuperMask(of=fl.MLP(hidden=(16,))), local=RankSGD(epochs=1), server=ScoresByRank(),
                        attack=ReverseRanks(liars=(1,)), aggregate=Reputation(alpha=0.5, patience=2))
    assert table(state, "excluded").tolist() == [0, 1, 0, 0, 0]
    assert table(state, "reputation")[[0, 2, 3, 4]].min() > 0.2


@pytest.mark.parametrize("contract", ["rounds", "chunk", "resume", "cohorts"])
@pytest.mark.parametrize("part", [Reputation(reward=True, patience=1, clip=0.1),
                                  Reputation(then=fl.CentredClipping(), patience=1)], ids=["reward", "remembers"])
def test_the_contracts_hold(part, contract, monkeypatch):
    monkeypatch.setitem(toy.PLACES, "aggregate", ("aggregate", lambda p: {"aggregate": p} | (
        REWARD if p.returns_rows else {})))
    assert list(fl.check_part(part, only=contract).kept) == [contract]


def test_the_recipe_rewards_by_contribution_and_shuts_out_the_free_rider():
    """Five clients' accuracies on the test set, alone and rewarded: a correlation of 0.7 or more was asked for, and
    that the best loses no more than 0.01."""

    def accuracies(e):
        plan = prepare(e, world_of(e, torch.device("cpu")))
        state, said = toy.run(plan, e.rounds)
        world, own = plan.world, models(plan, state, torch.arange(5))
        out = [world.forward(w[None], world.data.test_x[None])[0].argmax(1) for w in own]
        return torch.stack([(y == world.data.test_y).double().mean() for y in out]), said

    e = rffl.experiment
    alone, _ = accuracies(e.changed(distribute=fl.KeepLayers(), aggregate=fl.Mean(), attack=None))
    rewarded, said = accuracies(e)
    cohorts = [e["cohort"] for e in said if e["event"] == "RoundEnded"]
    assert cohorts[:11] == [[0, 1, 2, 3, 4, 5]] * 11 and cohorts[11:] == [[0, 1, 2, 3, 4]] * 29
    assert torch.corrcoef(torch.stack([alone, rewarded]))[0, 1] > 0.7     # 0.98
    assert rewarded.max() >= alone.max() - 0.01 and (rewarded - alone).mean() > 0.02


# --- refused before the run -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("fields, said", [
    ({"aggregate": Reputation(reward=True)}, "set distribute to 'own_models', or aggregate.reward to false"),
    ({"aggregate": Reputation(reward=True), "distribute": OwnModels(begin="independent")}, "begin to 'common'"),
    ({"aggregate": Reputation(), "distribute": OwnModels()}, "own_models gives each client a model"),
    ({"aggregate": Reputation(then=Reputation())}, "choose another rule in then"),
    ({"aggregate": Reputation(then=fl.NormClipping(then=Reputation()))}, "choose another rule in then"),
    ({"aggregate": fl.Bucketing(then=Reputation())}, "must know whose a row is"),
    ({"aggregate": Reputation(), "schedule": fl.Lockstep(sampler=fl.Fixed(m=2))}, "sampler 'full'"),
    ({"aggregate": Reputation(), "schedule": fl.Lockstep(dropout=0.1)}, "no dropout"),
    ({"aggregate": Reputation(), "privatise": fl.Gaussian()}, "no known bound"),
    ({"aggregate": Reputation(reward=True), "distribute": OwnModels(), "net": SuperMask(), "local": RankSGD(),
      "server": ScoresByRank()}, "which cannot be added"),
    ({"aggregate": Reputation(then=fl.Krum()), "net": SuperMask(), "local": RankSGD(), "server": ScoresByRank()},
     "krum takes values"),
], ids=lambda v: v[:30] if isinstance(v, str) else "")
def test_what_does_not_fit_is_refused(fields, said):
    with pytest.raises(fl.BadInput, match=said):
        toy.Case(fl.Apply()).plan(**SMALL | fields)


def test_fields_out_of_range_are_refused():
    for bad in ({"alpha": 1.0}, {"beta": 1.0}, {"patience": -1}, {"clip": 0.0}):
        with pytest.raises(fl.BadInput, match=next(iter(bad))):
            Reputation(**bad)
