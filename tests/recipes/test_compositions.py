"""Two ideas at a time: what each of the two promises still holds when they work together."""

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


def trained(name, rounds, **changes):
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


@pytest.mark.parametrize("name, change, says", [
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
