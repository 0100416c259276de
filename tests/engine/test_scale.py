"""A million registered clients cost what a thousand cost, and what does not fit is said before the run."""

import json
import subprocess
import sys
import tempfile

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import room
from fedlab_widgets.bench import work
from fedlab_widgets.plan import begin
from fedlab_widgets.privatise.accountant import Ledger, PoissonSampling
from fedlab_widgets.session import ready
from fedlab_widgets.shards import Data
from fedlab_widgets.slots import Classification
from fedlab_widgets.table import HELD

MILLION = fl.Reuse(clients=1_000_000, of=fl.IID(clients=100))
SCAFFOLD = {"local": fl.SGD(correct=(fl.ControlVariate(),)), "aggregate": fl.Mean(weights="uniform")}


def small(**fields):
    return fl.Experiment(**{"task": fl.Digits(), "net": fl.MLP(hidden=(16,)), "partition": MILLION, "rounds": 2,
                            "schedule": fl.Lockstep(sampler=fl.Fixed(m=5))} | fields)


def peak(name):
    command = [sys.executable, "-m", "fedlab_widgets", "bench", name, "--repeats", "2", "--no-raw", "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_million_registered_clients_take_no_more_memory():
    few, many = peak("W4s-1e3"), peak("W4s-1e6")
    assert few["steps"] == many["steps"] == 300      # 100 clients, 45 rows in batches of 16
    assert many["peak_mb"] - few["peak_mb"] < 64     # 24 bytes each are 24 MB


def test_the_sweep_is_the_same_work():
    """Only who is asked differs: rows, weights and steps are those of W3."""
    plans = [ready(work(name), None, "cpu")[0] for name in ("W3", "W4s-1e6")]
    (three, million) = (p.world for p in plans)
    assert (three.clients, million.clients) == (1000, 1_000_000)
    assert torch.equal(three.shards.x, million.shards.x)
    for column in ("offsets", "rows", "train"):
        a, b = getattr(three.shards, column), getattr(million.shards, column)
        assert torch.equal(b.view(1000, 1000), a.expand(1000, 1000)), "client i has the rows of i mod 1000"


def test_clients_that_share_rows_shuffle_them_each_in_its_own_order():
    e = small(partition=fl.Reuse(clients=4, of=fl.IID(clients=2)), schedule=fl.Lockstep(), local=fl.SGD(batch=8))
    plan, _ = ready(e, None, "cpu")
    world, state = plan.world, begin(plan)
    cohort = e.schedule.next(world, state)[0]

    def end(e):
        return e.train(world, state.model.expand(4, -1), cohort, state.memory["local"].of(cohort.ids),
                       world.keys("training", 1, cohort.ids), None, lambda: False).end

    ends, whole = end(e.local), end(fl.SGD(batch=None))
    assert not torch.equal(ends[0], ends[2]), "clients 0 and 2 have the same rows, and keys of their own"
    assert torch.allclose(whole[0], whole[2], atol=1e-6), "in one batch the order does not matter"
    assert not torch.allclose(whole[0], whole[1], atol=1e-3), "clients 0 and 1 have other rows"


def test_privacy_at_a_million(tmp_path):
    """Poisson sampling at q = 1e-4: about a hundred come, and the account is that of the accountant itself."""
    e = small(schedule=fl.Lockstep(sampler=fl.Poisson(q=1e-4)), rounds=3, privatise=fl.Gaussian(noise_multiplier=1.0),
              aggregate=fl.Mean(weights="uniform", denominator="expected"))
    run = fl.run(e, out=tmp_path / "run", progress=False)
    delta = 1e6**-1.1
    assert run.history.epsilon.iloc[-1] == Ledger(PoissonSampling(1e-4), 1.0, delta).epsilon(3)
    assert all(50 < n < 150 for n in run.history.trips.diff().dropna())   # 5 standard deviations
    assert len({i for event in run.events for i in getattr(event, "cohort", None) or ()}) > 250
    assert len(run.clients) == 100 and run.clients.index.max() > 100_000


def test_what_clients_remember_is_forecast():
    # c [D] is 64 x 16 + 16 + 16 x 10 + 10 = 1 210 numbers, 4 840 bytes. Of 100 clients 5 come, twice: 100 (1 - 0.95^2)
    # = 9.75 of them at least once, 10 at most.
    few = small(partition=fl.Reuse(clients=100, of=fl.IID(clients=10)), **SCAFFOLD).forecast("cpu")
    assert (few.state_bytes, few.state_bound, few.state_folder) == (round(9.75 * 4840), 10 * 4840, None)
    assert "remember" not in str(few)
    # All of 100 000, in one round: 484 MB for certain. Half of that is beyond what is held in memory.
    all_ = small(partition=fl.Reuse(clients=100_000, of=fl.IID(clients=10)), schedule=fl.Lockstep(), rounds=1,
                 evaluate=fl.Evaluation(readings=(fl.Accuracy(),)), **SCAFFOLD).forecast("cpu")
    assert all_.state_bytes == all_.state_bound == 484_000_000 > HELD
    assert f"≈ 484 MB that clients remember (beyond 268 MB in a file in {tempfile.gettempdir()})" in str(all_)
    # A million registered, 1 000 visits: 4.8 MB, and of the million only where their rows are and what they remember.
    many = small(rounds=200, **SCAFFOLD).forecast("cpu")
    assert many.state_bound == 1000 * 4840 and many.state_bytes == pytest.approx(1000 * 4840, rel=1e-3)
    assert 28e6 < many.memory_bytes < 50e6
    assert small().forecast("cpu").state_bound == 0


def test_personal_layers_are_remembered_too():
    # The kept layer is 16 x 10 + 10 = 170 numbers.
    kept = small(partition=fl.IID(clients=5), distribute=fl.KeepLayers(layers=("3.*",))).forecast("cpu")
    assert kept.state_bytes == kept.state_bound == 5 * 170 * 4


# --- what cannot fit ------------------------------------------------------------------------------------------------

class Endless(Classification):
    """A billion rows of a thousand zeros that take no memory: one number seen as many. load: rows [1000].

    Raises nothing. Source: ours.
    """

    def load(self):
        x, y = torch.zeros(1, 1).expand(10**9, 1000), torch.zeros(1, dtype=torch.int64).expand(10**9)
        return Data(x, y, y, x[:5], y[:5], y[:5], labels=("a", "b"), groups=("all",))


def test_rows_larger_than_memory(own_catalogue):
    fl.part(Endless)
    with pytest.raises(fl.BadInput, match="1,000,000,000 rows need 4 TB to be dealt out, .* free on cpu; take fewer"):
        small(task=Endless(), partition=fl.IID()).forecast("cpu")
    with pytest.raises(fl.BadInput, match="need 16 TB to be dealt out.*or precision=float32"):   # converted, and copied
        small(task=Endless(), partition=fl.IID(), precision="float64").forecast("cpu")


@pytest.fixture(scope="module")
def wide():
    """Four million rows of 1 number, and a net that makes 8 x 8 192 + 8 x 1 + 2 of it: layers, ReLUs and outputs."""
    x = torch.arange(4_000_000.0)[:, None].numpy()
    task = fl.from_arrays(x, (x[:, 0] % 2).astype(int), name="wide")
    return {"task": task, "net": fl.MLP(hidden=(8192, 1) * 4), "schedule": fl.Lockstep()}


def test_a_client_larger_than_memory(wide, tmp_path):
    """3.2 million are no test rows, 2.56 million of them not held out: 4 bytes x (1 + 65 546) x 2 560 000 = 671 GB."""
    e = small(**wide, partition=fl.IID(clients=1), local=fl.SGD(batch=None))
    words = "local.batch = all of the rows does not fit: a step of one client on 2,560,000 rows holds at least 671 GB"
    for go in (lambda: e.forecast("cpu"), lambda: fl.run(e, out=tmp_path / "run", device="cpu")):
        with pytest.raises(fl.BadInput, match=f"{words}, and .* free on cpu; use local.batch=[0-9,]+ or less"):
            go()
    assert not (tmp_path / "run").exists()
    ready(e.changed(**{"local.batch": 32}), None, "cpu")


def test_clients_side_by_side_larger_than_memory(wide):
    """Four clients at once need what one with all their rows needs."""
    e = small(**wide, partition=fl.IID(clients=4), local=fl.SGD(batch=None))
    with pytest.raises(fl.BadInput, match="of 4 clients side by side on 640,000 rows .*or less, executor=fl.OneByOne"):
        ready(e, fl.Stacked(chunk=4), "cpu")


def test_more_to_remember_than_the_disk_has():
    # c has 64 x 8192 + 8192 + 8192 x 10 + 10 = 614 410 numbers, what TopK left out twice as many (it sends c as well):
    # 3 x 614 410 x 8 bytes x 1 000 000 = 14.7 TB.
    e = small(net=fl.MLP(hidden=(8192,)), schedule=fl.Lockstep(), rounds=1, precision="float64", encode=fl.TopK(),
              **SCAFFOLD)
    with pytest.raises(fl.BadInput, match="rounds = 1: by then clients remember about 14.7 TB .*TMPDIR"):
        ready(e, None, "cpu")


def test_numbers_that_layers_make():
    """A hidden layer of 16, its ReLU, and 10 outputs; reading rows makes none."""
    plan, _ = ready(small(), None, "cpu")
    assert room.made(plan.world.net, plan.world.data.x[:1]) == 16 + 16 + 10
