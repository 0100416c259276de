"""A model of one weight, so that whole rounds can be worked out on paper; and how a decomposition is read."""

import math

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

import fedlab_widgets as fl
from fedlab_widgets.plan import prepare
from fedlab_widgets.shards import Data
from fedlab_widgets.slots import Net, Task
from fedlab_widgets.world import world_of


class Points(Task):
    """Points (x, y, client) on a line through the origin, with the loss (w x - y)^2 / 2."""

    name = "points"
    rows: tuple[tuple[float, int, int], ...] = Field(...)

    def load(self):
        x = torch.tensor([[r[0]] for r in self.rows])
        y, client = (torch.tensor([r[i] for r in self.rows]) for i in (1, 2))
        return Data(x, y, y * 0, x, y, y * 0, labels=("0", "1", "2"), groups=("all",), client=client)

    def loss(self, outputs, y):
        return (outputs[..., 0] - y) ** 2 / 2


class Slope(Net):
    """One weight w, 0 at the start: rows [B, 1] -> w x [B, 1]."""

    name = "slope"

    def build(self, inputs, outputs):
        line = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(line.weight)
        return line


# Client 0 holds (1, 1) and (2, 0): its gradient is ((w - 1) 1 + (2 w - 0) 2) / 2 = (5 w - 1) / 2.
# Client 1 holds (1, 2): its gradient is w - 2. No client has five rows, so none is held out.
TWO_CLIENTS = ((1.0, 1, 0), (2.0, 0, 0), (1.0, 2, 1))


@pytest.fixture
def line():
    """line(**fields) -> the plan of an experiment on the two clients, in float64; full batches, lr 0.1, one step."""

    def make(rows=TWO_CLIENTS, **fields):
        e = fl.Experiment(**{"task": Points(rows=rows), "net": Slope(), "partition": fl.Natural(), "name": "line",
                             "local": fl.SGD(lr=0.1, epochs=1, batch=None), "aggregate": fl.Mean(weights="uniform"),
                             "precision": "float64", "evaluate": fl.Evaluation(readings=(fl.Accuracy(),)), **fields})
        return prepare(e, world_of(e, torch.device("cpu")))

    return make


@pytest.fixture(scope="session")
def oracle_keys():
    """The names of a decomposition's values, each with its name in oracles/pid.json."""
    return {
        "unique": "uni_Z_Yhat_given_not_S__unique_disparity",
        "redundant": "red_Z_Yhat_S__redundant_disparity",
        "masked": "syn_Z_Yhat_S__masked_disparity",
        "client_unique": "uni_Z_S_given_not_Yhat",
        "global_disparity": "I_Z_Yhat__global_disparity",
        "local_disparity": "I_Z_Yhat_given_S__local_disparity",
    }


@pytest.fixture(scope="session")
def values(oracle_keys):
    """values(decomposition) -> its values, in the order of oracle_keys."""
    return lambda found: np.array([getattr(found, name) for name in oracle_keys])


@pytest.fixture(scope="session")
def info():
    """info(p, *keep) -> I(Z; the axes in keep), from entropies, apart from the module's own arithmetic."""

    def measure(p, *keep):
        def entropy(axes):
            q = p.sum(tuple(set(range(3)) - set(axes))).ravel()
            return -sum(x * math.log2(x) for x in q if x > 0)

        return entropy((0,)) + entropy(keep) - entropy((0, *keep))

    return measure
