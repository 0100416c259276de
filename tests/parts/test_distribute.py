"""What clients start from, what travels, and what stays at home."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.types import never
from fedlab_widgets.world import world_of


def plan(distribute):
    x = torch.linspace(-1, 1, 200).view(40, 5).numpy()
    e = fl.Experiment(task=fl.from_arrays(x, [0, 1, 1, 0] * 10, name="forty"), net=fl.Logistic(), name="keep",
                      partition=fl.IID(clients=2), local=fl.SGD(steps=2, batch=4), distribute=distribute)
    return prepare(e, world_of(e, torch.device("cpu")))


def test_broadcast_shows_everyone_the_same_row():
    p = plan(fl.Broadcast())
    start = p.experiment.distribute.start(p.world, begin(p), torch.tensor([1, 0, 1]))
    assert start.shape == (3, 32) and start.stride(0) == 0 and torch.equal(start[2], begin(p).model)
    # 5 * 2 weights and 2 biases of 4 bytes; the 20 columns of padding are not paid for.
    assert p.world.sent.width == 12 and p.experiment.distribute.price(p.world) == 48


def test_kept_layers_stay_at_home():
    """The weight matrix lies in columns 0 .. 9, the bias in 16 and 17 (64 bytes on). The bias stays at home."""
    p = plan(fl.KeepLayers(layers=("*bias",)))
    assert p.world.layout.names == ("1.weight", "1.bias") and p.world.sent.ranges == ((0, 10),)
    assert p.experiment.distribute.price(p.world) == 40
    first = begin(p)
    model = first.model.clone()
    assert torch.equal(p.experiment.distribute.start(p.world, first, torch.tensor([0, 1])), model.expand(2, -1))
    second, events = advance(p, first, Stacked(2), never)
    assert events[-1].bytes_up == events[-1].bytes_down == 80
    assert torch.equal(second.model[16:18], model[16:18]) and not torch.equal(second.model[:10], model[:10])
    start = p.experiment.distribute.start(p.world, second, torch.tensor([0, 1]))
    own = second.own.gather(torch.tensor([0, 1]))
    assert torch.equal(start[:, 16:18], own) and torch.equal(start[:, :10], second.model[:10].expand(2, -1))
    assert not torch.equal(own[0], own[1]) and not torch.equal(own[0], model[16:18])


def test_who_never_trained_starts_from_the_initial_layers():
    p = plan(fl.KeepLayers(layers=("*bias",)))
    state = begin(p)
    state.own.scatter(torch.tensor([1]), torch.tensor([[7.0, 8.0]]))
    start = p.experiment.distribute.start(p.world, state, torch.tensor([0, 1]))
    assert torch.equal(start[0, 16:18], state.model[16:18]) and start[1, 16:18].tolist() == [7, 8]


def test_all_layers_kept_is_learning_alone(line):
    # Client 0: one step of 0.1 from 0 along -0.5, client 1 along -2; nothing travels, the global weight stays 0.
    p = line(distribute=fl.KeepLayers())
    state, events = advance(p, begin(p), Stacked(2), never)
    assert state.own.gather(torch.tensor([0, 1]))[:, 0].tolist() == pytest.approx([0.05, 0.2])
    assert float(state.model[0]) == 0 and (events[-1].bytes_up, events[-1].bytes_down) == (0, 0)


def test_layers_that_are_not_there_are_named():
    with pytest.raises(fl.BadInput, match="distribute.layers = '9.*' matches no layer"):
        plan(fl.KeepLayers(layers=("9.*",)))
