"""Nothing in a round costs O(registered clients)."""

import sys

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import fedlab_widgets as fl
from fedlab_widgets import engine
from fedlab_widgets.evaluate.measure import measure, readings
from fedlab_widgets.events import Evaluated, Started
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.session import one_thread
from fedlab_widgets.world import world_of

LOOKUPS = tuple(f"aten.{name}." for name in (
    "index index_put_ searchsorted select slice view expand alias detach unsqueeze unbind _unsafe_view t transpose "
    "_local_scalar_dense as_strided squeeze split_with_sizes permute squeeze_ _reshape_alias lift_fresh").split())


class Largest(TorchDispatchMode):
    """How many operations ran, and the most numbers that one of them read or wrote: of a lookup or a view, what came
    out of it; of every other one, its largest argument too."""

    def __init__(self):
        super().__init__()
        self.operations, self.most, self.what = 0, 0, ""

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.operations += 1
        written = [t for t in (out if isinstance(out, (tuple, list)) else (out,)) if isinstance(t, torch.Tensor)]
        if str(function).startswith("aten.index_put_"):
            written = [args[2]]                                   # it gives back the whole table it wrote into
        read = [] if str(function).startswith(LOOKUPS) else [t for t in args if isinstance(t, torch.Tensor)]
        views = str(function).startswith(LOOKUPS[3:])             # a view of much costs nothing
        size = max((t.numel() for t in read + ([] if views else written)), default=0)
        if size > self.most:
            self.most, self.what = size, str(function)
        return out


def calls_of(work):
    """Python functions entered by `work`, in this thread."""
    count = 0

    def note(frame, event, arg):
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.fixture(scope="module")
def many_rows():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(260_000, 2)).astype(np.float32)
    return fl.from_arrays(x, (x[:, 0] > 0).astype(int), name="many rows")


LARGE = {
    "fedavg": {},
    "full-batch": {"local": fl.SGD(steps=1, batch=None)},
    "scaffold-topk": {"local": fl.SGD(steps=1, batch=1, correct=(fl.ControlVariate(),)), "encode": fl.TopK(),
                      "aggregate": fl.Mean(weights="uniform")},
    "kept-median-liars": {"distribute": fl.KeepLayers(layers=("1.bias",)), "aggregate": fl.Median(),
                          "attack": fl.SignFlip(liars=0.2)},
    "private": {"privatise": fl.Gaussian(), "aggregate": fl.Mean(weights="uniform", denominator="expected")},
}


@pytest.mark.parametrize("fields", LARGE.values(), ids=LARGE.keys())
def test_a_round_costs_the_same_for_a_thousand_clients_and_for_two_hundred_thousand(many_rows, fields):
    """Ten clients with one step each: counted are tensor operations, their largest tensor and Python calls."""
    seen = []
    for N in (1_000, 200_000):
        e = fl.Experiment(**{"task": many_rows, "net": fl.Logistic(), "partition": fl.IID(clients=N), "rounds": 5,
                             "schedule": fl.Lockstep(sampler=fl.Fixed(m=10)),
                             "local": fl.SGD(steps=1, batch=1)} | fields)
        with one_thread():
            plan = prepare(e, world_of(e, torch.device("cpu")))
            assert plan.world.clients == N
            state, _ = engine.advance(plan, begin(plan), fl.Stacked(4), lambda: False)   # warm
            with Largest() as round:
                state, _ = engine.advance(plan, state, fl.Stacked(4), lambda: False)
            calls = calls_of(lambda plan=plan, state=state: engine.advance(plan, state, fl.Stacked(4), lambda: False))
            with Largest() as reading:
                readings(e, measure(plan, state), 1)
        seen.append((round, calls, reading))
    (small, few, read), (large, many, read_large) = seen
    rows = 208     # of one client of the thousand: a full batch is as long
    assert large.most <= max(small.most, 10 * 3 * rows), f"{large.what} touches {large.most}, not {small.most}"
    assert large.operations <= 1.2 * small.operations + 20
    assert many <= 1.2 * few + 500
    assert read_large.most <= read.most and read_large.operations <= read.operations + 20


def test_a_panel_of_clients_is_read_not_all(some):
    e = some(partition=fl.IID(clients=50), evaluate=fl.Evaluation(clients=7), rounds=1,
             schedule=fl.Lockstep(sampler=fl.Fixed(m=3)))
    started = next(fl.stream(e))
    assert isinstance(started, Started) and len(started.clients) == 7
    read = [event for event in fl.stream(e) if isinstance(event, Evaluated) and event.counts]
    assert all(event.shape[0] == 7 and event.clients == [c["client"] for c in started.clients] for event in read)
