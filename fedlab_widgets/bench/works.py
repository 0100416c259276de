"""Four pieces of work that simulators are compared on: data made on the spot, nets, how many clients, how many a round.

W1 MLP with 199 210 weights, 10 of 100 clients with 600 rows each; W2 CNN with 1 663 370 weights, the same clients; W3 a
table net with 6 850 weights, 100 of 1 000 clients with 45 rows; W4 the same, 1 000 of 10 000 clients. And a sweep:
W4s-1e3 to W4s-1e6 are W3 with as many registered clients, who share the rows of its 1 000: what book-keeping costs.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from pydantic import Field

from ..evaluate import Accuracy
from ..local import SGD
from ..nets import CNN, MLP
from ..part import BadInput
from ..partition import Natural, Reuse
from ..schedule import Fixed, Lockstep
from ..shards import Data
from ..slots import Classification
from ..spec import Evaluation, Experiment

TEST_ROWS, COLUMNS, HELD_OUT = 2000, 104, 5   # one row in five is never trained on


class Made(Classification):
    """Rows drawn on the spot by a fixed seed, the same number for every client: for timing only.

    load: images [1, 28, 28] of ten labels around a prototype each, dealt out two labels a client; or rows [104], mostly
    zeros and ones, of two labels. Raises BadInput for fields out of range. Source: ours.
    """

    images: bool = Field(True, description="images of ten labels, or else rows of a table")
    clients: int = Field(100, ge=1, le=1_000_000, description="how many hold rows")
    rows: int = Field(600, ge=1, le=100_000, description="rows each client trains on")

    def load(self):
        g = np.random.default_rng(1234)
        each = held(self.rows)
        n = self.clients * each
        x, y = (_images if self.images else _table)(g, n + TEST_ROWS)
        client = np.empty(n, np.int64)
        order = np.argsort(y[:n], kind="stable") if self.images else np.arange(n)
        pieces = np.array_split(order, 2 * self.clients if self.images else self.clients)
        for i, piece in enumerate(g.permutation(len(pieces)) if self.images else range(len(pieces))):
            client[pieces[piece]] = i % self.clients
        t = torch.from_numpy
        none = torch.zeros(n + TEST_ROWS, dtype=torch.int64)
        labels = tuple(map(str, range(10 if self.images else 2)))
        return Data(t(x[:n]), t(y[:n]), none[:n], t(x[n:]), t(y[n:]), none[n:], labels=labels, groups=("all",),
                    client=t(client))


def held(rows: int) -> int:
    """Rows of a client that leave `rows` to train on once a fifth is held out.

    >>> [n - n // 5 for n in map(held, (45, 600))]
    [45, 600]
    """
    return next(n for n in range(rows, 2 * rows + HELD_OUT) if n - n // HELD_OUT == rows)


def _images(g, n):
    y = g.integers(0, 10, n)
    x = 0.35 * g.random((10, 784), dtype=np.float32)[y] + 0.65 * g.random((n, 784), dtype=np.float32) - 0.5
    return x.reshape(n, 1, 28, 28), y.astype(np.int64)


def _table(g, n):
    x = (g.random((n, COLUMNS), dtype=np.float32) < 0.12).astype(np.float32)
    x[:, :6] = g.standard_normal((n, 6), dtype=np.float32)
    noise = 0.5 * g.standard_normal(n, dtype=np.float32)
    return x, (x @ g.standard_normal(COLUMNS).astype(np.float32) + noise > 0).astype(np.int64)


# name -> (images, net, clients, rows each trains on, clients a round, rows a step)
WORKS = {"W1": (True, MLP(hidden=(200, 200)), 100, 600, 10, 10),
         "W2": (True, CNN(channels=32, hidden=512), 100, 600, 10, 10),
         "W3": (False, MLP(hidden=(64,)), 1000, 45, 100, 16),
         "W4": (False, MLP(hidden=(64,)), 10_000, 45, 1000, 16)}
SWEEP = {f"W4s-1e{k}": 10**k for k in range(3, 7)}


@lru_cache
def work(name: str, rounds: int = 5) -> Experiment:
    """One of them as an experiment that is read once, at its end. Raises BadInput for another name."""
    if name not in WORKS | SWEEP:
        raise BadInput(f"work = {name!r} is none; choose {', '.join([*WORKS, *SWEEP])}")
    images, net, clients, rows, some, batch = WORKS["W3" if name in SWEEP else name]
    partition = Reuse(clients=SWEEP[name], of=Natural()) if name in SWEEP else Natural()
    return Experiment(name=f"bench {name}", task=Made(images=images, clients=clients, rows=rows), net=net,
                      partition=partition, schedule=Lockstep(sampler=Fixed(m=some)),
                      local=SGD(lr=0.05, batch=batch), rounds=rounds,
                      evaluate=Evaluation(every=rounds, readings=(Accuracy(),)))
