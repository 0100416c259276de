"""Two ideas at a time: what each of the two promises still holds when they work together."""

from dataclasses import replace

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.engine import advance
from fedlab_widgets.evaluate.measure import measure
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.session import one_thread
from fedlab_widgets.types import never
from fedlab_widgets.world import world_of


def trained(name, rounds, /, **changes):
    e = fl.recipe(name).changed(**changes)
    plan = prepare(e, world_of(e, torch.device("cpu")))
    state, said, executor = begin(plan), [], Stacked().settled(plan.world)
    with one_thread():
        for _ in range(rounds):
            state, events = advance(plan, state, executor, never)
            said += events
    return plan, state, [e for e in said if type(e).__name__ == "RoundEnded"]


def test_fedfix_with_scaffold_keeps_the_mean_of_the_variates():
    """SCAFFOLD's c is the mean of all c_i, whoever came: each change of a c_i moves c by a part in N, though FedFix
    counts the update of a client that comes every k-th tick k times."""
    plan, state, said = trained("fedfix-scaffold", 7)
    memory, ids = state.memory["local"], torch.arange(plan.world.clients)
    mine = memory.own["0.c"].gather(ids).double()
    assert torch.allclose(memory.shared["0.c"].double(), mean := mine.mean(0), atol=1e-6) and float(mean.norm()) > 0.1
    cohorts = [len(e.cohort) for e in said]
    assert min(cohorts) < plan.world.clients and len(set(cohorts)) > 1   # they did come at different times
    # What a client reads is as old as its model: who came last in an earlier round holds another c.
    heard = state.memory["distribute"].own["0.c"].gather(ids).double()
    old = [i for i in ids.tolist() if i not in said[-1].cohort]
    assert old and not torch.allclose(heard[old], mean.expand(len(old), -1), atol=1e-6)


def test_fedbuff_with_a_trimmed_mean_outlives_liars():
    right = {}
    for name, rule in (("trimmed", fl.TrimmedMean(f=2)), ("mean", fl.Mean(weights="uniform"))):
        plan, state, said = trained("fedbuff-trimmed-mean", 40, aggregate=rule)
        assert all(len(e.cohort) == 10 for e in said) and said[-1].time < 40   # not in step
        tables = measure(plan, state).test_counts.sum(0)
        right[name] = float(tables.diagonal().sum() / tables.sum())
    assert right["trimmed"] > right["mean"] + 0.03


def test_frl_with_reputations_shuts_the_liars_out_and_nobody_else():
    plan, state, said = trained("frl-reputation", 6)
    out = state.memory["aggregate"].own["excluded"].gather(torch.arange(plan.world.clients))[:, 0] > 0
    assert out.nonzero()[:, 0].tolist() == plan.liars.tolist() and len(plan.liars) == 6
    assert len(said[0].cohort) == 20 and len(said[-1].cohort) == 14
    # The liars sent ballots, and so paid for them, until they were shut out.
    assert said[0].bytes_up == 20 * said[-1].bytes_up // 14


def test_fedcac_with_top_k_sends_masks_whole():
    plan, state, said = trained("fedcac-top-k", 2)
    width, clients = plan.world.sent.width, plan.world.clients
    kept = plan.experiment.encode.kept(width)
    assert said[0].bytes_up == clients * (8 * kept + -(-width // 8))   # a place and a value each; a bit a weight
    assert said[0].bytes_down == clients * 4 * width                    # one whole model back


def test_fedkseed_with_a_trimmed_mean_of_distances_outlives_liars():
    few = {"local.directions": 64, "local.steps": 150, "local.batch": 8}
    plan, state, said = trained("fedkseed-trimmed-mean", 4, **few)
    start = plan.world.layout.flatten(plan.world.net, torch.float32, torch.device("cpu"))
    # What was combined is a number a direction, and the model is the first one gone along them: nothing else.
    total = state.memory["local"].shared["total"]
    assert total.shape == (64,)
    replayed = start + plan.experiment.local.pool(plan.world).combine(-plan.experiment.local.lr * total)
    assert float((replayed - state.model).norm() / (state.model - start).norm()) < 1e-4
    assert all(e.bytes_up <= 20 * 4 * 64 for e in said), "no longer than all distances, and no byte for the rule"
    right = {"trimmed": accuracy(plan, state), "start": accuracy(plan, begin(plan))}
    plan, state, _ = trained("fedkseed-trimmed-mean", 4, aggregate=fl.Mean(weights="uniform"), **few)
    assert right["trimmed"] > right["start"] > accuracy(plan, state) + 0.05, "the mean goes where the liars push"


def test_streaming_diloco_with_central_noise_moves_fragments_and_keeps_its_epsilon():
    few = {"partition.clients": 20, "local.steps": 2, "rounds": 5}
    plan, state, said = trained("streaming-diloco-private", 0, **few)
    fragments = [plan.experiment.local.travels(plan.world, replace(state, round=r)) for r in range(5)]
    widths = [f.width for f in fragments]
    assert widths == [64 * 64 + 64, 64 * 10 + 10] * 2 + [4810], "by hand: two layers in turn, and all at the end"
    models = [state.model]
    for _ in range(5):
        state, events = advance(plan, state, Stacked(20), never)
        models.append(state.model)
        said.append(events[-1])
    for before, after, moved in zip(models[:-1], models[1:], fragments, strict=True):
        there = plan.world.sent.take(after != before)
        assert there[moved.ranges[0][0]:moved.ranges[0][1]].float().mean() > 0.99   # noise reaches all that moved …
        assert int(there.sum()) <= moved.width                                      # … and nothing else
    # 4 bits a number, a bfloat16 scale a block of 64, the largest of all in float32.
    assert [e.bytes_up for e in said] == [20 * (w // 2 + 2 * -(-w // 64) + 4) for w in widths]
    # Each round releases one Gaussian sum of rows no longer than the clip: as if all of the row had travelled.
    plain = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=20), privatise=plan.experiment.privatise,
                          aggregate=plan.experiment.aggregate, rounds=5)
    whole = prepare(plain, world_of(plain, torch.device("cpu"))).ledger
    assert 7.95 < said[-1].epsilon <= 8.0 and plan.ledger.noise_multiplier == pytest.approx(
        whole.noise_multiplier)


def test_heavy_hitters_are_found_where_parties_drop_out():
    users = {"task.users": (20_000, 20_000, 20_000), "local.epsilon": 6.0}
    plan, state, said = trained("heavy-hitters-dropped", 8, seed=1, **users)
    came = [len(e.cohort) for e in said]
    assert min(came) < 3 <= max(came), "they did drop out"
    for e in said:   # who is not there neither sends nor is paid for; who is invited is sent the list
        assert (e.bytes_up == 0) == (len(e.cohort) == 0 or 4 < e.round < 8)
    whole, full, _ = trained("heavy-hitters-dropped", 8, seed=1, schedule=fl.Lockstep(), **users)
    f1 = [p.experiment.local.figures(p, s)["f1"] for p, s in ((plan, state), (whole, full))]
    assert f1[1] >= f1[0] >= 0.6


def accuracy(plan, state):
    tables = measure(plan, state).test_counts.sum(0)
    return float(tables.diagonal().sum() / tables.sum())


@pytest.mark.parametrize("name, change, says", [
    ("fedkseed", {"server": fl.Momentum()}, "set server"),
    ("streaming-diloco", {"schedule": fl.Lockstep(sampler=fl.Fixed(m=2))}, "streaming"),
    ("heavy-hitters", {"aggregate": fl.Mean()}, "sum_by_item"),
    ("private-bandits", {"net": fl.MLP()}, "linear_statistics"),
    ("one-byte", {"aggregate": fl.Mean()}, "relayed"),
    ("frl", {"encode": fl.TopK()}, "nothing to encode"),
    ("frl", {"privatise": fl.Gaussian(), "aggregate": fl.Mean(weights="uniform", denominator="expected")},
     "privatise = gaussian takes values"),
    ("gossip", {"server": fl.Momentum()}, "gossip has no server"),
    ("gossip", {"aggregate": fl.Mean()}, "own_models gives each client a model of its own"),
    ("fedcac", {"attack": fl.SignFlip()}, "attack = sign_flip takes values"),
    ("fedfix", {"distribute": fl.Broadcast()}, "set distribute to 'last_sent'"),
    ("fedbuff", {"privatise": fl.Gaussian(), "aggregate": fl.Mean(weights="uniform", denominator="expected")},
     "cannot account for schedule = buffer"),
    ("rffl", {"encode": fl.Update(), "distribute": fl.Broadcast()}, "distribute"),
    ("dp-ftrl", {"schedule": fl.Lockstep(sampler=fl.Poisson(q=0.1))}, "leaves it to chance"),
])
def test_what_does_not_fit_is_refused_with_the_reason(name, change, says):
    with pytest.raises(fl.BadInput) as refused:
        trained(name, 0, **change)
    assert says in str(refused.value) and ";" in str(refused.value)
