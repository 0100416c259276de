"""Nets: their parameters counted, their outputs worked out."""

import pytest
import torch

import fedlab_widgets as fl


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def test_logistic():
    net = fl.Logistic().build(torch.Size([2]), 2)
    assert parameters(net) == 2 * 2 + 2
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        net[1].bias.copy_(torch.tensor([0.5, -0.5]))
        # (1, -1): 1 - 2 + 0.5 = -0.5 and 3 - 4 - 0.5 = -1.5.
        assert net(torch.tensor([[1.0, -1.0]])).tolist() == [[-0.5, -1.5]]
    assert parameters(fl.Logistic().build(torch.Size([1, 28, 28]), 10)) == 784 * 10 + 10


def test_mlp():
    # 5 * 3 + 3, 3 * 4 + 4, 4 * 2 + 2.
    net = fl.MLP(hidden=(3, 4)).build(torch.Size([5]), 2)
    assert parameters(net) == 18 + 16 + 10
    small = fl.MLP(hidden=(2,)).build(torch.Size([1]), 1)
    with torch.no_grad():
        small[1].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        small[1].bias.zero_()
        small[3].weight.copy_(torch.tensor([[2.0, 10.0]]))
        small[3].bias.fill_(0.25)
        # x = 3: relu (3, 0), 2 * 3 + 0.25; x = -1: relu (0, 1), 10 + 0.25.
        assert small(torch.tensor([[3.0], [-1.0]])).tolist() == [[6.25], [10.25]]


def test_cnn_has_the_size_of_the_paper():
    # 32 channels and 512 units on 28 x 28: 32 * 26 + 64 * (32 * 25 + 1) + 512 * (64 * 49 + 1) + 10 * 513 = 1 663 370.
    assert parameters(fl.CNN(channels=32, hidden=512).build(torch.Size([1, 28, 28]), 10)) == 1_663_370
    # The default on 8 x 8: 8 * 26 + 16 * 201 + 64 * (16 * 4 + 1) + 2 * 65 = 208 + 3216 + 4160 + 130.
    net = fl.CNN().build(torch.Size([1, 8, 8]), 2)
    assert parameters(net) == 7714 and net(torch.zeros(3, 1, 8, 8)).shape == (3, 2)


@pytest.mark.parametrize("shape", [(5,), (1, 7, 8), (8, 8)])
def test_cnn_wants_images(shape):
    with pytest.raises(fl.BadInput, match="needs images"):
        fl.CNN().build(torch.Size(shape), 2)
