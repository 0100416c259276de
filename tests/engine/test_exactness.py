"""The same bits whatever the chunk, wherever and whenever.

What holds of bits on a CPU with one thread (torch 2.13, MKL, AVX-512; measured on digits, two rounds, chunks 1 to 9):

- Widths and batches that are multiples of 16 (MLP(64), MLP(16), logistic; CNN of two clients or more): the same bits.
- Others, say MLP(33, 17) or batch 7: MKL picks kernels by the alignment of each matrix, and so by a client's place in
  the chunk. At most 3e-8 in float32 and 6e-17 in float64. With MKL_CBWR=AUTO in the environment before the first
  product there is no difference left, at no cost in time.
- A client trained alone (chunk 1, OneByOne, a last chunk of one): convolutions in float32 go another way, whatever
  MKL_CBWR says: at most 3e-8.

So bits are asked for where nobody is alone and sizes are round (or MKL_CBWR is set), else 1e-12 a round in float64.
"""

import json
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

import fedlab_widgets as fl
from fedlab_widgets import engine, seeds
from fedlab_widgets.events import Stopped
from fedlab_widgets.folding import blocks
from fedlab_widgets.plan import begin
from fedlab_widgets.session import one_thread

PLACE_MATTERS = "MKL_CBWR" not in os.environ     # after fedlab_widgets was imported, which may set it
A_ROUND = {"float32": 1e-6, "float64": 1e-12}    # tolerance where bits may differ


@pytest.fixture
def outcome(played):
    """outcome(experiment, executor) -> the final model and what must be the same of every event."""

    def play(e, executor):
        _, steps = played(e, executor)
        assert steps[-1][0] == Stopped(e.rounds, "finished")
        return steps[-1][1].model, [event.fixed() for event, _ in steps]

    return play


class Stubborn(fl.Net):
    """A net that does not run under vmap: it looks at its numbers."""

    name = "stubborn_of_this_test"

    def build(self, inputs, outputs):
        class Module(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(inputs.numel(), outputs)

            def forward(self, x):
                return self.layer(x.flatten(1)) if float(x.sum()) < 1e9 else self.layer(0 * x.flatten(1))

        return Module()


NETS = {"logistic": fl.Logistic(), "mlp": fl.MLP(hidden=(64,)), "odd-mlp": fl.MLP(hidden=(33, 17)),
        "cnn": fl.CNN(channels=4, hidden=16), "stubborn": Stubborn()}
nets = pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())
precisions = pytest.mark.parametrize("precision", ["float32", "float64"])
batch_sizes = pytest.mark.parametrize("batch", [16, None])
METHODS = {
    "scaffold": {"local": fl.SGD(batch=16, correct=(fl.ControlVariate(),)), "aggregate": fl.Mean(weights="uniform")},
    "prox-topk-median": {"local": fl.SGD(batch=16, correct=(fl.Proximal(mu=0.1),)), "encode": fl.TopK(fraction=0.2),
                         "aggregate": fl.Median()},
    "attacks-adam": {"attack": fl.SignFlip(liars=0.3), "server": fl.Adaptive()},
    "flip-kept": {"attack": fl.LabelFlip(liars=(1, 4)), "distribute": fl.KeepLayers(layers=("3.*",))},
    "private": {"privatise": fl.Gaussian(clip=0.5),
                "aggregate": fl.Mean(weights="uniform", denominator="expected"),
                "schedule": fl.Lockstep(sampler=fl.Full()), "partition": fl.Dirichlet(clients=8, alpha=0.4)},
}


@nets
@precisions
@batch_sizes
def test_the_chunk_changes_no_bit(some, outcome, net, precision, batch):
    e = some(net=net, precision=precision, local=fl.SGD(batch=batch, momentum=0.5, lr=0.05))
    model, events = outcome(e, fl.Stacked(8))
    for chunk in (2, 3, 5, None):
        other, said = outcome(e, fl.Stacked(chunk))
        if net == NETS["odd-mlp"] and PLACE_MATTERS and chunk is not None:
            assert float((other - model).abs().max()) <= A_ROUND[precision] * e.rounds
        else:
            assert torch.equal(other, model), f"chunk {chunk}: {float((other - model).abs().max())}"
            assert said == events, f"chunk {chunk}"


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@precisions
def test_the_chunk_changes_no_bit_of_any_method(some, outcome, method, precision):
    e = some(**method, precision=precision, rounds=3)
    model, events = outcome(e, fl.Stacked(8))
    for chunk in (2, 3, 5):
        other, said = outcome(e, fl.Stacked(chunk))
        assert torch.equal(other, model) and said == events, f"chunk {chunk}"


@nets
@precisions
@batch_sizes
def test_one_by_one_is_within_tolerance_of_every_other_way(some, outcome, net, precision, batch):
    e = some(net=net, precision=precision, local=fl.SGD(batch=batch, lr=0.05))
    alone, _ = outcome(e, fl.OneByOne())
    for other in (fl.Stacked(1), fl.Stacked(8), fl.Stacked(1, way="vmap"), fl.Stacked(8, way="vmap")):
        assert float((alone - outcome(e, other)[0]).abs().max()) <= A_ROUND[precision] * e.rounds, other


@nets
def test_threads_change_no_bits(some, outcome, net):
    e = some(net=net, local=fl.SGD(lr=0.05))
    for alone, pool in ((fl.OneByOne(), fl.OneByOne(3)), (fl.Stacked(3), fl.Stacked(3, workers=3)),
                        (fl.Stacked(3, way="vmap"), fl.Stacked(3, way="vmap", workers=2))):
        one, said = outcome(e, alone)
        other, events = outcome(e, pool)
        assert torch.equal(one, other) and said == events, pool


def test_a_net_that_does_not_stack_runs_one_by_one_on_one_path(some, played, outcome):
    """Its clients go through the net one after another in any chunk, so even chunk 1 gives the same bits."""
    e = some(net=Stubborn())
    plan, _ = played(e, fl.Stacked(4))
    assert not plan.world.stacks
    first = next(fl.stream(e))
    assert first.settings["path"] == "one net at a time" and first.settings["executor"] == "one by one"
    assert torch.equal(outcome(e, fl.OneByOne())[0], outcome(e, fl.Stacked(8))[0])


# Folds go over fixed blocks of 16 clients in the order of the cohort.

@pytest.mark.parametrize("count", [1, 15, 16, 17, 33])
@pytest.mark.parametrize("chunk", [1, 7, 16, 33])
def test_blocks_do_not_depend_on_the_chunk(count, chunk):
    rows = seeds.normals(seeds.keys(1, "rows", 0, torch.arange(count)), 50)
    cut = list(blocks(iter(rows.split(chunk))))
    assert [len(b) for b in cut] == [16] * (count // 16) + ([count % 16] if count % 16 else [])
    assert torch.equal(torch.cat(cut), rows)
    assert list(blocks(iter([]))) == []


@pytest.mark.parametrize("aggregate", [fl.Mean(), fl.Mean(weights="uniform"), fl.Median()], ids=repr)
def test_the_fold_of_given_rows_is_the_same_in_any_chunk(some, played, aggregate):
    """33 clients send the same rows, in chunks of 1, 7, 16 and 33; more than one block really is folded."""
    e = some(partition=fl.IID(clients=33), schedule=fl.Lockstep(), aggregate=aggregate)
    plan, _ = played(e.changed(rounds=1), fl.Stacked(11))
    cohort = e.schedule.next(plan.world, begin(plan))[0]
    rows = seeds.normals(seeds.keys(1, "rows", 0, torch.arange(33)), plan.space.width)
    with one_thread():
        combined = [engine.server_half(plan, begin(plan), iter(rows.split(chunk)), cohort)[0].value
                    for chunk in (33, 1, 7, 16)]
    assert all(torch.equal(c, combined[0]) for c in combined[1:])
    weights = aggregate.weigh(cohort.sizes)
    by_hand = (rows.median(0).values if isinstance(aggregate, fl.Median)
               else (weights[:, None] * rows.double()).sum(0) / weights.sum())
    assert torch.allclose(combined[0].double(), by_hand.double(), rtol=0, atol=1e-5)


@precisions
def test_runs_of_33_clients(some, outcome, precision):
    e = some(partition=fl.IID(clients=33), schedule=fl.Lockstep(), precision=precision)
    model, events = outcome(e, fl.Stacked(33))
    for chunk in (7, 11):
        other, said = outcome(e, fl.Stacked(chunk))
        assert torch.equal(other, model) and said == events, f"chunk {chunk}"
    other, _ = outcome(e, fl.Stacked(16))    # 16 + 16 + 1: the last one is alone
    assert float((other - model).abs().max()) <= A_ROUND[precision] * e.rounds


# Names of clients, processes.

class Renamed(fl.Partition):
    """Dirichlet, with the clients' numbers in another order."""

    name = "renamed_of_this_test"
    order: tuple[int, ...]

    def count(self, data):
        return len(self.order)

    def assign(self, data, key):
        return torch.tensor(self.order)[fl.Dirichlet(clients=len(self.order), alpha=0.4).assign(data, key)]


@pytest.mark.parametrize("method", ["fedavg", "scaffold"])
def test_permuted_clients(some, played, method):
    """With full batches the order of the rows plays no part: only the folds see the clients in another order."""
    order = (7, 2, 19, 0, 11, 5, 1, 16, 3, 18, 9, 4, 12, 10, 6, 13, 17, 8, 14, 15)
    correct, weights = ((fl.ControlVariate(),), "uniform") if method == "scaffold" else ((), "samples")
    e = some(partition=Renamed(order=tuple(range(20))), schedule=fl.Lockstep(), precision="float64", rounds=3,
             local=fl.SGD(batch=None, epochs=3, correct=correct), aggregate=fl.Mean(weights=weights))
    plan, steps = played(e, fl.Stacked(6))
    other, others = played(e.changed(partition=Renamed(order=order)), fl.Stacked(6))
    assert torch.equal(other.world.shards.train[list(order)], plan.world.shards.train)
    assert not torch.equal(other.world.shards.train, plan.world.shards.train)
    final, permuted = steps[-1][1], others[-1][1]
    assert float((final.model - permuted.model).abs().max()) <= 1e-12 * e.rounds
    if method == "scaffold":
        c, d = (s.memory["local"].own["0.c"].gather(torch.arange(20)) for s in (final, permuted))
        assert float((d[list(order)] - c).abs().max()) <= 1e-11 and float(c.abs().max()) > 1e-3


COHORTS = [[2, 7, 11, 15, 20, 22, 23, 27], [2, 4, 7, 9, 13, 17, 18, 25, 26]]
SCRIPT = """
import json
import torch
torch.set_num_threads(2); torch.manual_seed(3); torch.rand(5)
import fedlab_widgets as fl
e = fl.Experiment(task=fl.Digits(), net=fl.MLP(hidden=(16,)), partition=fl.Dirichlet(clients=30), rounds=2, seed=9,
                  schedule=fl.Lockstep(sampler=fl.Poisson(q=0.3), dropout=0.2), attack=fl.SignFlip(liars=0.2))
said = [event.fixed() for event in fl.stream(e, executor=fl.Stacked(5))]
"""


def test_another_process_has_the_same_cohorts_and_numbers():
    """Another hash seed, another number of threads asked for, another state of torch's own generator."""
    done = subprocess.run([sys.executable, "-c", SCRIPT + "print(json.dumps(said))"], capture_output=True, text=True,
                          timeout=120, env=os.environ | {"PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "2"})
    assert done.returncode == 0, done.stderr
    here, threads = {}, torch.get_num_threads()
    exec(SCRIPT.replace("set_num_threads(2)", "set_num_threads(1)"), here)
    torch.set_num_threads(threads)
    assert json.loads(done.stdout) == here["said"]
    # These may never change, or recorded runs could not be repeated; they are the same on every machine.
    assert [event["cohort"] for event in here["said"] if "cohort" in event] == COHORTS
