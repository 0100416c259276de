"""The new model from the combined row, by hand."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin
from fedlab_widgets.types import Memory, State, never


def test_apply(line):
    # Updates 0.05 and 0.2, mean 0.125; half of it with lr = 0.5.
    for lr, w in ((1.0, 0.125), (0.5, 0.0625)):
        plan = line(server=fl.Apply(lr=lr))
        assert float(advance(plan, begin(plan), Stacked(2), never)[0].model[0]) == pytest.approx(w, abs=1e-15)


def test_adaptive_over_two_steps(line):
    """lr 0.1, beta1 0.9, beta2 0.99, tau 0.1, from w = 0, m = 0, v = 0.01.

    d = 1: m = 0.1, v = 0.0099 + 0.01 = 0.0199; w = 0.1 * 0.1 / (sqrt(0.0199) + 0.1) = 0.01 / 0.2410674 = 0.0414822.
    d = -0.5: m = 0.09 - 0.05 = 0.04, v = 0.019701 + 0.0025 = 0.022201 = 0.149^2; w += 0.004 / 0.249 = 0.0160643.
    """
    world, part = line().world, fl.Adaptive(lr=0.1, beta1=0.9, beta2=0.99, tau=0.1)
    model, memory = torch.zeros(16, dtype=torch.float64), part.init(world)
    for d, w, m, v in ((1.0, 0.0414822, 0.1, 0.0199), (-0.5, 0.0575465, 0.04, 0.022201)):
        value = {"update": torch.tensor([d], dtype=torch.float64)}
        model, memory = part.step(world, State(model), value, memory)
        assert float(model[0]) == pytest.approx(w, abs=1e-7) and not model[1:].any()
        assert float(memory.shared["m"]) == pytest.approx(m) and float(memory.shared["v"]) == pytest.approx(v)


def test_the_server_reads_the_update_and_no_other_block(line):
    # SCAFFOLD's second block does not move the model: 0.125 after round 1, as without it.
    plan = line(local=fl.SGD(lr=0.1, epochs=1, batch=None, correct=(fl.ControlVariate(),)))
    assert float(advance(plan, begin(plan), Stacked(2), never)[0].model[0]) == pytest.approx(0.125, abs=1e-15)
    value = {"update": torch.ones(1, dtype=torch.float64), "control": torch.full((1,), 9.0)}
    assert float(fl.Apply().step(plan.world, begin(plan), value, Memory())[0][0]) == 1.0
