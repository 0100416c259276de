"""Heavy hitters under local differential privacy: oracles, prefixes, what travels, and what is found."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.contracts.toy import run
from fedlab_widgets.events import RoundEnded
from fedlab_widgets.local import prefix_rows
from fedlab_widgets.local.prefix_users import group
from fedlab_widgets.oracle import GRR, OLH, OUE, LeastVariance
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.prefix_views import scores, truth
from fedlab_widgets.prefixes import LAST, NONE, Candidates, as_weights, extended, listed, numbers
from fedlab_widgets.recipes import recipe
from fedlab_widgets.schedule import Lockstep
from fedlab_widgets.types import Cohort
from fedlab_widgets.world import world_of

ORACLES = json.loads((Path(__file__).parents[1] / "oracles" / "privacy.json").read_text())
KINDS = {"grr": GRR(), "oue": OUE(), "olh": OLH()}
NO_NOISE = 50.0   # an epsilon that hides nothing


def one(*values):
    return torch.tensor(values)


def planned(e):
    return prepare(e, world_of(e, torch.device("cpu")))


def test_counts_from_reports_by_hand():
    # e^eps = 3, d = 4: p = 3 / 6, q = 1 / 6. Of n = 10 reports 5, 2, 2, 1 name the values, so that the estimates are
    # (5 - 10 / 6) / (1 / 3) = 10, (2 - 10 / 6) * 3 = 1 twice and (1 - 10 / 6) * 3 = -2. They add up to 10.
    got = GRR().estimate(one([5, 2, 2, 1]), one(10), one(4), math.log(3))
    assert got[0].tolist() == pytest.approx([10, 1, 1, -2])
    # OUE, e^eps = 3: p = 1/2, q = 1/4: 4 of 10 say yes: (4 - 2.5) * 4 = 6.
    assert OUE().estimate(one([4]), one(10), one(9), math.log(3)).item() == pytest.approx(6)
    # OLH, e^eps = 3: g = 4, p = 3/6, q = 1/4: 4 of 10 have its hash: (4 - 2.5) * 4 = 6.
    assert OLH().estimate(one([4]), one(10), one(9), math.log(3)).item() == pytest.approx(6)


def test_variances_are_those_of_the_formulas():
    for row in ORACLES["ldp_frequency_oracle_variance"]["rows"]:
        n, d = one(row["users"]), one(row["domain_size"])
        for name, oracle in KINDS.items():
            p, q = oracle.chances(d, row["epsilon"])
            assert (p.item(), q.item()) == pytest.approx((row[name]["p"], row[name]["q"]))
            assert oracle.variance(n, d, row["epsilon"]).item() == pytest.approx(row[name]["variance_count_f0"])
        assert bool(LeastVariance().few(d, row["epsilon"])) == (row["recommended"] == "grr")
    for row in ORACLES["ldp_variance_with_true_frequency"]:
        got = KINDS[row["oracle"]].variance(one(row["users"]), one(row["domain_size"]), row["epsilon"],
                                            row["true_frequency"])
        assert got.item() == pytest.approx(row["variance_count"])


@pytest.mark.parametrize("oracle", [GRR(), OUE(), OLH(), LeastVariance(wide=OUE())])
def test_reports_have_that_mean_and_that_variance(oracle):
    # 2000 parties of 100 users, of whom 20 hold value 3 and nobody value 5, of 12 in all. A sample variance of 2000
    # has a relative deviation of sqrt(2 / 2000) = 3 %: 13 % is four of them; so are 4 deviations of the mean.
    parties, n, d, eps = 2000, 100, 12, 1.0
    values = torch.tensor([3] * 20 + [0, 1, 2, 4, 6, 7, 8, 9] * 10).expand(parties, -1)
    keys = fl.seeds.keys(1, "test", 0, torch.arange(parties * n)).view(parties, n)
    domains = torch.full((parties,), d)
    there = torch.ones(parties, n, dtype=torch.bool)
    counts = oracle.ask(values, there, domains, eps, keys, d + 2)
    assert counts.shape == (parties, d + 2) and not counts[:, d:].any()
    estimates = oracle.estimate(counts, torch.full((parties,), n), domains, eps)
    for value, true in ((3, 20), (5, 0)):
        due = oracle.variance(one(n), one(d), eps, true / n).item()
        assert abs(estimates[:, value].mean().item() - true) < 4 * math.sqrt(due / parties)
        assert estimates[:, value].var().item() == pytest.approx(due, rel=0.13)
    assert not oracle.ask(values[:1], ~there[:1], domains[:1], eps, keys[:1], d).any()   # who is not there says nothing


@pytest.mark.parametrize("eps", [0.5, 2.0, 4.0])
def test_no_report_is_more_than_e_to_the_epsilon_times_as_likely_for_one_value_as_for_another(eps):
    d = one(20)
    p, q = GRR().chances(d, eps)            # any report: p for its value, q for every other; they add up to 1
    assert (p / q).item() == pytest.approx(math.exp(eps)) and (p + 19 * q).item() == pytest.approx(1)
    p, q = OUE().chances(d, eps)            # the most telling pair of bits: yes for mine, no for another
    assert (p * (1 - q) / (q * (1 - p))).item() == pytest.approx(math.exp(eps))
    p, q = OLH().chances(d, eps)            # randomised response among g hashes
    g = OLH().buckets(eps)
    assert (p / ((1 - p) / (g - 1))).item() == pytest.approx(math.exp(eps)) and q.item() == pytest.approx(1 / g)


def test_bits_that_a_user_sends():
    # 41 values: 6 bits; 41 bits; 32 for the seed and, of g = round(e^2) + 1 = 8 hashes, 3.
    assert [o.bits(one(41), 2.0).item() for o in (GRR(), OUE(), OLH())] == [6, 41, 35]
    assert LeastVariance().bits(one(5, 41), 2.0).tolist() == [3, 35]   # 3 e^2 + 2 = 24.2


def test_candidates_are_the_list_with_all_ways_to_go_on():
    # the list 10, 01 of two bits, grown by one: 010, 011, 100, 101; nobody's prefix is out of these.
    found = Candidates.of(one([2, 1, NONE]), one(1), 6)
    assert found.parents.tolist() == [[1, 2, LAST]] and found.count.tolist() == [4]
    assert found.prefix.tolist() == [[2, 3, 4, 5, NONE, NONE]]
    assert found.place(one([0b101, 0b010, 0b000, 0b111])).tolist() == [[3, 0, 4, 4]]
    # Who missed a level grows by two: 6 columns hold the four ways of one prefix only, the foremost.
    assert Candidates.of(one([2, 1, NONE]), one(2), 6).prefix.tolist() == [[8, 9, 10, 11, NONE, NONE]]


def test_what_exceeds_the_noise_is_kept_but_at_least_k_and_at_most_the_width():
    prefix, estimate = one([4, 5, 6, 7, NONE]), one([1.0, 9.0, 5.0, 7.0, 0.0])
    assert extended(prefix, estimate, one(4.0), 1, 4)[0].tolist() == [[5, 7, 6, NONE]]
    assert extended(prefix, estimate, one(4.0), 1, 2)[0].tolist() == [[5, 7]]
    assert extended(prefix, estimate, one(99.0), 2, 4)[0].tolist() == [[5, 7, NONE, NONE]]
    kept, theirs = extended(prefix, estimate, one(-9.0), 1, 6)
    assert kept.tolist() == [[5, 7, 6, 4, NONE, NONE]] and theirs.tolist() == [[9, 7, 5, 1, 0, 0]]


def test_the_net_says_whose_first_bits_are_on_the_list():
    net = fl.PrefixTree(width=3).build(torch.Size([4]), 2)
    x = torch.tensor([[1.0, 0, 1, 1], [1, 1, 1, 1]])
    assert net(x).argmax(1).tolist() == [0, 0]      # an empty list
    with torch.no_grad():
        net.bits[1, 0], net.length[1] = 1.0, 2.0    # 10
    assert net(x).argmax(1).tolist() == [1, 0]
    plan = planned(tiny(PARTIES))
    row = as_weights(plan.world, one(0b110, 0b001, NONE, NONE), 3, torch.ones(4))
    prefix, length = listed(plan.world, row[None])
    assert prefix[0, :3].tolist() == [0b110, 0b001, NONE] and length.tolist() == [3]


def tiny(parties, **changes):
    """Users of parties, {item of 4 bits: how many}; two levels of two bits; 2 heavy hitters."""
    items = [(item, i) for i, party in enumerate(parties) for item, count in party.items() for _ in range(count)]
    x = np.array([[item >> 3 & 1, item >> 2 & 1, item >> 1 & 1, item & 1] for item, _ in items], float)
    total = {item: sum(party.get(item, 0) for party in parties) for party in parties for item in party}
    heavy = sorted(total, key=lambda item: (-total[item], item))[:2]
    task = fl.from_arrays(x, np.isin([item for item, _ in items], heavy).astype(int), client=np.array(items)[:, 1],
                          name="tiny items")
    return recipe("heavy-hitters").changed(**{
        "task": task, "net.width": 4, "rounds": 2, "local.k": 2, "local.shared": 1, "local.epsilon": NO_NOISE,
        **changes})


# 13 leads in the first party and 6 in the second, 2 is second in both: together 13 has 200, 2 has 220, 6 has 180.
PARTIES = ({13: 200, 2: 120, 9: 10}, {6: 180, 2: 100, 9: 10})


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_without_noise_the_most_frequent_items_are_found(shared):
    e = tiny(PARTIES, **{"local.shared": shared})
    plan = planned(e)
    state, _ = run(plan, 2)
    prefix, length = listed(plan.world, state.model[None])
    assert length.tolist() == [4] and sorted(prefix[0].tolist()) == [NONE, NONE, 2, 13]
    assert e.local.figures(plan, state)["f1"] == 1.0
    # An estimate stands for all n users that may report, of whom half, at random, were asked: twice a number with
    # variance n / 4 at most, so that it errs by 4 sqrt(n) at most.
    shards, estimate = plan.world.shards, plan.world.layout.views(state.model)["estimate"]
    mine = torch.cat([numbers(shards.x[a:a + n]) for a, n in zip(shards.offsets, shards.train, strict=True)])
    n = int((mine == 2).sum())
    assert n > 100 and abs(estimate[prefix[0].tolist().index(2)].item() - n) < 4 * n**0.5


def test_a_party_that_stays_away_is_not_counted():
    for client, due in ((0, [2, 13]), (1, [2, 6])):
        plan = planned(tiny(PARTIES, schedule=Lockstep(clients=(client,))))
        assert sorted(listed(plan.world, run(plan, 2)[0].model[None])[0][0, :2].tolist()) == due


def test_a_party_that_missed_the_first_level_grows_by_two():
    plan = planned(tiny(PARTIES, **{"local.shared": 0}))
    state, world = begin(plan), plan.world
    ids = torch.arange(2)
    cohort = Cohort(2, ids, world.shards.train[ids], torch.ones(2).double(), ids * 0, 2, 2.0)
    out = plan.experiment.local.train(world, state.model.expand(2, -1), cohort, state.memory["local"].of(ids),
                                      world.keys("training", 2, ids), None, lambda: False)
    assert out.own["asked"].tolist() == [[16], [16]] and out.own["length"].tolist() == [[4], [4]]
    assert [sorted(row[:2].tolist()) for row in out.own["list"]] == [[2, 13], [2, 6]]


def test_every_user_reports_once():
    plan = planned(tiny(PARTIES))
    world, ids, seen = plan.world, torch.arange(2), []
    for round in (1, 2):
        cohort = Cohort(round, ids, world.shards.train[ids], torch.ones(2).double(), ids * 0, 2, float(round))
        _, there, keys = group(plan.experiment.local, world, cohort, None)
        seen += keys[there].tolist()    # a key is a user
        assert there.sum(1).tolist() == [(n + 2 - round) // 2 for n in world.shards.train.tolist()]   # half of them
    assert len(set(seen)) == len(seen) == int(world.shards.train.sum())


def test_bytes_are_those_of_the_lists():
    few = {"task.users": (500, 400, 300, 200), "task.rare": 100}
    e = recipe("heavy-hitters").changed(**few)
    plan = planned(e)
    state, said = run(plan, 2)
    ended = [event for event in said if event["event"] == RoundEnded.__name__]
    # Up in round 1: 4 estimates and a variance, 20 bytes, from each of 4 parties; in round 2: 4 * 4 candidates, 68.
    assert [event["bytes_up"] for event in ended] == [80, 272]
    # Down: nothing is known before round 1; before round 2, 4 prefixes of 2 bits, a byte each, to 4 parties.
    assert [event["bytes_down"] for event in ended] == [0, 16]
    # In round 3 the four ways to go on from each prefix that was kept, and a variance.
    kept = int((listed(plan.world, state.model[None])[0] >= 0).sum())
    assert prefix_rows.travels(e.local, plan.world, state).width == 4 * kept + 1
    _, said = run(planned(recipe("fedpem").changed(**few)), 8)
    ended = [event for event in said if event["event"] == RoundEnded.__name__]
    # Parties that work alone send nothing until the last level: then 10 items of 2 bytes with 4 bytes each.
    assert [event["bytes_up"] for event in ended] == [0] * 7 + [4 * 10 * 6]
    assert not any(event["bytes_down"] for event in ended)


def test_the_tree_beats_parties_alone_and_shows_what_it_keeps():
    found = {}
    for name in ("heavy-hitters", "fedpem"):
        e = recipe(name).changed(**{"local.epsilon": 4.0, "evaluate.every": 8})
        plan = planned(e)
        state, said = run(plan, 8)
        found[name] = e.local.figures(plan, state)
    assert found["heavy-hitters"]["f1"] > found["fedpem"]["f1"] > 0.5   # the recipe's seed; see the note for twenty
    view = e.local.shows(plan, state, None)["tree"]
    leaves = [node for node in view.values if node[0] == 0]
    assert len(leaves) == 10 and all(first == last for _, first, last, _ in leaves)
    assert len(truth(plan.world.data)) == 10
    assert scores(truth(plan.world.data), truth(plan.world.data)) == {"f1": 1.0, "ncr": 1.0}
    assert "epsilon = 4" in e.forecast().own_account


def test_what_does_not_fit_is_refused_in_a_sentence():
    e = recipe("heavy-hitters").changed(**{"task.users": (50, 40), "task.rare": 20})
    for changes, word in (({"net": "mlp"}, "prefix_tree"), ({"aggregate": "mean"}, "sum_by_item"),
                          ({"local": "sgd"}, "prefix_extension"), ({"server": {"part": "apply", "lr": 0.5}}, "lr 1"),
                          ({"privatise": "local_noise"}, "takes values"), ({"rounds": 9}, "set rounds to 8"),
                          ({"local.step": 3}, "does not divide"), ({"net.width": 5}, "net.width"),
                          ({"task.bits": 4}, "task.bits"), ({"distribute": "own_models"}, "own_models")):
        with pytest.raises(fl.BadInput, match=word):
            planned(e.changed(**changes))


def test_parties_that_drop_out_at_random_leave_a_list_all_the_same():
    e = recipe("heavy-hitters").changed(**{"local.epsilon": 4.0, "schedule.dropout": 0.2, "evaluate.every": 8})
    plan = planned(e)
    state, _ = run(plan, 8)
    assert e.local.figures(plan, state)["f1"] >= 0.5   # of 10 items; nothing would be found by chance of 65 536
