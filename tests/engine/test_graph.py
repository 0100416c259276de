"""Steps on buffers that stand still, as a CUDA graph needs them: on the CPU the same step, without the capture."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.local import graph
from fedlab_widgets.local.batches import batches
from fedlab_widgets.local.graph import LANES, Still
from fedlab_widgets.local.walk import Walk
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.session import one_thread
from fedlab_widgets.types import never
from fedlab_widgets.world import pick_device, world_of

WAYS = {"plain": fl.SGD(batch=16, lr=0.3), "momentum": fl.SGD(batch=16, lr=0.3, momentum=0.5, weight_decay=0.1),
        "proximal": fl.SGD(batch=16, lr=0.3, epochs=2, correct=(fl.Proximal(mu=0.5),))}


def planned(local, device="cpu"):
    # Dirichlet: clients of 1 to 20 steps, so that most of them rest for a while.
    e = fl.Experiment(task=fl.Digits(), net=fl.MLP(hidden=(20,)), partition=fl.Dirichlet(clients=9, alpha=0.3),
                      local=local, precision="float64", seed=4)
    return prepare(e, world_of(e, pick_device(device)))


def walked(plan, round, ids, by_still):
    world, local = plan.world, plan.experiment.local
    total = local.steps_of(world.shards.train[ids], world.shards.largest)
    ids, total = ids[total.argsort(descending=True)], total.sort(descending=True).values
    start = begin(plan).model.expand(len(ids), -1) * round
    mines = [correct.init(world).of(ids) for correct in local.correct]
    walk = Walk(local, world, start, mines, local.rate(round, 3))
    pieces = list(batches(world.shards, ids, world.keys("training", round, ids), 16, total, world.dtype, 8))
    if not by_still:
        walk.go(pieces, None, never)
        return walk.w, walk.taken, walk.loss
    buffers = Still.of(walk)
    for steps in pieces:
        buffers.go(steps)
    return buffers.end()


@pytest.mark.parametrize("local", WAYS.values(), ids=WAYS.keys())
def test_two_rounds_on_the_same_buffers_are_those_without(local):
    plan = planned(local)
    graph._KEPT.pop(plan.world.net, None)
    with one_thread():
        for round, ids in ((1, torch.arange(9)), (2, torch.tensor([1, 4, 5, 8]))):
            there, here = walked(plan, round, ids, True), walked(plan, round, ids, False)
            assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(there, here, strict=True))
            assert there[1].max() > there[1].min() > 0
    kept = graph._KEPT[plan.world.net]
    assert len(kept) == 1 and next(iter(kept))[0] == LANES          # 9 and 4 clients stand in the same 16 lanes
    assert not next(iter(kept.values())).w[9:].any()                # nobody stands in the others


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="captures a CUDA graph: there is no CUDA GPU here")
@pytest.mark.parametrize("local", WAYS.values(), ids=WAYS.keys())
def test_a_graph_gives_what_the_cpu_gives_and_never_waits(local, monkeypatch):
    plan, here = planned(local, "cuda:0"), planned(local)
    plain = Still.go

    def watched(self, steps):
        torch.cuda.set_sync_debug_mode("error")
        try:
            plain(self, steps)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    for round in (1, 2):
        ids = torch.arange(9)
        walked(plan, round, ids, False)              # on a GPU a walk takes the graph by itself
        monkeypatch.setattr(Still, "go", watched)
        there = walked(plan, round, ids, False)
        monkeypatch.setattr(Still, "go", plain)
        for a, b in zip(there, walked(here, round, ids, False), strict=True):
            assert torch.allclose(a.cpu(), b, rtol=0, atol=1e-12)
