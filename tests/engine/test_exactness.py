"""The same bits whatever the chunk, wherever and whenever; and the edges: nobody, one client, NaN, being stopped.

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
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import fedlab_widgets as fl
from fedlab_widgets import engine, seeds
from fedlab_widgets.evaluate.measure import measure, readings
from fedlab_widgets.events import Evaluated, Failed, RoundEnded, Started, Stopped, Warned
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.session import one_thread
from fedlab_widgets.world import world_of

CPU = torch.device("cpu")
PLACE_MATTERS = "MKL_CBWR" not in os.environ     # after fedlab_widgets was imported, which may set it
A_ROUND = {"float32": 1e-6, "float64": 1e-12}    # tolerance where bits may differ
X, Y = load_digits(return_X_y=True)
DIGITS = fl.from_arrays(X[:500].reshape(-1, 1, 8, 8) / 8 - 1, Y[:500], name="some digits")


def played(e, executor, stop=lambda: False, state=None):
    """Plan, [(event, state or None)]."""
    with one_thread():
        plan = prepare(e, world_of(e, CPU))
        return plan, list(engine.rounds(plan, state or begin(plan), executor.settled(plan.world), stop))


def outcome(e, executor):
    """The final model and what must be the same of every event."""
    _, steps = played(e, executor)
    assert steps[-1][0] == Stopped(e.rounds, "finished")
    return steps[-1][1].model, [event.fixed() for event, _ in steps]


def models(steps):
    return {state.round: state.model for _, state in steps if state is not None}


def some(**fields):
    # Eight of ten clients: chunks of 2, 3 and 5 leave nobody alone.
    return fl.Experiment(**{
        "task": DIGITS, "net": fl.MLP(hidden=(16,)), "partition": fl.Dirichlet(clients=10, alpha=0.4), "seed": 5,
        "schedule": fl.Lockstep(sampler=fl.Fixed(m=8)), "local": fl.SGD(batch=16, momentum=0.5, lr=0.05), "rounds": 2,
    } | fields)


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
def test_the_chunk_changes_no_bit(net, precision, batch):
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
def test_the_chunk_changes_no_bit_of_any_method(method, precision):
    e = some(**method, precision=precision, rounds=3)
    model, events = outcome(e, fl.Stacked(8))
    for chunk in (2, 3, 5):
        other, said = outcome(e, fl.Stacked(chunk))
        assert torch.equal(other, model) and said == events, f"chunk {chunk}"


@nets
@precisions
@batch_sizes
def test_one_by_one_is_chunk_one_and_within_tolerance_of_the_others(net, precision, batch):
    e = some(net=net, precision=precision, local=fl.SGD(batch=batch, lr=0.05))
    alone, said = outcome(e, fl.OneByOne())
    again, events = outcome(e, fl.Stacked(1))
    assert torch.equal(alone, again) and said == events
    together, _ = outcome(e, fl.Stacked(8))
    assert float((alone - together).abs().max()) <= A_ROUND[precision] * e.rounds


def test_a_net_that_does_not_stack_runs_one_by_one_on_one_path():
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
    cut = list(engine.blocks(iter(rows.split(chunk))))
    assert [len(b) for b in cut] == [16] * (count // 16) + ([count % 16] if count % 16 else [])
    assert torch.equal(torch.cat(cut), rows)
    assert list(engine.blocks(iter([]))) == []


@pytest.mark.parametrize("aggregate", [fl.Mean(), fl.Mean(weights="uniform"), fl.Median()], ids=repr)
def test_the_fold_of_given_rows_is_the_same_in_any_chunk(aggregate):
    """33 clients send the same rows, in chunks of 1, 7, 16 and 33; more than one block really is folded."""
    e = some(partition=fl.IID(clients=33), schedule=fl.Lockstep(), aggregate=aggregate)
    plan, _ = played(e.changed(rounds=1), fl.Stacked(11))
    cohort = e.schedule.next(plan.world, begin(plan))
    rows = seeds.normals(seeds.keys(1, "rows", 0, torch.arange(33)), plan.space.width)
    with one_thread():
        combined = [engine.server_half(plan, iter(rows.split(chunk)), cohort) for chunk in (33, 1, 7, 16)]
    assert all(torch.equal(c, combined[0]) for c in combined[1:])
    weights = aggregate.weigh(cohort.sizes)
    by_hand = (rows.median(0).values if isinstance(aggregate, fl.Median)
               else (weights[:, None] * rows.double()).sum(0) / weights.sum())
    assert torch.allclose(combined[0].double(), by_hand.double(), rtol=0, atol=1e-5)


@precisions
def test_runs_of_33_clients(precision):
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
def test_permuted_clients(method):
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


# Nobody, one client.

def rare(**fields):
    return some(partition=fl.Dirichlet(clients=6, alpha=0.4), rounds=12, precision="float64",
                evaluate=fl.Evaluation(every=100), schedule=fl.Lockstep(sampler=fl.Poisson(q=0.15)), **fields)


@pytest.mark.parametrize("fields", [{}, {"aggregate": fl.Median()}, {"encode": fl.TopK()}, METHODS["scaffold"],
                                    {"attack": fl.SignFlip()}, {"server": fl.Adaptive()},
                                    {"distribute": fl.KeepLayers(layers=("1.*",))}], ids=str)
def test_a_round_with_nobody_is_skipped_with_a_word(fields):
    plan, steps = played(rare(**fields), fl.Stacked(4))
    model, events = models(steps) | {0: begin(plan).model}, [event for event, _ in steps]
    ended = [event for event in events if isinstance(event, RoundEnded)]
    empty = [event.round for event in ended if not event.cohort]
    assert 0 < len(empty) < 12 and [event.round for event in ended] == list(range(1, 13))
    told = [w.round for w in events if isinstance(w, Warned) and "nobody took part" in w.text]
    assert told == empty
    for event in ended:
        if event.round in empty:
            assert torch.equal(model[event.round], model[event.round - 1])
            assert event.bytes_up == event.bytes_down == 0
            assert event.train_loss is None and event.update_norm is None
        elif "distribute" not in fields:
            assert not torch.equal(model[event.round], model[event.round - 1])
    assert events[-1] == Stopped(12, "finished")


def test_an_empty_private_round_releases_noise_only():
    e = rare(privatise=fl.Gaussian(clip=0.5, noise_multiplier=0.8, delta=1e-5),
             aggregate=fl.Mean(weights="uniform", denominator="expected"))
    plan, steps = played(e, fl.Stacked(4))
    model = models(steps) | {0: begin(plan).model}
    ended = {event.round: event for event, _ in steps if isinstance(event, RoundEnded)}
    empty = [r for r, event in ended.items() if not event.cohort]
    assert empty and not any(isinstance(event, Warned) and "nobody" in event.text for event, _ in steps)
    for r in empty:
        noise = seeds.normals(plan.world.keys("privacy noise", r, 0), plan.world.layout.real.width, torch.float64)
        due = plan.world.layout.real.put(0.8 * 0.5 * noise / (0.15 * 6))
        assert torch.allclose(model[r], model[r - 1] + due, rtol=0, atol=1e-15)
        assert ended[r].epsilon > (ended[r - 1].epsilon if r > 1 else 0)      # and is paid for
    assert float(due.abs().max()) > 0.1


@pytest.mark.parametrize("fields", [{}, {"aggregate": fl.Median()}, METHODS["scaffold"]], ids=["mean", "median", "c"])
def test_one_client(fields):
    """Whatever is combined of one row is that row: the model is the client's own end."""
    e = some(partition=fl.IID(clients=1), schedule=fl.Lockstep(), precision="float64", rounds=1, **fields)
    plan, steps = played(e, fl.Stacked(4))
    state = begin(plan)
    cohort = e.schedule.next(plan.world, state)
    with one_thread():
        trained = e.local.train(plan.world, state.model[None], cohort, state.memory["local"].of(cohort.ids),
                                plan.world.keys("training", 1, cohort.ids), None, lambda: False)
    assert torch.allclose(steps[-1][1].model, trained.end[0], rtol=0, atol=1e-14)
    assert any(isinstance(event, Warned) for event, _ in steps) == isinstance(e.aggregate, fl.Median)


# Numbers that run away, and being told to stop.

def exploding():
    """Every step multiplies the weights by 1 - 10 = -9: 9^30 after one round is still a number, 9^60 is none."""
    return some(net=fl.Logistic(), local=fl.SGD(lr=1.0, weight_decay=10.0, steps=30, batch=4), rounds=5)


def test_an_exploding_run_ends_in_failed_and_keeps_its_rounds():
    plan, steps = played(exploding(), fl.Stacked(4))
    failed, state = steps[-1]
    assert isinstance(failed, Failed) and failed.round == 1
    assert "round 2" in failed.text and "local.lr" in failed.text and "local.clip" in failed.text
    ended = [event for event, _ in steps if isinstance(event, RoundEnded)]
    assert [event.round for event in ended] == [1]
    assert state.round == 1 and bool(torch.isfinite(state.model).all()) and float(state.model.abs().max()) > 1e20
    for event, _ in steps:
        json.loads(event.to_json(), parse_constant=lambda word: pytest.fail(f"{word} in an event"))


def test_the_folder_of_an_exploded_run_keeps_its_rounds(tmp_path):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = fl.run(exploding(), out=tmp_path / "run", progress=False)
    assert run.status == "failed" and "local.lr" in run.reason and len(run.history) == 1
    assert any("local.lr" in str(w.message) for w in told)
    assert all(bool(torch.isfinite(p).all()) for p in run.model().parameters())
    again = fl.open_run(tmp_path / "run")
    assert again.status == "failed" and len(again.history) == 1


@pytest.mark.parametrize("layers", [("*",), ("1.weight",)])
def test_layers_that_stay_at_home_may_not_run_away_either(layers):
    e = exploding().changed(distribute=fl.KeepLayers(layers=layers))
    _, steps = played(e, fl.Stacked(4))
    failed, state = steps[-1]
    assert isinstance(failed, Failed) and failed.round == 1
    assert bool(torch.isfinite(state.own.touched).all()), "the state after the last good round"


def copied(state):
    """Every number of a state."""
    tensors = {"model": state.model, "round": torch.tensor([state.round, state.trips, state.time])}
    tables = {} if state.own is None else {"own": state.own}
    for place, memory in state.memory.items():
        tensors |= {f"{place}.{name}": t for name, t in memory.shared.items()}
        tables |= {f"{place}.{name}": t for name, t in memory.own.items()}
    for name, table in tables.items():
        tensors[name] = table.gather(torch.arange(len(table.place)))
    return {name: t.clone() for name, t in tensors.items()}


STOPPING = METHODS["scaffold"] | {"encode": fl.TopK(fraction=0.3), "server": fl.Adaptive(), "rounds": 3,
                                  "distribute": fl.KeepLayers(layers=("3.*",))}


def test_a_stop_drops_the_round_in_flight():
    """Stopped at every single look at the flag: the state is that of the round before, and going on gives the bits of
    the run that nobody stopped."""
    e = some(**STOPPING)
    looks, at_round = 0, []
    reference = {}
    plan = prepare(e, world_of(e, CPU))

    def count():
        nonlocal looks
        looks += 1
        return False

    with one_thread():
        for event, state in engine.rounds(plan, begin(plan), fl.Stacked(3), count):
            if state is not None:
                reference[state.round] = copied(state)
            if isinstance(event, RoundEnded):
                at_round.append(looks)
    reference[0] = copied(begin(plan))
    assert looks >= 3 * (1 + 3), "the flag is looked at before every round and in every chunk"
    assert at_round[0] < at_round[1] < at_round[2]
    for k in range(1, looks + 1):
        left = iter(range(k - 1))
        _, steps = played(e, fl.Stacked(3), stop=lambda left=left: next(left, None) is None)
        last, state = steps[-1]
        done = sum(k > n for n in at_round)
        assert last == Stopped(done, "stopped"), f"look {k}"
        assert [event.round for event, _ in steps if isinstance(event, RoundEnded)] == list(range(1, done + 1))
        found = copied(state)
        assert all(torch.equal(found[name], reference[done][name]) for name in reference[done]), f"look {k}"
    _, rest = played(e, fl.Stacked(3), state=state)     # the last one was stopped inside the last round
    found = copied(rest[-1][1])
    assert all(torch.equal(found[name], reference[3][name]) for name in found)


def test_a_stop_inside_a_client():
    """One client with many steps: the flag is looked at every few of them, not only between chunks."""
    e = some(partition=fl.IID(clients=1), schedule=fl.Lockstep(), local=fl.SGD(steps=100), rounds=1)
    looks = []
    played(e, fl.Stacked(1), stop=lambda: looks.append(1))
    assert len(looks) > 10


# Nothing O(registered clients) per round.

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
            plan = prepare(e, world_of(e, CPU))
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


def test_a_panel_of_clients_is_read_not_all():
    e = some(partition=fl.IID(clients=50), evaluate=fl.Evaluation(clients=7), rounds=1,
             schedule=fl.Lockstep(sampler=fl.Fixed(m=3)))
    started = next(fl.stream(e))
    assert isinstance(started, Started) and len(started.clients) == 7
    read = [event for event in fl.stream(e) if isinstance(event, Evaluated) and event.counts]
    assert all(event.shape[0] == 7 and event.clients == [c["client"] for c in started.clients] for event in read)
