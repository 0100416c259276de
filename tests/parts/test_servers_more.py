"""Servers that remember: momentum, Yogi and Adagrad by hand. FedAvgM against a plain loop: see test_drift.py."""

import pytest
import torch
from torch import nn

import fedlab_widgets as fl
from fedlab_widgets.server import Adaptive, Momentum
from fedlab_widgets.types import State


def models(part, world, updates):
    """The first weight after each update, from 0, and the memory at the end."""
    model, memory, found = torch.zeros(world.layout.total, dtype=torch.float64), part.init(world), []
    for d in updates:
        model, memory = part.step(world, State(model), {"update": torch.tensor([d], dtype=torch.float64)}, memory)
        found.append(float(model[0]))
    assert not model[1:].any(), "padding"
    return found, memory.shared


@pytest.mark.parametrize("nesterov, by_hand", [(False, [0.5, 1.0, 1.5]), (True, [0.75, 1.25, 1.75])])
def test_momentum_over_three_steps(line, nesterov, by_hand):
    """lr 0.5, beta 0.5, updates 1, 0.5 and 0.5.

    u = 1, 0.5 + 0.5 = 1, 0.5 + 0.5 = 1; steps of 0.5 u: 0.5, 0.5, 0.5.
    Nesterov: d + 0.5 u = 1.5, 1, 1; steps 0.75, 0.5, 0.5.
    """
    found, memory = models(Momentum(lr=0.5, beta=0.5, nesterov=nesterov), line().world, [1.0, 0.5, 0.5])
    assert found == pytest.approx(by_hand, abs=1e-15) and float(memory["u"]) == 1.0


def test_without_momentum_it_is_plain_averaging(line):
    found, _ = models(Momentum(beta=0), line().world, [0.3, -0.1])
    assert found == pytest.approx([0.3, 0.2], abs=1e-15)


def test_momentum_is_that_of_torch(line):
    """torch.optim.SGD on gradients -d takes the same way, with and without Nesterov's form."""
    updates = [0.7, -0.2, 0.4, 0.1]
    for nesterov in (False, True):
        w = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimiser = torch.optim.SGD([w], lr=0.3, momentum=0.8, nesterov=nesterov)
        by_torch = []
        for d in updates:
            w.grad = torch.tensor([-d], dtype=torch.float64)
            optimiser.step()
            by_torch.append(float(w.detach()))
        found, _ = models(Momentum(lr=0.3, beta=0.8, nesterov=nesterov), line().world, updates)
        assert found == pytest.approx(by_torch, abs=1e-15)


def test_yogi_over_two_steps(line):
    """lr 0.1, beta1 0.9, beta2 0.99, tau 0.1, from v = 0.01.

    d = 1: v < d^2, so v = 0.01 + 0.01 = 0.02; m = 0.1; w = 0.01 / (0.1414214 + 0.1) = 0.0414214 (0.1 (sqrt(2) - 1)).
    d = -0.1: v > d^2 = 0.01, so v = 0.02 - 0.0001 = 0.0199; m = 0.09 - 0.01 = 0.08;
    w += 0.008 / (0.1410674 + 0.1) = 0.0331857. Adam would be at v = 0.0199 and then 0.019801.
    """
    part = Adaptive(rule="yogi", lr=0.1, beta1=0.9, beta2=0.99, tau=0.1)
    found, memory = models(part, line().world, [1.0, -0.1])
    assert found == pytest.approx([0.0414214, 0.0746071], abs=1e-7)
    assert float(memory["v"]) == pytest.approx(0.0199, abs=1e-15)


def test_adagrad_over_two_steps(line):
    """lr 0.1, beta1 0, tau 0.5, from v = 0.25. d = 1: v = 1.25, w = 0.1 / (1.1180340 + 0.5) = 0.0618034.
    d = -1: v = 2.25 = 1.5^2, w -= 0.1 / 2 = 0.05: the same size of update goes less far."""
    found, memory = models(Adaptive(rule="adagrad", lr=0.1, beta1=0, tau=0.5), line().world, [1.0, -1.0])
    assert found == pytest.approx([0.0618034, 0.0118034], abs=1e-7) and float(memory["v"]) == 2.25


def test_adam_is_still_the_rule_unless_another_is_named():
    assert fl.Experiment(server={"part": "adaptive", "lr": 0.1}).server == Adaptive(rule="adam", lr=0.1)
    with pytest.raises(fl.BadInput, match="rule.*adam.*yogi.*adagrad"):
        Adaptive(rule="lion")

