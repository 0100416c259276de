"""Nets that cannot be trained as clients' nets: one sentence with the remedy each, before the run."""

import pytest
import torch
from torch import nn

import fedlab_widgets as fl
from fedlab_widgets.world import world_of


class Counting(nn.Linear):
    """Counts its calls in a buffer: what an average of clients would mix."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class Scaled(nn.Linear):
    """Divides by a buffer that nothing changes: there is nothing wrong with it."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("scale", torch.full((), 8.0))

    def forward(self, x):
        return super().forward(x / self.scale)


class Double(nn.Module):
    def forward(self, x):
        return x.double()


class First(nn.Module):
    def forward(self, x):
        return x[:, 0]


class Both(nn.Module):
    def forward(self, x):
        return x, x


def normed(i, o):
    return [nn.Linear(i, 8), nn.BatchNorm1d(8), nn.Linear(8, o)]


def rarely_dropped(i, o):
    """One unit in a million: two looks at its outputs would find them equal."""
    return [nn.Linear(i, 8), nn.Dropout(1e-6), nn.Linear(8, o)]


BAD = {
    "batch norm": (normed, "changes its buffers in forward .BatchNorm.*use GroupNorm or LayerNorm"),
    "another buffer": (lambda i, o: [Counting(i, o)], "changes its buffers in forward"),
    "dropout": (lambda i, o: [nn.Linear(i, 8), nn.Dropout(0.5), nn.Linear(8, o)], "draws random numbers.*leave it out"),
    "a little dropout": (rarely_dropped, "draws random numbers.*leave it out"),
    "five outputs for ten labels": (lambda i, o: [nn.Linear(i, 5)], r"outputs of shape \[2, 5\] for 2 rows, and the "
                                    r"task has 10 labels; give \[rows, 10\]"),
    "one number a row": (lambda i, o: [nn.Linear(i, o), First()], r"outputs of shape \[2\].*give \[rows, 10\]"),
    "two tensors": (lambda i, o: [nn.Linear(i, o), Both()], r"gives a tuple, not a tensor; give \[rows, 10\]"),
    "mixed weights": (lambda i, o: [nn.Linear(i, 8), nn.Linear(8, o).double()],
                      "weights in float32 and float64.*build all of them in float32"),
    "half weights": (lambda i, o: [nn.Linear(i, o).half()], "weights in float16, and .* build all of them in float32"),
    "another type inside": (lambda i, o: [nn.Linear(i, 8), Double(), nn.Linear(8, o)],
                            "cannot take rows of shape .*turns float32 into another type"),
    "another type at the end": (lambda i, o: [nn.Linear(i, o), Double()], "float32 rows into float64 outputs"),
    "no weights": (lambda i, o: [First()], "has no weights, so there is nothing to learn"),
    "a first layer for other rows": (lambda i, o: [nn.Linear(i + 1, o)], "cannot take rows of shape .*check its first"),
}
GOOD = {"group norm": lambda i, o: [nn.Linear(i, 8), nn.GroupNorm(2, 8), nn.Linear(8, o)],
        "a buffer that stays": lambda i, o: [Scaled(i, o)],
        "all in float64": lambda i, o: [nn.Linear(i, o).double()]}


def with_net(layers):
    @fl.part
    class Given(fl.Net):
        """The layers of a test. build: rows [B, ...] to [B, K]. Raises nothing. Source: none."""

        def build(self, inputs, outputs):
            return nn.Sequential(nn.Flatten(), *layers(inputs.numel(), outputs))

    return fl.Experiment(task=fl.Digits(), net=Given(), partition=fl.IID(clients=4), rounds=1)


@pytest.mark.parametrize(("layers", "sentence"), BAD.values(), ids=BAD.keys())
def test_a_net_that_does_not_fit_is_refused_before_the_run(own_catalogue, layers, sentence, tmp_path):
    e = with_net(layers)
    with pytest.raises(fl.BadInput, match=f"(?s)net = .*{sentence}") as caught:
        fl.run(e, out=tmp_path / "run", progress=False)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()
    with pytest.raises(fl.BadInput, match="net = "):
        e.forecast()


@pytest.mark.parametrize("layers", GOOD.values(), ids=GOOD.keys())
def test_what_looks_alike_and_fits_is_taken(own_catalogue, layers):
    world = world_of(with_net(layers), torch.device("cpu"))
    assert {p.dtype for p in world.net.parameters()} == {torch.float32}
    assert list(fl.stream(with_net(layers)))[-1].reason == "finished"
