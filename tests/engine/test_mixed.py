"""bf16-mixed: products of training in bfloat16, weights, sums and readings in float32."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.world import pick_device, world_of

NETS = {"mlp": fl.MLP(hidden=(16,)), "cnn": fl.CNN(channels=4), "logistic": fl.Logistic()}


def test_factors_are_rounded_to_eight_bits():
    """One input x = 1 + 2^-8, two labels, all weights zero: p = 1/2, so that the weight of the right label has the
    gradient -x/2. Next to 1, bfloat16 has steps of 2^-7; halfway it takes the even one, 1. So it becomes -1/2."""
    task = fl.from_arrays([[1 + 2**-8]] * 10, [0, 1] * 5, name="one input")
    found = {}
    for precision in ("float32", "bf16-mixed"):
        world = world_of(fl.Experiment(task=task, net=fl.Logistic(), partition=fl.IID(clients=1), precision=precision),
                         pick_device("cpu"))
        w = torch.zeros(1, world.layout.total)
        g, _ = world.gradient(w, world.data.x[:1][None], torch.tensor([[1]]), torch.ones(1, 1))
        assert g.dtype == torch.float32
        found[precision] = float(g[0, world.layout.offsets[0] + 1])
    assert found == {"float32": -(1 + 2**-8) / 2, "bf16-mixed": -0.5}


@pytest.mark.parametrize("net", NETS)
def test_a_run_stays_near_the_one_in_float32(net):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=8), rounds=3, net=NETS[net])
    ends = []
    for precision in ("float32", "bf16-mixed"):
        run = fl.run(e.changed(precision=precision), progress=False)
        ends.append((run.model(), run.history["accuracy"].iloc[-1]))
    (full, right), (mixed, also) = ends
    weights = [torch.cat([t.flatten() for t in m.state_dict().values()]) for m in (full, mixed)]
    assert weights[1].dtype == torch.float32 and not torch.equal(*weights)
    assert float((weights[0] - weights[1]).norm() / weights[0].norm()) < 0.02 and abs(right - also) < 0.02


def test_the_chunk_changes_no_bit():
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=6), rounds=2, net=NETS["mlp"], precision="bf16-mixed")
    models = [torch.cat([t.flatten() for t in fl.run(e, executor=fl.Stacked(chunk), progress=False).model()
                         .state_dict().values()]) for chunk in (2, 3, 6)]
    assert torch.equal(models[0], models[1]) and torch.equal(models[0], models[2])
