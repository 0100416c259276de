"""The net written out by hand: what autograd would say, and one step worked out on paper."""

import pytest
import torch
from torch import nn

import fedlab_widgets as fl
from fedlab_widgets.layout import Layout
from fedlab_widgets.local import fused
from fedlab_widgets.slots import Classification
from fedlab_widgets.stack import AFTER, Stack, add, errors

CPU = torch.device("cpu")


def made(*modules):
    net = nn.Sequential(*modules).double()
    layout = Layout.of(net)
    stack, why = Stack.of(net, layout, fl.Digits())
    return net, layout, stack, why


def test_one_step_on_paper():
    # One input 1, two labels, weights 0, bias 0: both answers 1/2. Of y = 0 the errors are (1/2 - 1, 1/2): so is the
    # gradient of the weights (errors times the input) and of the biases (the errors); the loss is log 2.
    _, layout, stack, _ = made(nn.Linear(1, 2))
    w = torch.zeros(1, layout.total, dtype=torch.float64)
    g, losses = stack.gradient(w, torch.ones(1, 1, 1).double(), torch.zeros(1, 1, dtype=torch.int64),
                               torch.ones(1, 1).double())
    parts = layout.views(g[0])
    assert parts["0.weight"].flatten().tolist() == [-0.5, 0.5] and parts["0.bias"].tolist() == [-0.5, 0.5]
    assert losses.tolist() == pytest.approx([0.6931471805599453], abs=1e-15)


@pytest.mark.parametrize("after", AFTER, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("bias", [True, False])
def test_gradient_is_that_of_autograd(after, bias):
    torch.manual_seed(0)
    net, layout, stack, _ = made(nn.Flatten(), nn.Linear(6, 5, bias=bias), after(), nn.Linear(5, 4), nn.Linear(4, 3))
    w = layout.flatten(net, torch.float64, CPU) + 0.1 * torch.randn(3, layout.total, dtype=torch.float64)
    x, y = torch.randn(3, 7, 2, 3, dtype=torch.float64), torch.randint(0, 3, (3, 7))
    real = torch.arange(7) < torch.tensor([[7], [3], [0]])      # the last client has no row
    g, losses = stack.gradient(w, x, y, real / real.sum(1, keepdim=True).clamp(min=1).double())
    for i, n in enumerate((7, 3)):
        row = w[i].clone().requires_grad_()
        out = torch.func.functional_call(net, layout.views(row), (x[i, :n],))
        loss = nn.functional.cross_entropy(out, y[i, :n])
        truth, = torch.autograd.grad(loss, row)
        assert float((truth - g[i]).abs().max()) < 1e-15 and abs(float(loss.detach() - losses[i])) < 1e-14
        assert torch.allclose(stack.forward(w, x)[i, :n], out, rtol=0, atol=1e-14)
    assert not g[2].any() and losses[2] == 0


def test_padding_is_left_alone():
    _, layout, stack, _ = made(nn.Linear(3, 2))
    into = torch.full((2, layout.total), 7.0, dtype=torch.float64)
    w, x = torch.randn(2, layout.total, dtype=torch.float64), torch.randn(2, 4, 3, dtype=torch.float64)
    seen, found, _ = errors(stack.layers, w, x, torch.zeros(2, 4, dtype=torch.int64), torch.full((2, 4), 0.25).double())
    add(stack.layers, into, seen, found, 1.0)
    inside = torch.zeros(layout.total, dtype=torch.bool)
    for shape, at in zip(layout.shapes, layout.offsets, strict=True):
        inside[at:at + shape.numel()] = True
    assert (into[:, ~inside] == 7).all() and (into[:, inside] != 7).all()


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("after", AFTER, ids=lambda kind: kind.__name__)
def test_outside_python_the_bits_are_the_same(after, momentum):
    torch.manual_seed(1)
    _, layout, stack, _ = made(nn.Linear(5, 18), after(), nn.Linear(18, 3))
    x, y = torch.randn(40, 5, dtype=torch.float64), torch.randint(0, 3, (40,))
    share = torch.rand(6, 3, 4, dtype=torch.float64)
    alive, rows = torch.ones(6, 3).double(), torch.randint(0, 40, (6, 3, 4))
    alive[4:, 2], share[4:, 2] = 0, 0                                   # the last client rests after four steps

    def walked(steps):
        g = torch.Generator().manual_seed(2)
        w, push = (torch.randn(3, layout.total, dtype=torch.float64, generator=g) for _ in range(2))
        speed, taken, loss = torch.zeros_like(w) if momentum else None, torch.zeros(3).double(), torch.zeros(3).double()
        for a in (0, 3):
            piece = slice(a, a + 3)
            steps(list(stack.layers), w, x, y, rows[piece], share[piece], alive[piece], [3, 3, 2] if a else [3] * 3,
                  0.1, 0.01, push, speed, momentum, taken, loss)
        return w, taken, loss

    fast, plain = walked(fused.scripted()), walked(fused.steps)
    assert fused.scripted() is not fused.steps
    assert all(torch.equal(a, b) for a, b in zip(fast, plain, strict=True)) and fast[1].tolist() == [6, 6, 4]


class Own(fl.Digits):
    """Digits with a loss of its own."""

    def loss(self, outputs, y):
        return Classification.loss(self, 2 * outputs, y)


@pytest.mark.parametrize(("net", "task", "why"), [
    (nn.Sequential(nn.Linear(4, 3), nn.Softplus(), nn.Linear(3, 2)), fl.Digits(), "layer 1 is Softplus"),
    (nn.Sequential(nn.Linear(4, 3), nn.ReLU()), fl.Digits(), "its last layer is not linear"),
    (nn.Sequential(nn.ReLU(), nn.Linear(4, 3)), fl.Digits(), "layer 0 is ReLU"),
    (nn.Linear(4, 3), fl.Digits(), "the net is a Linear"),
    (nn.Sequential(nn.Linear(4, 3)), Own(), "a loss of its own")])
def test_what_is_no_stack_says_why(net, task, why):
    stack, said = Stack.of(net, Layout.of(net), task)
    assert stack is None and why in said


def test_frozen_and_tied_weights_are_no_stack():
    frozen = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    frozen[0].weight.requires_grad_(False)
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    for net in (frozen, tied):
        stack, said = Stack.of(net, Layout.of(net), fl.Digits())
        assert stack is None and "shares or freezes" in said


def test_a_way_that_does_not_fit_is_refused():
    e = fl.Experiment(task=fl.Digits(), net=fl.CNN(), partition=fl.IID(clients=2), rounds=1)
    with pytest.raises(fl.BadInput, match="way = 'fused' does not fit: layer 0 is Conv2d"):
        next(fl.stream(e, executor=fl.Stacked(way="fused")))
    with pytest.raises(fl.BadInput, match="way = 'quick' is not allowed"):
        fl.Stacked(way="quick")
    with pytest.raises(fl.BadInput, match="workers = 0 is not allowed"):
        fl.OneByOne(workers=0)


def test_the_path_and_its_reason_are_recorded():
    settings = next(fl.stream(fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1))).settings
    assert settings["path"] == "fused" and "written out by hand" in settings["why"]
    cnn = fl.Experiment(task=fl.Digits(), net=fl.CNN(), partition=fl.IID(clients=2), rounds=1)
    settings = next(fl.stream(cnn)).settings
    assert settings["path"] == "one net at a time" and "convolutions" in settings["why"]
