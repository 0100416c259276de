"""Corrections of local steps, worked out by hand on a model of one weight."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin
from fedlab_widgets.types import Memory, never


def after(plan, rounds):
    state = begin(plan)
    for _ in range(rounds):
        state, _ = advance(plan, state, Stacked().settled(plan.world), never)
    return state


def test_proximal_gives_its_two_terms():
    start = torch.tensor([[1.0, -2.0], [0.0, 4.0]])
    a, b = fl.Proximal(mu=0.5).affine(None, start, Memory())
    assert a == 0.5 and b.tolist() == [[-0.5, 1.0], [0.0, -2.0]]


def test_proximal_pulls_back_to_where_the_round_began(line):
    # Round 1 from w = 0 with mu = 1, two steps of 0.1. Client 0: g = -0.5 + 1 (0 - 0), w = 0.05; then g = -0.375 + 0.05
    # = -0.325, w = 0.0825. Client 1: g = -2, w = 0.2; then g = -1.8 + 0.2 = -1.6, w = 0.36. Mean 0.22125.
    plan = line(local=fl.SGD(lr=0.1, steps=2, batch=None, correct=(fl.Proximal(mu=1),)))
    assert float(after(plan, 1).model[0]) == pytest.approx(0.22125, abs=1e-15)


def test_scaffold_over_two_rounds(line):
    """One step of 0.1 a round; gradients (5 w - 1)/2 and w - 2.

    Round 1, w = 0, all variates 0: ends 0.05 and 0.2; c_0 = (0 - 0.05)/0.1 = -0.5, c_1 = -2; w = 0.125, c = -1.25.
    Round 2, w = 0.125: g_0 = -0.1875, g' = -0.1875 + 0.5 - 1.25 = -0.9375, end 0.21875;
    g_1 = -1.875, g' = -1.875 + 2 - 1.25 = -1.125, end 0.2375. w = 0.228125.
    c_0 = -0.5 + 1.25 - 0.9375 = -0.1875 (its own gradient, as one step must), c_1 = -2 + 1.25 - 1.125 = -1.875,
    c = -1.25 + (0.3125 + 0.125)/2 = -1.03125, the mean of the two.
    """
    plan = line(local=fl.SGD(lr=0.1, epochs=1, batch=None, correct=(fl.ControlVariate(),)))
    for rounds, w, own, shared in ((1, 0.125, [-0.5, -2.0], -1.25), (2, 0.228125, [-0.1875, -1.875], -1.03125)):
        state = after(plan, rounds)
        memory = state.memory["local"]
        assert float(state.model[0]) == pytest.approx(w, abs=1e-15)
        assert memory.own["0.c"].gather(torch.arange(2))[:, 0].tolist() == pytest.approx(own, abs=1e-14)
        assert float(memory.shared["0.c"][0]) == pytest.approx(shared, abs=1e-14)


def test_scaffold_with_half_of_the_clients(line):
    # Only client 0 comes: its change of variate -0.5 counts for 1 of N = 2, so c = -0.25. w = 0.05.
    plan = line(local=fl.SGD(lr=0.1, epochs=1, batch=None, correct=(fl.ControlVariate(),)),
                schedule=fl.Lockstep(clients=(0,)))
    state = after(plan, 1)
    assert float(state.memory["local"].shared["0.c"][0]) == pytest.approx(-0.25, abs=1e-15)
    assert float(state.model[0]) == pytest.approx(0.05, abs=1e-15)


def test_scaffold_divides_by_the_steps_really_taken(line):
    # Two steps: client 1 goes 0 -> 0.2 -> 0.38, so c_1 = -0.38 / 0.2 = -1.9, the mean of its gradients -2 and -1.8.
    plan = line(local=fl.SGD(lr=0.1, steps=2, batch=None, correct=(fl.ControlVariate(),)))
    assert float(after(plan, 1).memory["local"].own["0.c"].gather(torch.tensor([1]))[0, 0]) == pytest.approx(-1.9)


def test_scaffold_is_priced_both_ways(line):
    # One weight and one variate of 8 bytes up and down, two clients.
    plan = line(local=fl.SGD(lr=0.1, correct=(fl.ControlVariate(),)))
    ended = advance(plan, begin(plan), Stacked(2), never)[1][-1]
    assert (ended.bytes_up, ended.bytes_down) == (32, 32)


@pytest.mark.parametrize("wrong, said", [
    ({"local": fl.SGD(momentum=0.5, correct=(fl.ControlVariate(),)), "aggregate": fl.Mean(weights="uniform")},
     "momentum"),
    ({"local": fl.SGD(correct=(fl.ControlVariate(),))}, "aggregate.weights"),
    ({"local": fl.SGD(correct=(fl.Proximal(), fl.Proximal(mu=1)))}, "twice")])
def test_neighbours_that_break_the_formula_are_refused(wrong, said):
    with pytest.raises(fl.BadInput, match=said):
        fl.Experiment(**wrong)
